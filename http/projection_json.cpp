#include "http/projection_json.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "http/json_text.h"

namespace keelson::http {

namespace {

using projections::ProjectionInfo;
using projections::ProjectionStatus;
using projections::TableInfo;

void append_member(std::string& out, std::string_view name, std::string_view text) {
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}

void append_seconds(std::string& out, double seconds) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(),
                                          std::max(seconds, 0.0), std::chars_format::fixed, 3);
  // Only a lag that no clock can show does not fit.
  out.append(error == std::errc{} ? std::string_view(text.data(), end) : "0");
}

void append_partition(std::string& out, const ProjectionStatus::PartitionStatus& partition) {
  out += R"({"partition":)";
  append_number(out, partition.partition.value);
  out += R"(,"next":)";
  append_number(out, partition.next.value);
  out += R"(,"lag_events":)";
  append_number(out, partition.lag_events);
  out += R"(,"lag_seconds":)";
  append_seconds(out, partition.lag_seconds);
  if (partition.halted_at) {
    out += R"(,"halted_at":)";
    append_number(out, partition.halted_at->value);
  }
  if (!partition.error.empty()) {
    out += ',';
    append_member(out, "error", partition.error);
  }
  out += '}';
}

/// `delayed`: held up by what may pass, such as a full disk, and tried again.
std::string_view state_of(const ProjectionStatus& status) {
  std::string_view state = "running";
  for (const auto& partition : status.partitions) {
    if (partition.halted_at) return "halted";
    if (!partition.error.empty()) state = "delayed";
  }
  return state;
}

void append_table(std::string& out, const TableInfo& table) {
  out += '{';
  append_member(out, "name", table.name);
  out += R"(,"columns":[)";
  for (const auto& column : table.columns) {
    if (&column != &table.columns.front()) out += ',';
    out += '{';
    append_member(out, "name", column.name);
    out += ',';
    append_member(out, "type", column.type);
    out += column.nullable ? R"(,"nullable":true)" : R"(,"nullable":false)";
    out += column.key ? R"(,"key":true})" : R"(,"key":false})";
  }
  out += "]}";
}

}  // namespace

void append_projection(std::string& out, const ProjectionInfo& info,
                       const ProjectionStatus& status) {
  out += '{';
  append_member(out, "name", info.name);
  out += R"(,"version":)";
  append_number(out, info.version);
  out += ',';
  append_member(out, "topic", info.topic);
  out += ',';
  append_member(out, "summary", info.summary);
  out += ',';
  append_member(out, "state", state_of(status));
  out += ',';
  append_member(out, "position", status.position.to_string());
  out += R"(,"partitions":[)";
  for (const auto& partition : status.partitions) {
    if (&partition != &status.partitions.front()) out += ',';
    append_partition(out, partition);
  }
  out += R"(],"tables":[)";
  for (const TableInfo& table : info.tables) {
    if (&table != &info.tables.front()) out += ',';
    append_table(out, table);
  }
  out += "]}";
}

std::string query_json(const projections::QueryResult& result) {
  std::string out = R"({"columns":[)";
  for (const std::string& column : result.columns) {
    if (&column != &result.columns.front()) out += ',';
    append_json_string(out, column);
  }
  out += R"(],"rows":)";
  out += result.rows_json;
  out += ',';
  append_member(out, "at", result.at.to_string());
  out += '}';
  return out;
}

}  // namespace keelson::http
