// SHA-256 cut to 128 bits, over parts that cannot run into each other.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace keelson::aggregates {

using Hash128 = std::array<std::byte, 16>;

/// Each part is hashed with its length: {"ab", "c"} and {"a", "bc"} differ.
[[nodiscard]] Hash128 hash128(std::initializer_list<std::string_view> parts);

/// Lowercase hexadecimal, 32 characters.
[[nodiscard]] std::string to_hex(const Hash128& hash);

}  // namespace keelson::aggregates
