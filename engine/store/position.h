// What has been seen of a topic: an offset per partition.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"

namespace keelson {

/// The next offset wanted in each partition of a topic: everything below it has been seen. Written
/// as the last offset seen, as users count: `0:1042,1:998`, or a bare `1042` where the topic has
/// one partition; a partition of which nothing was seen is left out, and nothing at all is `-`.
class Position {
 public:
  Position() = default;
  explicit Position(std::size_t partitions) : next_(partitions) {}

  [[nodiscard]] std::size_t partitions() const { return next_.size(); }
  /// First offset of `partition` not seen.
  [[nodiscard]] Offset next(PartitionId partition) const { return next_.at(partition.value); }
  void set_next(PartitionId partition, Offset next) { next_.at(partition.value) = next; }

  /// Whether every partition is at or past `other`.
  [[nodiscard]] bool covers(const Position& other) const;

  [[nodiscard]] std::string to_string() const;
  /// @error bad_request  not a position of a topic with `partitions` partitions.
  [[nodiscard]] static Result<Position> parse(std::string_view text, std::size_t partitions);

  bool operator==(const Position&) const = default;

 private:
  std::vector<Offset> next_;
};

}  // namespace keelson
