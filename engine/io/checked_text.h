// Small text files whose last line is a checksum of the lines before.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace keelson::io {

/// `lines` and the line `checksum` with 16 hexadecimal digits of their XXH3.
[[nodiscard]] std::string with_checksum(std::string lines);

/// The lines before the checksum, of `text` itself.
/// @error corruption  there is no such last line, or it does not match.
[[nodiscard]] Result<std::string_view> without_checksum(std::string_view text);

}  // namespace keelson::io
