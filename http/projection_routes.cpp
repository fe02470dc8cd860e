#include "http/projection_routes.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "aggregates/hash.h"
#include "engine/store/store.h"
#include "http/as_of.h"
#include "http/conditional.h"
#include "http/consistency.h"
#include "http/json_text.h"
#include "http/parts.h"
#include "http/projection_json.h"
#include "http/query_body.h"
#include "projections/projection_host.h"

namespace keelson::http {

namespace {

using projections::ProjectionHost;
using projections::ProjectionInfo;
using projections::RowsRequest;
using projections::RowsResult;
using projections::TableInfo;

constexpr std::uint64_t kRowsMax = 10'000;
/// Query parameters of the rows routes; every other one is a filter on a column.
constexpr std::string_view kKnown[] = {"at",    "at_time",           "min", "wait_ms", "order",
                                       "limit", kPartitionsParameter};

Result<const ProjectionInfo*> find_projection(const ProjectionHost& host, const Request& request) {
  const std::string& name = request.path_parameter("name");
  if (const ProjectionInfo* info = host.find(name)) return info;
  std::string known;
  for (const ProjectionInfo& info : host.projections()) {
    known += (known.empty() ? "" : ", ") + info.name;
  }
  return fail(Errc::not_found, "there is no projection '" + name + "'; there is: " + known);
}

Result<const TableInfo*> find_table(const ProjectionInfo& info, const Request& request) {
  const std::string& name = request.path_parameter("table");
  const auto found = std::ranges::find(info.tables, name, &TableInfo::name);
  if (found != info.tables.end()) return &*found;
  std::string known;
  for (const TableInfo& table : info.tables) known += (known.empty() ? "" : ", ") + table.name;
  return fail(Errc::not_found,
              "projection '" + info.name + "' has no table '" + name + "'; it has: " + known);
}

// --- waiting ---

using Ask = std::move_only_function<Result<Response>()>;

/// Nothing can be waited for behind an event that the projection halted at.
Result<void> check_not_halted(const projections::ProjectionStatus& status,
                              const Position& required) {
  for (const auto& partition : status.partitions) {
    if (!partition.halted_at || *partition.halted_at >= required.next(partition.partition))
      continue;
    return fail(Errc::halted, "the projection halted at offset " +
                                  std::to_string(partition.halted_at->value) + " of partition " +
                                  std::to_string(partition.partition.value));
  }
  return {};
}

/// Says what holds the projection up before `required`, if something does.
std::string what_delays(const projections::ProjectionStatus& status, const Position& required) {
  for (const auto& partition : status.partitions) {
    if (partition.error.empty() || partition.next >= required.next(partition.partition)) continue;
    return ", held up in partition " + std::to_string(partition.partition.value) + ": " +
           partition.error;
  }
  return "";
}

void answer(Ask& ask, Responder& responder) {
  auto response = ask();
  if (!response) return responder.send(response.error());
  responder.send(*std::move(response));
}

/// Asks once the read model covers what the question needs, or answers why it does not in time.
void answer_when_applied(Services& services, const ProjectionInfo& info, const ReadModelAsOf& as_of,
                         std::stop_token interrupted, Responder responder, Ask ask) {
  const ProjectionHost& host = *services.projections;
  const auto required = as_of.required();
  if (!required) return answer(ask, responder);
  const auto status = host.status(info.name);
  if (!status) return responder.send(status.error());
  if (status->position.covers(*required)) return answer(ask, responder);
  if (const auto running = check_not_halted(*status, *required); !running) {
    return responder.send(running.error());
  }
  wait_for(
      services, as_of.wait, std::move(interrupted),
      [&](Task task) {
        auto registered = host.when_applied(info.name, *required, std::move(task));
        return registered ? *std::move(registered) : nullptr;
      },
      [&host, &info, required = *required, responder = std::move(responder),
       ask = std::move(ask)](Woken woken) mutable {
        if (woken == Woken::event) return answer(ask, responder);
        const auto now = host.status(info.name);
        if (!now) return responder.send(now.error());
        responder.send(Error{Errc::not_caught_up,
                             "the projection has come to " + now->position.to_string() +
                                 " and not to " + required.to_string() +
                                 what_delays(*now, required),
                             {}});
      });
}

// --- GET …/tables/{table}[/history] ---

Result<RowsRequest> rows_request(const Request& request, const TableInfo& table) {
  RowsRequest rows;
  rows.table = table.name;
  for (auto it = request.query_parameters.begin(); it != request.query_parameters.end(); ++it) {
    const auto& [name, value] = *it;
    const auto same = [&name = name](const auto& other) { return other.first == name; };
    if (std::find_if(request.query_parameters.begin(), it, same) != it) {
      return fail(Errc::bad_request, "the query parameter '" + name + "' is given twice");
    }
    if (std::ranges::find(kKnown, name) != std::end(kKnown)) continue;
    if (std::ranges::find(table.columns, name, &projections::ColumnInfo::name) ==
        table.columns.end()) {
      std::string columns;
      for (const auto& column : table.columns) columns += ", " + column.name;
      return fail(Errc::bad_request, "unknown query parameter '" + name +
                                         "'; known are at, at_time, min, wait_ms, partitions, "
                                         "order, limit and the columns" +
                                         columns.substr(1));
    }
    rows.filters.push_back({name, value});
  }
  rows.order = request.query("order").value_or("");
  KEELSON_TRY_ASSIGN(const auto limit, request.query_number("limit", 1, kRowsMax));
  if (limit) rows.limit = *limit;
  return rows;
}

Result<ReadModelAsOf> as_of_query(const Request& request, Topic& topic,
                                  const projections::Partitions& partitions) {
  KEELSON_TRY_ASSIGN(const auto wait_ms, request.query_number("wait_ms", 0, kWaitMsMax));
  return read_model_as_of({.at = request.query("at"),
                           .at_time = request.query("at_time"),
                           .min = request.query("min"),
                           .wait_ms = wait_ms},
                          topic, partitions);
}

/// What an answer as of a position is made by and of.
std::string source_of(const ProjectionHost& host, const ProjectionInfo& info) {
  const auto floor = host.floor(info.name);
  const bool whole = !floor || *floor == Position(host.topic().partition_count());
  return whole ? info.code_version : info.code_version + "-after-" + floor->to_string();
}

std::string rows_etag(const std::string& source, const Position& at) {
  return derived_etag(source, '@' + at.to_string());
}

Response unchanged(std::string etag, const Position& at) {
  return not_modified(std::move(etag)).header(std::string(kPositionHeader), at.to_string());
}

Response rows_response(const std::string& source, RowsResult result) {
  const std::string at = result.at.to_string();
  std::string body = R"({"rows":)" + std::move(result.rows_json) + R"(,"at":)";
  append_json_string(body, at);
  body += '}';
  return Response::json(200, std::move(body))
      .header("ETag", rows_etag(source, result.at))
      .header("Cache-Control", "no-cache")
      .header(std::string(kPositionHeader), at);
}

using ReadRows = Result<RowsResult> (ProjectionHost::*)(std::string_view, const RowsRequest&) const;

Result<void> get_rows(Services& services, const Request& request, Responder& responder,
                      ReadRows read) {
  const ProjectionHost& host = *services.projections;
  KEELSON_TRY_ASSIGN(const ProjectionInfo* const info, find_projection(host, request));
  KEELSON_TRY_ASSIGN(const TableInfo* const table, find_table(*info, request));
  KEELSON_TRY_ASSIGN(RowsRequest rows, rows_request(request, *table));
  KEELSON_TRY_ASSIGN(rows.partitions, partitions_asked(request, host.topic()));
  KEELSON_TRY_ASSIGN(const ReadModelAsOf as_of,
                     as_of_query(request, host.topic(), rows.partitions));
  if (as_of.at) {
    std::string etag = rows_etag(source_of(host, *info), *as_of.at);
    if (if_none_match_has(request.headers, etag)) {
      responder.send(unchanged(std::move(etag), *as_of.at));
      return {};
    }
  }
  rows.at = as_of.at;
  answer_when_applied(services, *info, as_of, request.interrupted, std::move(responder),
                      [&host, info, read, rows = std::move(rows)]() -> Result<Response> {
                        KEELSON_TRY_ASSIGN(RowsResult result, (host.*read)(info->name, rows));
                        return rows_response(source_of(host, *info), std::move(result));
                      });
  return {};
}

// --- POST …/query ---

/// Unlike the rows of a table, whose questions are told apart by their URL, an answer is named by
/// what was asked as well.
std::string query_etag(const std::string& source, const QueryBody& body, const Position& at) {
  const auto asked = aggregates::hash128({body.sql, body.params.dump()});
  return derived_etag(source, '@' + at.to_string() + '/' + aggregates::to_hex(asked));
}

Response query_response(const std::string& source, const QueryBody& body,
                        const projections::QueryResult& result) {
  return Response::json(200, query_json(result))
      .header("ETag", query_etag(source, body, result.at))
      .header("Cache-Control", "no-cache")
      .header(std::string(kPositionHeader), result.at.to_string());
}

Result<void> post_query(Services& services, const Request& request, Responder& responder) {
  const ProjectionHost& host = *services.projections;
  KEELSON_TRY(request.check_query({kPartitionsParameter}));
  KEELSON_TRY_ASSIGN(const ProjectionInfo* const info, find_projection(host, request));
  KEELSON_TRY_ASSIGN(QueryBody body, read_query_body(request.body));
  KEELSON_TRY_ASSIGN(projections::Partitions partitions, partitions_asked(request, host.topic()));
  KEELSON_TRY_ASSIGN(const ReadModelAsOf as_of,
                     read_model_as_of(body.as_of(), host.topic(), partitions));
  if (as_of.at && request.headers.find("If-None-Match")) {
    std::string etag = query_etag(source_of(host, *info), body, *as_of.at);
    if (if_none_match_has(request.headers, etag)) {
      responder.send(unchanged(std::move(etag), *as_of.at));
      return {};
    }
  }
  answer_when_applied(services, *info, as_of, request.interrupted, std::move(responder),
                      [&host, info, at = as_of.at, partitions = std::move(partitions),
                       body = std::move(body)]() -> Result<Response> {
                        KEELSON_TRY_ASSIGN(
                            const projections::QueryResult result,
                            host.query(info->name, body.sql, body.params, at, {}, partitions));
                        return query_response(source_of(host, *info), body, result);
                      });
  return {};
}

// --- GET /v1/projections[/{name}] ---

Position least(Position a, const Position& b) {
  for (std::uint32_t p = 0; p < a.partitions(); ++p) {
    const PartitionId id(p);
    a.set_next(id, std::min(a.next(id), b.next(id)));
  }
  return a;
}

Result<Response> get_projections(const ProjectionHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  std::string body = R"({"projections":[)";
  std::optional<Position> seen;  // by every one of them
  for (const ProjectionInfo& info : host.projections()) {
    KEELSON_TRY_ASSIGN(const auto status, host.status(info.name));
    if (&info != &host.projections().front()) body += ',';
    append_projection(body, info, status);
    seen = seen ? least(*seen, status.position) : status.position;
  }
  body += "]}";
  Response response = Response::json(200, std::move(body));
  if (seen) response.header(std::string(kPositionHeader), seen->to_string());
  return response;
}

Result<Response> get_projection(const ProjectionHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  KEELSON_TRY_ASSIGN(const ProjectionInfo* const info, find_projection(host, request));
  KEELSON_TRY_ASSIGN(const auto status, host.status(info->name));
  std::string body;
  append_projection(body, *info, status);
  return Response::json(200, std::move(body))
      .header(std::string(kPositionHeader), status.position.to_string());
}

using Get = Result<Response> (*)(const ProjectionHost&, const Request&);

Handler getting(const ProjectionHost& host, Get get) {
  return [&host, get](Request request, Responder responder) {
    auto response = get(host, request);
    if (!response) return responder.send(response.error());
    responder.send(*std::move(response));
  };
}

Handler reading_rows(Services& services, ReadRows read) {
  return [&services, read](Request request, Responder responder) {
    const auto asked = get_rows(services, request, responder, read);
    if (!asked) responder.send(asked.error());
  };
}

}  // namespace

void add_projection_routes(Router& router, Services& services) {
  if (services.projections == nullptr) return;
  const ProjectionHost& host = *services.projections;
  RouteOptions reading;
  reading.blocking = true;
  RouteOptions querying = reading;
  querying.consumes = {"application/json"};
  router.add(Method::get, "/v1/projections", reading, getting(host, get_projections));
  router.add(Method::get, "/v1/projections/{name}", reading, getting(host, get_projection));
  const WhatIsRead read_model{
      [&services](const Request& request) -> Result<std::vector<Partition*>> {
        Topic& topic = services.projections->topic();
        KEELSON_TRY_ASSIGN(const auto asked, partitions_asked(request, topic));
        std::vector<Partition*> partitions;
        for (const PartitionId id : asked) {
          partitions.push_back(&topic.partition(id));
        }
        return partitions;
      },
      "name"};
  router.add(Method::get, "/v1/projections/{name}/tables/{table}", reading,
             consistent(services, read_model, reading_rows(services, &ProjectionHost::rows)));
  router.add(Method::get, "/v1/projections/{name}/tables/{table}/history", reading,
             consistent(services, read_model, reading_rows(services, &ProjectionHost::history)));
  router.add(Method::post, "/v1/projections/{name}/query", querying,
             consistent(services, read_model, [&services](Request request, Responder responder) {
               const auto asked = post_query(services, request, responder);
               if (!asked) responder.send(asked.error());
             }));
}

}  // namespace keelson::http
