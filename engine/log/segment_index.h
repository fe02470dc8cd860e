// What finds things inside one segment of a partition's log. The file format is
// docs/index-format.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/log/record.h"

namespace keelson::log {

class SegmentIndex;

/// Where an event is in its segment.
struct Posting {
  std::uint32_t relative_offset = 0;  ///< its offset, less the segment's base offset
  std::uint32_t batch = 0;            ///< ordinal of its batch in the segment
  std::uint32_t body_position = 0;    ///< of the event in its batch's uncompressed body, in bytes
  bool operator==(const Posting&) const = default;
};

/// Where a commit is in its segment.
struct CommitPlace {
  std::uint32_t batch = 0;          ///< ordinal of its batch in the segment
  std::uint32_t body_position = 0;  ///< of the commit in its batch's uncompressed body, in bytes
  bool operator==(const CommitPlace&) const = default;
};

/// Where a batch is in its segment. Batches stand in log order, control batches among them.
struct BatchEntry {
  std::uint32_t file_position = 0;    ///< of the batch's header in the segment's file, in bytes
  std::uint32_t relative_offset = 0;  ///< of its first event, or of the next one when it has none
  TimeUs time;                        ///< commit time; never goes back
  bool operator==(const BatchEntry&) const = default;
};

/// Where the bytes of a batch are in its segment's file.
struct BatchExtent {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;  ///< 0: of the last one, which says itself how long it is
};

/// A stream's name with its hash, made once and asked of many segments.
struct StreamKey {
  std::string_view name;
  std::uint64_t hash = 0;
};

/// Hashes names for the indexes of one partition. Seeded with the partition's identity, so that
/// names that collide in one partition do not in another. Collisions cost time, never correctness.
/// Immutable, so usable from any thread.
class KeyHasher {
 public:
  explicit KeyHasher(const Uuid& partition);

  [[nodiscard]] StreamKey stream(std::string_view name) const;
  [[nodiscard]] std::uint64_t command(const CommandKey& key) const;

 private:
  std::uint64_t seed_;
};

/// The events of one stream in one segment, in order of version. Versions are dense: posting `i` is
/// version `first_version() + i`. A value; valid as long as its index. Errors: as in
/// `SegmentIndex`.
class StreamPostings {
 public:
  StreamPostings(const SegmentIndex& index, std::uint32_t handle, Version first_version,
                 std::uint32_t count)
      : index_(&index), handle_(handle), count_(count), first_version_(first_version) {}

  [[nodiscard]] Version first_version() const { return first_version_; }
  /// At least 1.
  [[nodiscard]] std::uint32_t count() const { return count_; }
  /// The version after the last.
  [[nodiscard]] Version end_version() const { return first_version_ + count_; }

  /// Posting `i` < count(). O(log count) at most; for more than one in a row `copy` is quicker.
  [[nodiscard]] Result<Posting> nth(std::uint32_t i) const;
  /// Fills `out` with the postings from `first` on; first + out.size() <= count().
  /// O(log count + out.size()).
  [[nodiscard]] Result<void> copy(std::uint32_t first, std::span<Posting> out) const;
  /// How many of the postings have a smaller relative offset: the stream as of an offset. O(log).
  [[nodiscard]] Result<std::uint32_t> count_before(std::uint64_t relative_offset) const;

 private:
  const SegmentIndex* index_;
  std::uint32_t handle_;  ///< the index's own
  std::uint32_t count_;
  Version first_version_;
};

/// Finds streams, commands, offsets and times in one segment. Two kinds: `TailIndex` in memory for
/// the segment being written, `SealedIndex` over an immutable file for all others.
///
/// Streams are compared by their full name. A commit is found by the hash of its key only, and the
/// caller compares the real key in the log, which it reads anyway for the outcome.
///
/// Any thread, at any time. Errors of every look-up: `corruption` when the bytes of an index file
/// are damaged; the index is then to be rebuilt from its segment. A TailIndex never fails.
class SegmentIndex {
 public:
  /// Whether the commit at a place has the key that is looked for. Its error ends the search.
  using CommitMatch = std::function<Result<bool>(const CommitPlace&)>;

  virtual ~SegmentIndex() = default;

  /// Counts of what is published; they only grow.
  [[nodiscard]] virtual std::uint32_t batch_count() const = 0;
  [[nodiscard]] virtual std::uint32_t event_count() const = 0;

  /// Whether a look-up has found it damaged.
  [[nodiscard]] virtual bool damaged() const { return false; }

  /// Batch `i` < batch_count().
  [[nodiscard]] virtual Result<BatchEntry> batch(std::uint32_t i) const = 0;
  /// Fills `extents` with that of the batch of each posting.
  [[nodiscard]] virtual Result<void> find_batches(std::span<const Posting> postings,
                                                  std::span<BatchExtent> extents) const = 0;
  /// The batch that holds the event at `relative_offset`; nothing past the last event.
  [[nodiscard]] Result<std::optional<std::uint32_t>> batch_of_offset(
      std::uint64_t relative_offset) const;
  /// The first batch committed after `time`; nothing when there is none.
  [[nodiscard]] Result<std::optional<std::uint32_t>> batch_after(TimeUs time) const;

  /// The events of a stream; nothing when it has none here.
  [[nodiscard]] virtual Result<std::optional<StreamPostings>> find_stream(
      const StreamKey& key) const = 0;

  /// The newest commit under `hash` that `matches` accepts. Candidates come newest first; nearly
  /// always there is none or one.
  [[nodiscard]] virtual Result<std::optional<CommitPlace>> find_command(
      std::uint64_t hash, const CommitMatch& matches) const = 0;

 protected:
  friend class StreamPostings;
  /// What StreamPostings asks, with arguments already checked against its count.
  [[nodiscard]] virtual Result<void> copy_postings(std::uint32_t handle, std::uint32_t count,
                                                   std::uint32_t first,
                                                   std::span<Posting> out) const = 0;
  [[nodiscard]] virtual Result<std::uint32_t> count_postings_before(
      std::uint32_t handle, std::uint32_t count, std::uint64_t relative_offset) const = 0;
};

}  // namespace keelson::log
