#include "http/query_body.h"

#include "http/json_reader.h"

namespace keelson::http {

namespace {

Result<nlohmann::json> read_params(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const std::string_view raw, reader.skip_value());
  // The text has been checked, so that only numbers beyond a double can still be refused.
  auto params = nlohmann::json::parse(raw, nullptr, false);
  if (params.is_array() || params.is_object()) return params;
  return fail(Errc::bad_request, "'params' must be an array for ? or an object for :name");
}

Result<std::string> read_position(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const auto kind, reader.peek());
  if (kind != JsonReader::Kind::number) return reader.string();
  KEELSON_TRY_ASSIGN(const std::uint64_t offset, reader.number());
  return std::to_string(offset);
}

/// Takes one member. False: there is no such member.
Result<bool> read_member(JsonReader& reader, std::string_view name, QueryBody& body) {
  if (name == "sql") {
    KEELSON_TRY_ASSIGN(body.sql, reader.string());
  } else if (name == "params") {
    KEELSON_TRY_ASSIGN(body.params, read_params(reader));
  } else if (name == "at") {
    KEELSON_TRY_ASSIGN(body.at, read_position(reader));
  } else if (name == "at_time") {
    KEELSON_TRY_ASSIGN(body.at_time, reader.string());
  } else if (name == "min") {
    KEELSON_TRY_ASSIGN(body.min, read_position(reader));
  } else if (name == "wait_ms") {
    KEELSON_TRY_ASSIGN(body.wait_ms, reader.number());
  } else {
    return false;
  }
  return true;
}

}  // namespace

ReadModelAsOfText QueryBody::as_of() const {
  return {.at = at, .at_time = at_time, .min = min, .wait_ms = wait_ms};
}

Result<QueryBody> read_query_body(std::string_view text) {
  QueryBody body;
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(text, {}));
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    // A null says the same as leaving the member out.
    KEELSON_TRY_ASSIGN(const bool null, reader.take_null());
    if (null) continue;
    KEELSON_TRY_ASSIGN(const bool known, read_member(reader, *name, body));
    if (!known) {
      return fail(Errc::bad_request, "unknown member " + json_string(*name) +
                                         "; known are sql, params, at, at_time, min, wait_ms");
    }
  }
  KEELSON_TRY(reader.finish());
  if (body.sql.empty()) return fail(Errc::bad_request, "'sql' is missing");
  return body;
}

}  // namespace keelson::http
