// The index of the segment being written, in memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>

#include "engine/log/append_arena.h"
#include "engine/log/segment_index.h"

namespace keelson::log {

/// Owns the postings of one unsealed segment. The only index that lives in memory: when its segment
/// is sealed it is written out (`seal_index`) and dropped, so a partition's memory does not grow
/// with its history. Lost in a crash, and made again by scanning the segment.
///
/// A stream's postings stand in blocks, each twice as long as the one before and linked to it; the
/// first posting, often the only one, stands with the stream. So reading a stream follows one link
/// for many events, any version, and the newest version below an offset, is O(log n) steps away,
/// and nothing moves when a stream grows.
///
/// Memory: 56 bytes per stream and its name once; 12 bytes per further event, twice that while its
/// stream's last block is not full, and 16 per block; 28 per commit with a command id, 24 per
/// batch, each of these two up to twice that while its arena's last chunk is not full
/// (`AppendArena`); and two tables of 4 bytes per 512 bytes of segment. For a 64 MiB segment of
/// 300,000 commits of one event of 220 bytes in 20,000 streams that is 1 + 5 + 8 + 7 + 1 MB, and
/// with the unused ends 23 MB.
///
/// Hash tables: lists hung into a fixed number of buckets, chosen from the size of the segment
/// because nothing moves here. The smallest commit with an event takes about 100 bytes of log, so
/// even then five entries share a bucket on average, and two in common use. What repeats does not
/// lengthen a list: all events of a stream, and all commits under one hash, hang from one entry.
///
/// Threads: add_batch, add_event and add_commit by one writer; `publish` by one thread at a time,
/// which may be another; look-ups by any thread, without locks. Invariants: an entry is complete
/// before it is linked or counted (release), and is never changed or moved afterwards, but for
/// links to newer ones. A reader takes the published counts first and ignores what is later, so it
/// never sees a part of a batch.
class TailIndex final : public SegmentIndex {
 public:
  /// @param segment_bytes  size of the segment's file, up to 1 GiB.
  explicit TailIndex(std::uint64_t segment_bytes);

  // --- writer ---
  /// Begins the segment's next batch; its `event_count` events and its commits follow in log order.
  void add_batch(const BatchEntry& entry, std::uint32_t event_count);
  /// Adds the segment's next event: its relative offset is the number of events before it.
  /// @error corruption  `version` is not the next one of its stream here: versions come from the
  ///                    log's bytes, so a gap is refused and not asserted. Nothing is added.
  [[nodiscard]] Result<void> add_event(const StreamKey& key, Version version,
                                       std::uint32_t body_position);
  /// Adds a commit of the batch; of commits with one key the last one is the newest.
  void add_commit(std::uint64_t hash, std::uint32_t body_position);

  /// Makes the first `batches` batches visible, all of them added; never fewer than before.
  void publish(std::uint32_t batches);

  // --- readers ---
  [[nodiscard]] std::uint32_t batch_count() const override { return published().batches; }
  [[nodiscard]] std::uint32_t event_count() const override { return published().events; }
  [[nodiscard]] Result<BatchEntry> batch(std::uint32_t i) const override;
  [[nodiscard]] Result<void> find_batches(std::span<const Posting> postings,
                                          std::span<BatchExtent> extents) const override;
  [[nodiscard]] Result<std::optional<StreamPostings>> find_stream(
      const StreamKey& key) const override;
  [[nodiscard]] Result<std::optional<CommitPlace>> find_command(
      std::uint64_t hash, const CommitMatch& matches) const override;

  // --- sealing: all of it, published or not; on the writer's thread, or after it is done ---
  struct Counts {
    std::uint32_t batches;
    std::uint32_t events;
    std::uint32_t streams;
    std::uint32_t commits;
  };
  [[nodiscard]] Counts counts() const;
  void visit_batches(const std::function<void(const BatchEntry&)>& visit) const;
  void visit_streams(
      const std::function<void(const StreamKey&, const StreamPostings&)>& visit) const;
  /// Commits under one hash follow each other, newest first.
  void visit_commits(const std::function<void(std::uint64_t, const CommitPlace&)>& visit) const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct BatchNode {
    BatchEntry entry;
    std::uint32_t events_end;  ///< events of the segment up to and with this batch
  };

  /// Postings of a stream from the `first`-th on: `first` + 1 of them, behind this head.
  struct Block {
    const Block* previous;  ///< nullptr: before it is the stream's first posting alone
    std::uint32_t first;    ///< 1, 3, 7, …
    [[nodiscard]] const Posting* postings() const {
      return reinterpret_cast<const Posting*>(this + 1);
    }
    [[nodiscard]] Posting* postings() { return reinterpret_cast<Posting*>(this + 1); }
  };

  struct StreamNode {
    std::uint64_t hash;
    Version first_version;
    const char* name;  ///< in `memory_`
    std::uint32_t name_bytes;
    std::uint32_t next;  ///< stream in the bucket, or kNone
    Posting first;
    std::atomic<std::uint32_t> count;  ///< of its postings
    std::atomic<Block*> newest;        ///< nullptr while the first posting is the only one

    [[nodiscard]] StreamKey key() const { return {{name, name_bytes}, hash}; }
  };

  struct CommitNode {
    CommitPlace place;
    std::uint32_t previous;  ///< commit under the same hash, or kNone
  };

  /// All commits under one hash.
  struct CommandNode {
    std::uint64_t hash;
    std::uint32_t next;                 ///< command in the bucket, or kNone
    std::atomic<std::uint32_t> newest;  ///< commit
  };

  /// Heads of the buckets' lists.
  class Buckets {
   public:
    explicit Buckets(std::uint64_t segment_bytes);
    [[nodiscard]] std::atomic<std::uint32_t>& of(std::uint64_t hash) const;

   private:
    std::unique_ptr<std::atomic<std::uint32_t>[]> heads_;
    unsigned shift_;
  };

  /// Stored as one word, so that a reader sees both change together.
  struct Published {
    std::uint32_t batches;
    std::uint32_t events;
  };
  [[nodiscard]] Published published() const;

  void push_stream(const StreamKey& key, Version first_version, const Posting& first);
  void push_posting(StreamNode& stream, const Posting& posting);
  [[nodiscard]] std::uint32_t find_stream_node(const StreamKey& key) const;
  [[nodiscard]] std::uint32_t find_command_node(std::uint64_t hash) const;
  /// The block with the stream's `i`-th posting, which the reader has seen counted; nullptr for 0.
  [[nodiscard]] static const Block* block_of(const StreamNode& stream, std::uint32_t i);
  /// How many of the stream's first `count` postings lie before `relative_offset`.
  [[nodiscard]] static std::uint32_t count_before(const StreamNode& stream, std::uint32_t count,
                                                  std::uint64_t relative_offset);

  [[nodiscard]] Result<void> copy_postings(std::uint32_t handle, std::uint32_t count,
                                           std::uint32_t first,
                                           std::span<Posting> out) const override;
  [[nodiscard]] Result<std::uint32_t> count_postings_before(
      std::uint32_t handle, std::uint32_t count, std::uint64_t relative_offset) const override;

  AppendArena<BatchNode> batches_;
  AppendArena<StreamNode> streams_;
  AppendArena<CommandNode> commands_;
  AppendArena<CommitNode> commits_;
  std::pmr::monotonic_buffer_resource memory_;  ///< names and blocks
  Buckets stream_buckets_;
  Buckets command_buckets_;
  std::uint32_t event_count_ = 0;  ///< added
  std::atomic<std::uint64_t> published_{0};
};

}  // namespace keelson::log
