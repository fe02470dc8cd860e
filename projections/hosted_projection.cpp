#include "projections/hosted_projection.h"

#include <xxhash.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/io/file_system.h"
#include "projections/json_rows.h"
#include "projections/query_budget.h"

namespace keelson::projections {

namespace {

/// Open connections of all readers of a projection together; each takes two or three files.
constexpr std::size_t kConnectionsMax = 512;

/// Of one read model's writing connection: a share of 64 MiB, at least 1 MiB and at most 16.
std::size_t cache_kib(std::size_t partitions) {
  return std::clamp<std::size_t>((64 << 10) / partitions, 1 << 10, 16 << 10);
}

std::size_t readers_of(const HostOptions& options, std::size_t partitions) {
  const std::size_t fitting = std::max<std::size_t>(kConnectionsMax / partitions, 1);
  return std::clamp<std::size_t>(options.readers_max, 1, fitting);
}

/// `v3-` and 32 digits. Not the whole code, which is long; two codes of one author do not meet by
/// chance.
std::string code_version_of(const Rules& rules, const Uuid& topic) {
  std::string text(reinterpret_cast<const char*>(topic.bytes.data()), topic.bytes.size());
  text += rules.name() + '\n' + rules.code();
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016" PRIx64 "%016" PRIx64, std::uint64_t{hash.high64},
                std::uint64_t{hash.low64});
  return 'v' + std::to_string(rules.version()) + '-' + digits;
}

std::unexpected<Error> over_bytes(const QueryLimits& limits) {
  return fail(Errc::too_large,
              "the answer has over " + std::to_string(limits.bytes_max) + " bytes");
}

/// Steps `statement` to its end, giving each row to `append`.
template <class Append>
Result<std::uint64_t> collect(Statement& statement, const QueryGate& gate,
                              const QueryLimits& limits, std::string& json, Append append) {
  std::uint64_t count = 0;
  json = "[";
  while (true) {
    const auto more = statement.step();
    if (!more) return std::unexpected(gate.error(limits));
    if (!*more) break;
    if (count == limits.rows_max) {
      return fail(Errc::too_large,
                  "the answer has over " + std::to_string(limits.rows_max) + " rows");
    }
    if (count++ > 0) json += ',';
    append(json);
    if (json.size() > limits.bytes_max) return over_bytes(limits);
  }
  json += ']';
  return count;
}

std::vector<std::string> column_names(const Statement& statement) {
  std::vector<std::string> names;
  for (int i = 0; i < statement.column_count(); ++i) {
    names.emplace_back(statement.column_name(i));
  }
  return names;
}

void append_array(std::string& json, const Statement& row) {
  json += '[';
  for (int i = 0; i < row.column_count(); ++i) {
    if (i > 0) json += ',';
    append_json_column(json, row.handle(), i);
  }
  json += ']';
}

/// @param keys  of the members, as JSON with a colon.
void append_object(std::string& json, const Statement& row, const std::vector<std::string>& keys) {
  json += '{';
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) json += ',';
    json += keys[i];
    append_json_column(json, row.handle(), static_cast<int>(i));
  }
  json += '}';
}

}  // namespace

HostedProjection::HostedProjection(const Environment& environment, Topic& topic,
                                   const HostOptions& options, std::shared_ptr<const Rules> rules)
    : environment_(environment),
      topic_(topic),
      options_(options),
      rules_(std::move(rules)),
      folder_(options.folder + "/" + rules_->name() + "/v" + std::to_string(rules_->version())),
      progress_(topic.partition_count()) {}

Result<std::unique_ptr<HostedProjection>> HostedProjection::open(
    const Environment& environment, Topic& topic, const Projection& projection,
    const HostOptions& options, const std::vector<std::shared_ptr<Strand>>& workers) {
  KEELSON_TRY(QueryBudget::check_installed());
  KEELSON_TRY_ASSIGN(auto rules, Rules::compile(projection));
  std::unique_ptr<HostedProjection> hosted(
      new HostedProjection(environment, topic, options, std::move(rules)));
  hosted->describe(projection);
  for (std::size_t p = 0; p < topic.partition_count(); ++p) {
    KEELSON_TRY(hosted->open_partition(PartitionId(static_cast<std::uint32_t>(p)),
                                       *workers[p % workers.size()]));
  }
  hosted->readers_ = std::make_unique<ReaderPool>(
      readers_of(options, topic.partition_count()), [self = hosted.get()] {
        return Reader::open(self->rules_, self->files_, self->environment_.clock);
      });
  return hosted;
}

