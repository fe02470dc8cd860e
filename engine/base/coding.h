// Little-endian numbers in byte strings. A decoder checks that there are bytes enough first.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/base/check.h"

namespace keelson {

static_assert(std::endian::native == std::endian::little,
              "the log is little-endian and is read where it lies");

template <std::integral T>
void put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

template <std::integral T>
void append(std::string& to, T value) {
  char bytes[sizeof value];
  put(bytes, value);
  to.append(bytes, sizeof bytes);
}

/// The number at `position`, which must lie within `bytes`.
template <std::integral T>
[[nodiscard]] T get(std::string_view bytes, std::size_t position) {
  KEELSON_ASSERT(position <= bytes.size() && sizeof(T) <= bytes.size() - position);
  T value;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

/// The bytes of a fixed-size array of them, as text.
template <class Array>
[[nodiscard]] std::string_view bytes_of(const Array& array) {
  return {reinterpret_cast<const char*>(array.data()), array.size()};
}

}  // namespace keelson
