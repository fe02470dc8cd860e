// The Merkle tree over a partition's events, RFC 9162 section 2.1.1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/log/log_format.h"

namespace keelson::log {

using Hash = std::array<std::byte, kHashBytes>;

/// SHA-256(0x00 || leaf).
[[nodiscard]] Hash leaf_hash(std::string_view leaf);
/// SHA-256(0x01 || left || right).
[[nodiscard]] Hash node_hash(const Hash& left, const Hash& right);
/// Of the tree without leaves: SHA-256 of nothing.
[[nodiscard]] Hash empty_tree_hash();

/// The tree while it grows: of n leaves only the roots of its full subtrees are kept, one for each
/// bit set in n, the largest first. Adding a leaf costs one leaf hash and, on average, one node
/// hash; the root costs one node hash per peak but one. A value: copy it to try an append.
class MerkleFrontier {
 public:
  MerkleFrontier() = default;
  /// @param peaks  as `peaks()` gave them for `leaves`; one per bit set.
  MerkleFrontier(std::uint64_t leaves, std::vector<Hash> peaks);

  void add(std::string_view leaf) { add_hash(leaf_hash(leaf)); }
  /// Adds the leaf with this `leaf_hash`.
  void add_hash(const Hash& leaf);
  [[nodiscard]] Hash root() const;
  [[nodiscard]] std::uint64_t leaves() const { return leaves_; }
  [[nodiscard]] const std::vector<Hash>& peaks() const { return peaks_; }

 private:
  std::uint64_t leaves_ = 0;
  std::vector<Hash> peaks_;
};

}  // namespace keelson::log
