// Names of what the framework keeps beside a projection's tables in its file.
#pragma once

#include <string>
#include <string_view>

namespace keelson::projections {

/// In each table: the offset of the event that made the row as it is.
inline constexpr std::string_view kFromColumn = "_from";
/// In each history table: the offset of the event that ended the version.
inline constexpr std::string_view kToColumn = "_to";
/// In queries: where a row is.
inline constexpr std::string_view kPartitionColumn = "_partition";
/// SQL function: the offset of the event being applied.
inline constexpr std::string_view kOffsetFunction = "keelson_offset";

/// Closed versions of `table`'s rows.
[[nodiscard]] inline std::string history_table(std::string_view table) {
  return std::string(table) + "__h";
}
/// Keys that `table` had and may have no more.
[[nodiscard]] inline std::string dead_table(std::string_view table) {
  return std::string(table) + "__dead";
}
/// Keys of `table` whose row once had another value in the column, by that value.
[[nodiscard]] inline std::string former_table(std::string_view table, int column) {
  return std::string(table) + "__was" + std::to_string(column);
}
/// All versions of `table`'s rows, as a query sees them.
[[nodiscard]] inline std::string versions_table(std::string_view table) {
  return std::string(table) + "__history";
}
/// The trigger of `table` that does `what`.
[[nodiscard]] inline std::string capture_trigger(std::string_view table, std::string_view what) {
  return std::string(table) + "__capture_" + std::string(what);
}
[[nodiscard]] inline bool is_capture_trigger(std::string_view name) {
  return name.find("__capture_") != std::string_view::npos;
}

/// Names a schema may not use, in any case: they are SQLite's or the framework's.
[[nodiscard]] inline bool is_reserved_name(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower.empty() || lower.starts_with('_') || lower.starts_with("sqlite_") ||
         lower.starts_with("keelson_") || lower.starts_with("pragma_") || lower == "dbstat" ||
         lower.find("__") != std::string::npos;
}

}  // namespace keelson::projections
