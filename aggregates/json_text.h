// Strict reading of JSON text: what a tolerant parser would repair or drop is refused here.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace keelson::aggregates {

/// Arrays and objects nested deeper than this are refused: reading recurses once per level.
inline constexpr std::size_t kJsonDepthMax = 32;

/// Parses one JSON text (RFC 8259). Integers of 64 bits stay exact; a number with a fraction or an
/// exponent, or beyond 64 bits, becomes a floating-point value and is refused where it is read.
/// @error bad_request  not JSON, not UTF-8, an object with the same member twice (of which other
///   parsers silently keep one), or nested deeper than kJsonDepthMax. Context says where.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);

/// The one spelling of `value`: members sorted, no whitespace. Equal values have equal text.
[[nodiscard]] std::string canonical_json(const nlohmann::json& value);

/// Appends `text` to `out` as a JSON string. Bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

}  // namespace keelson::aggregates
