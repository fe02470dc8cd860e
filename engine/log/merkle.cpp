// SHA-256 by OpenSSL's low-level functions: they cost a third less than EVP for messages as short
// as ours (docs/decisions/0013-sha256-calls.md), and are deprecated, so they are called here only.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "engine/log/merkle.h"

#include <openssl/sha.h>

#include <bit>
#include <utility>

#include "engine/base/check.h"

namespace keelson::log {

namespace {

static_assert(SHA256_DIGEST_LENGTH == kHashBytes);

// RFC 9162, 2.1.1: one byte keeps leaves and nodes apart, so that a node's two hashes cannot be
// passed off as an event.
constexpr unsigned char kLeafPrefix = 0;
constexpr unsigned char kNodePrefix = 1;

Hash finish(SHA256_CTX& context) {
  Hash hash;
  SHA256_Final(reinterpret_cast<unsigned char*>(hash.data()), &context);
  return hash;
}

}  // namespace

Hash leaf_hash(std::string_view leaf) {
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, &kLeafPrefix, 1);
  SHA256_Update(&context, leaf.data(), leaf.size());
  return finish(context);
}

Hash node_hash(const Hash& left, const Hash& right) {
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, &kNodePrefix, 1);
  SHA256_Update(&context, left.data(), left.size());
  SHA256_Update(&context, right.data(), right.size());
  return finish(context);
}

Hash empty_tree_hash() {
  SHA256_CTX context;
  SHA256_Init(&context);
  return finish(context);
}

MerkleFrontier::MerkleFrontier(std::uint64_t leaves, std::vector<Hash> peaks)
    : leaves_(leaves), peaks_(std::move(peaks)) {
  KEELSON_ASSERT(peaks_.size() == static_cast<std::size_t>(std::popcount(leaves_)));
}

void MerkleFrontier::add_hash(const Hash& leaf) {
  Hash hash = leaf;
  // As in binary addition: each trailing one of the count is a full subtree that the new one joins.
  for (int carries = std::countr_one(leaves_); carries > 0; --carries) {
    hash = node_hash(peaks_.back(), hash);
    peaks_.pop_back();
  }
  peaks_.push_back(hash);
  ++leaves_;
}

Hash MerkleFrontier::root() const {
  if (peaks_.empty()) return empty_tree_hash();
  Hash root = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i > 0; --i) root = node_hash(peaks_[i - 1], root);
  return root;
}

}  // namespace keelson::log
