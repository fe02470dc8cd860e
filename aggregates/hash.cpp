#include "aggregates/hash.h"

#include <openssl/evp.h>

#include <cstdint>
#include <cstring>
#include <memory>

#include "engine/base/check.h"

namespace keelson::aggregates {

namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

/// Looking an algorithm up costs OpenSSL more than hashing a command with it does.
const EVP_MD* sha256() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

}  // namespace

Hash128 hash128(std::initializer_list<std::string_view> parts) {
  thread_local const DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good = context != nullptr && EVP_DigestInit_ex(context.get(), sha256(), nullptr) == 1;
  for (const std::string_view part : parts) {
    std::array<unsigned char, 8> length{};
    for (std::size_t i = 0; i < length.size(); ++i) {
      length[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(part.size()) >> (8 * i));
    }
    good = good && EVP_DigestUpdate(context.get(), length.data(), length.size()) == 1 &&
           EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> full{};
  good = good && EVP_DigestFinal_ex(context.get(), full.data(), nullptr) == 1;
  KEELSON_ASSERT(good);  // only without memory or without SHA-256 in OpenSSL
  Hash128 hash;
  std::memcpy(hash.data(), full.data(), hash.size());
  return hash;
}

std::string to_hex(const Hash128& hash) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : hash) {
    text += kDigits[std::to_integer<unsigned>(byte >> 4)];
    text += kDigits[std::to_integer<unsigned>(byte & std::byte{0x0f})];
  }
  return text;
}

}  // namespace keelson::aggregates
