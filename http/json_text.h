// JSON text as bytes: writing it without a document, and checking what comes from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace keelson::http {

/// What JSON text from outside may use at most; over it: `too_large` for bytes, `bad_request` else.
struct JsonLimits {
  std::size_t bytes_max = 4u << 20;
  std::size_t depth_max = 64;  ///< objects and arrays inside each other
};

/// Appends `text` as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD, so the
/// result is valid JSON whatever `text` holds.
void append_json_string(std::string& out, std::string_view text);
[[nodiscard]] std::string json_string(std::string_view text);

void append_number(std::string& out, std::uint64_t number);

/// Appends JSON text of which each line break becomes a space. Valid JSON has line breaks between
/// its tokens only (RFC 8259, section 7), so the value stays what it was and fits on one line, as
/// NDJSON and server-sent events need it.
void append_on_one_line(std::string& out, std::string_view json);

/// Whether `text` is exactly one JSON value (RFC 8259) that every reader understands alike
/// (RFC 7493): UTF-8, no name twice in an object, no unpaired surrogates.
/// @error too_large  more than `bytes_max`. @error bad_request  the context names the byte.
[[nodiscard]] Result<void> check_json(std::string_view text, const JsonLimits& limits = {});

/// `text` without the white space between its tokens. `text` must be valid.
[[nodiscard]] std::string compact_json(std::string_view text);

}  // namespace keelson::http
