// Rows as JSON text, exactly as SQLite has them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

struct sqlite3_stmt;

namespace keelson::projections {

/// Appends `text` as a JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

/// Appends a column of the current row: integers with all their digits, reals so that they read
/// back the same and look like reals (`5.0`), infinity as null, BLOBs as base64 text.
void append_json_column(std::string& out, sqlite3_stmt* row, int column);

/// RFC 4648, section 4, with padding.
[[nodiscard]] std::string base64(std::string_view bytes);
/// Nothing when `text` is not base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace keelson::projections
