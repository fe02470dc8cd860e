#include "engine/base/random.h"

#include <sys/random.h>

#include <cstring>

#include "engine/base/check.h"

namespace keelson {

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

}  // namespace keelson
