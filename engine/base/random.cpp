#include "engine/base/random.h"

#include <sys/random.h>

#include <cstring>

#include "engine/base/check.h"

namespace keelson {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  const ssize_t got = ::getrandom(&value, sizeof value, 0);
  KEELSON_ASSERT(got == static_cast<ssize_t>(sizeof value));
  return value;
}

Uuid make_uuid(Random& random) {
  const std::array<std::uint64_t, 2> words{random.next(), random.next()};
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), words.data(), sizeof words);
  return uuid;
}

std::string to_hex(const Uuid& uuid) {
  std::string text;
  for (const std::byte byte : uuid.bytes) {
    text += kHexDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kHexDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

std::optional<Uuid> uuid_from_hex(std::string_view text) {
  Uuid uuid;
  if (text.size() != 2 * uuid.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    const auto high = kHexDigits.find(text[2 * i]);
    const auto low = kHexDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    uuid.bytes[i] = static_cast<std::byte>(high << 4 | low);
  }
  return uuid;
}

}  // namespace keelson