void HostedProjection::describe(const Projection& projection) {
  info_.name = projection.name();
  info_.version = projection.version();
  info_.code_version = code_version_of(*rules_, topic_.id());
  info_.topic = topic_.name();
  info_.summary = projection.summary_text();
  for (const Table& table : rules_->schema().tables()) {
    TableInfo& info = info_.tables.emplace_back();
    info.name = table.name;
    for (const Column& column : table.columns) {
      info.columns.push_back(
          {column.name, std::string(to_string(column.type)), column.nullable, column.key});
    }
  }
}

Result<void> HostedProjection::open_partition(PartitionId id, Strand& worker) {
  ReadModel::Source source;
  source.files = &environment_.files;
  source.path = folder_ + "/p" + std::to_string(id.value) + ".db";
  source.rules = rules_;
  source.topic = topic_.id();
  source.partition = &topic_.partition(id);
  source.cache_kib = cache_kib(topic_.partition_count());
  files_.push_back(source.path);
  const ApplierOptions options{options_.transaction_events_max, options_.transaction_time_max};
  KEELSON_TRY_ASSIGN(auto applier, Applier::open(std::move(source), options, environment_.clock,
                                                 progress_, worker));
  appliers_.push_back(std::move(applier));
  return {};
}

void HostedProjection::start() {
  for (const auto& applier : appliers_) applier->start();
}

void HostedProjection::stop() {
  for (const auto& applier : appliers_) applier->stop();
}

Result<ProjectionStatus> HostedProjection::status() const {
  ProjectionStatus status;
  status.position = progress_.applied();
  for (std::size_t p = 0; p < appliers_.size(); ++p) {
    const PartitionId id(static_cast<std::uint32_t>(p));
    const Partition& partition = topic_.partition(id);
    const auto state = appliers_[p]->state();
    const Offset next = status.position.next(id);
    // A read model that is not open yet has applied nothing: all that is kept is before it.
    const Offset waiting = std::max(next, partition.start());
    const Offset end = partition.end();
    status.partitions.push_back({id, next, end > waiting ? end - waiting : 0,
                                 end > waiting ? lag_seconds(partition, waiting) : 0,
                                 state.halted_at, state.error});
  }
  return status;
}

Position HostedProjection::floor() const {
  Position floor(appliers_.size());
  for (std::size_t p = 0; p < appliers_.size(); ++p) {
    floor.set_next(PartitionId(static_cast<std::uint32_t>(p)), appliers_[p]->floor());
  }
  return floor;
}

double HostedProjection::lag_seconds(const Partition& partition, Offset next) const {
  const auto cursor = partition.read(next);
  if (!cursor) return 0;
  const auto event = (*cursor)->next();
  if (!event || !*event) return 0;
  const auto age = environment_.clock.now() - (*event)->time;
  return std::max(0.0, static_cast<double>(age) / 1e6);
}

Error HostedProjection::not_there(const Error& error, const Position& at) const {
  if (error.code != Errc::not_caught_up) return error;
  if (const Position end = topic_.end(); !end.covers(at)) {
    return Error{Errc::beyond_end,
                 "position " + at.to_string() + " is beyond the end, " + end.to_string(),
                 std::nullopt};
  }
  return error;
}

Result<Partitions> HostedProjection::meant(const Partitions& partitions) const {
  if (partitions.empty()) {
    Partitions all;
    for (std::uint32_t p = 0; p < appliers_.size(); ++p) all.push_back(PartitionId(p));
    return all;
  }
  for (const PartitionId id : partitions) {
    if (id.value < appliers_.size()) continue;
    return fail(Errc::bad_request,
                "topic " + topic_.name() + " has no partition " + std::to_string(id.value));
  }
  return partitions;
}

Result<void> HostedProjection::check_complete(const Partitions& partitions) const {
  for (const PartitionId id : partitions) {
    const auto unreadable = appliers_[id.value]->state().unreadable;
    if (!unreadable) continue;
    return fail(unreadable->code, "projection " + info_.name +
                                      " cannot be asked, for its partition " +
                                      std::to_string(id.value) + ": " + unreadable->context);
  }
  return {};
}

