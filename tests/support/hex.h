// Bytes as text in tests, and back.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace keelson::test {

[[nodiscard]] inline std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte / 16];
    text += kDigits[byte % 16];
  }
  return text;
}

template <class Array>
[[nodiscard]] std::string to_hex(const Array& bytes) requires requires {
  bytes.data(), bytes.size();
}
{ return to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())); }

/// White space is passed over.
[[nodiscard]] inline std::string from_hex(std::string_view text) {
  std::string bytes;
  int high = -1;
  for (const char c : text) {
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) continue;
    if (high < 0) {
      high = static_cast<int>(digit);
    } else {
      bytes += static_cast<char>(high * 16 + static_cast<int>(digit));
      high = -1;
    }
  }
  return bytes;
}

}  // namespace keelson::test
