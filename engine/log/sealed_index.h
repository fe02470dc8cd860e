// The index of a sealed segment, over the bytes of its file. The layout is docs/index-format.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/io/read_faults.h"
#include "engine/log/batch.h"
#include "engine/log/sealed_index_format.h"
#include "engine/log/segment_index.h"

namespace keelson::log {

/// The segment that an index file belongs to.
struct SegmentId {
  Uuid partition;
  BatchNo first_batch;
  Offset base_offset;          ///< of its first event
  std::uint64_t used_end = 0;  ///< where its batches end in its file, in bytes
  bool operator==(const SegmentId&) const = default;
};

/// Reads an index file where it lies, usually mapped: owns none of its bytes, and in memory only
/// one bit per 4 KiB of it.
///
/// The bytes came from a disk. Opening checks the header and the table of block checksums (0.2 % of
/// the file), so that opening a store reads little however long its history. Every look-up checks
/// the blocks it touches at their first use and remembers that it has: first use costs one pass of
/// XXH3 over 4 KiB, under a microsecond. What a block says is bounds-checked as well, so that
/// damage, even with right checksums, gives an error or an answer that the log contradicts, and
/// never a read outside the file. A crash leaves no trace here: an index file is replaced as a
/// whole, and made again from its segment when it is missing or damaged.
///
/// A look-up for an absent key touches one cache line of the file, but for one in about 150.
class SealedIndex final : public SegmentIndex {
 public:
  /// @param bytes   the whole file; must outlive the index.
  /// @param faults  what of it cannot be read, if it is mapped; must outlive the index.
  /// @error corruption          too short, cut, damaged in the header or the checksums, or the
  /// index
  ///                            of another segment.
  /// @error unsupported_format  of a later version.
  [[nodiscard]] static Result<std::unique_ptr<SealedIndex>> open(
      std::string_view bytes, const SegmentId& segment, const io::ReadFaults* faults = nullptr);

  /// The segment that the index in `bytes` says it belongs to: for one whose segment is gone.
  /// @error corruption, unsupported_format  as `open`, for the header alone.
  [[nodiscard]] static Result<SegmentId> owner_of(std::string_view bytes);

  [[nodiscard]] std::uint32_t batch_count() const override { return counts_.batches; }
  [[nodiscard]] std::uint32_t event_count() const override { return counts_.events; }
  /// Of its file.
  [[nodiscard]] std::uint64_t file_bytes() const { return layout_.file_bytes; }
  [[nodiscard]] bool damaged() const override { return damaged_.load(std::memory_order_relaxed); }
  [[nodiscard]] Result<BatchEntry> batch(std::uint32_t i) const override;
  [[nodiscard]] Result<void> find_batches(std::span<const Posting> postings,
                                          std::span<BatchExtent> extents) const override;
  [[nodiscard]] Result<std::optional<StreamPostings>> find_stream(
      const StreamKey& key) const override;
  [[nodiscard]] Result<std::optional<CommitPlace>> find_command(
      std::uint64_t hash, const CommitMatch& matches) const override;

  /// For whoever makes a filter over many indexes. Hashes stand in ascending order.
  [[nodiscard]] std::uint32_t stream_count() const { return counts_.streams; }
  [[nodiscard]] std::uint32_t commit_count() const { return counts_.commits; }
  [[nodiscard]] Result<std::uint64_t> stream_hash(std::uint32_t i) const;
  [[nodiscard]] Result<std::uint64_t> commit_hash(std::uint32_t i) const;

  /// Checks every block, also those that no look-up has touched: for verifying a store.
  [[nodiscard]] Result<void> check_all() const;

 private:
  SealedIndex(std::string_view bytes, const SegmentId& segment, const IndexCounts& counts,
              const io::ReadFaults* faults);

  /// What a look-up makes of the bytes, once it has read them: an error when any of the file could
  /// not be read, as zeros are shown then.
  template <class Look>
  [[nodiscard]] auto believed(const Look& look) const -> decltype(look()) {
    auto found = look();
    if (faults_ != nullptr && faults_->any()) return found_damaged("a part of it cannot be read");
    return found;
  }

  /// A section of entries sorted by hash, with the filter and the directory in front of it.
  struct HashedSection {
    const KeyTable& table;
    std::uint64_t filter;
    std::uint64_t directory;
    std::uint64_t entries;
    std::uint32_t entry_count;
    std::size_t entry_bytes;
  };
  /// Entries of a section.
  struct EntryRange {
    std::uint32_t first;
    std::uint32_t end;
  };
  [[nodiscard]] HashedSection stream_section() const;
  [[nodiscard]] HashedSection command_section() const;
  [[nodiscard]] Result<bool> may_contain(const HashedSection& section, std::uint64_t hash) const;
  /// The entries from the first one with `hash` to the end of its bucket; nothing when there can be
  /// none.
  [[nodiscard]] Result<EntryRange> candidates(const HashedSection& section,
                                              std::uint64_t hash) const;
  [[nodiscard]] Result<std::uint64_t> hash_at(const HashedSection& section, std::uint32_t i) const;

  /// `length` bytes at `position`, their blocks checked.
  [[nodiscard]] Result<std::string_view> checked(std::uint64_t position,
                                                 std::uint64_t length) const;
  [[nodiscard]] bool is_checked(std::uint64_t block) const;
  [[nodiscard]] Result<void> check_block(std::uint64_t block) const;
  [[nodiscard]] std::unexpected<Error> found_damaged(std::string_view what) const;

  [[nodiscard]] Result<StreamPostings> postings_of(std::string_view stream_entry) const;
  [[nodiscard]] Result<Posting> posting(std::uint64_t i) const;
  [[nodiscard]] Result<void> copy_postings(std::uint32_t handle, std::uint32_t count,
                                           std::uint32_t first,
                                           std::span<Posting> out) const override;
  [[nodiscard]] Result<std::uint32_t> count_postings_before(
      std::uint32_t handle, std::uint32_t count, std::uint64_t relative_offset) const override;

  const std::string_view bytes_;
  const io::ReadFaults* const faults_;
  const BatchNo first_batch_;
  const ChecksumSeed seed_;
  const IndexCounts counts_;
  const IndexLayout layout_;
  /// A bit per block that has been checked. Relaxed: two threads may check one block, no harm done.
  const std::unique_ptr<std::atomic<std::uint64_t>[]> checked_blocks_;
  mutable std::atomic<bool> damaged_ = false;
};

}  // namespace keelson::log