/// The read model may know what was then, but nobody could check it, or build it again.
Result<void> HostedProjection::check_not_below_start(const Partitions& partitions,
                                                     const Position& at) const {
  for (const PartitionId id : partitions) {
    const Offset start = topic_.partition(id).start();
    if (at.next(id) >= start) continue;
    return fail(Errc::below_start, "partition " + std::to_string(id.value) + " of " +
                                       topic_.name() + " starts at offset " +
                                       std::to_string(start.value) +
                                       ": retention has removed what was before");
  }
  return {};
}

Result<HostedProjection::Moment> HostedProjection::look(const std::optional<Position>& at,
                                                        const QueryLimits& limits,
                                                        const Partitions& partitions) {
  KEELSON_TRY_ASSIGN(const Partitions which, meant(partitions));
  KEELSON_TRY(check_complete(which));
  if (at) KEELSON_TRY(check_not_below_start(which, *at));
  const auto deadline = environment_.clock.monotonic() + limits.time_max;
  KEELSON_TRY_ASSIGN(auto reader, readers_->take(limits.time_max));
  auto seen = reader->begin(which, at, deadline);
  if (!seen) return std::unexpected(at ? not_there(seen.error(), *at) : seen.error());
  return Moment{std::move(reader), std::move(*seen)};
}

Result<QueryResult> HostedProjection::query(const std::string& sql,
                                            const nlohmann::json& parameters,
                                            const std::optional<Position>& at,
                                            const QueryLimits& limits,
                                            const Partitions& partitions) {
  KEELSON_TRY_ASSIGN(Moment moment, look(at, limits, partitions));
  const QueryBudget budget(moment.reader->deadline(), limits.memory_bytes_max);
  QueryGate& gate = moment.reader->gate();
  KEELSON_TRY_ASSIGN(Statement statement, gate.prepare(sql, limits));
  if (const auto bound = bind_parameters(statement, parameters); !bound) {
    return std::unexpected(budget.exceeded() ? gate.error(limits) : bound.error());
  }
  QueryResult result;
  result.columns = column_names(statement);
  KEELSON_TRY_ASSIGN(result.row_count,
                     collect(statement, gate, limits, result.rows_json,
                             [&](std::string& json) { append_array(json, statement); }));
  result.at = std::move(moment.at);
  return result;
}

Result<RowsResult> HostedProjection::read_rows(const RowsRequest& request, WriteQuery write) {
  const Table* const table = rules_->schema().find(request.table);
  if (table == nullptr) {
    return fail(Errc::not_found,
                "projection " + info_.name + " has no table '" + request.table + "'");
  }
  const QueryLimits& limits = options_.limits;
  KEELSON_TRY_ASSIGN(const RowsQuery query, write(*table, request, limits.rows_max));
  KEELSON_TRY_ASSIGN(Moment moment, look(request.at, limits, request.partitions));
  const QueryBudget budget(moment.reader->deadline(), limits.memory_bytes_max);
  QueryGate& gate = moment.reader->gate();
  KEELSON_TRY_ASSIGN(Statement statement, gate.prepare(query.sql, limits));
  for (std::size_t i = 0; i < query.values.size(); ++i) {
    KEELSON_TRY(statement.bind(static_cast<int>(i) + 1, query.values[i]));
  }
  std::vector<std::string> keys;
  for (const std::string& name : column_names(statement)) {
    append_json_string(keys.emplace_back(), name);
    keys.back() += ':';
  }
  RowsResult result;
  KEELSON_TRY_ASSIGN(result.row_count,
                     collect(statement, gate, limits, result.rows_json,
                             [&](std::string& json) { append_object(json, statement, keys); }));
  result.at = std::move(moment.at);
  return result;
}

Result<RowsResult> HostedProjection::rows(const RowsRequest& request) {
  return read_rows(request, &rows_query);
}

Result<RowsResult> HostedProjection::history(const RowsRequest& request) {
  return read_rows(request, &history_query);
}

std::unique_ptr<Registration> HostedProjection::when_applied(const Position& position, Task task) {
  return progress_.when_applied(position, std::move(task));
}

}  // namespace keelson::projections
