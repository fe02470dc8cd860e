// A segment opened for reading, and the bounded set of those.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/compressed_segment.h"
#include "engine/log/segment_files.h"
#include "engine/log/segment_index.h"
#include "engine/log/verified_batches.h"

namespace keelson::log {

class OpenSegments;

/// An open segment file, mapped. Whoever holds it may read it, also after retention has removed the
/// file's name.
struct SegmentFile {
  std::string path;
  std::unique_ptr<io::File> file;  ///< nullptr when it is compressed
  std::unique_ptr<const CompressedSegment> compressed;
  std::string_view bytes;  ///< all of it; unused bytes are zero. See `need` and `check_read`
  std::weak_ptr<OpenSegments> open_segments;  ///< bound what is decompressed; perhaps none

  [[nodiscard]] static Result<std::shared_ptr<SegmentFile>> open(io::FileSystem& files,
                                                                 std::string path,
                                                                 io::OpenMode mode);
  /// For reading, whatever its form; `path` is that of the plain file.
  /// @param open_segments  bound what is decompressed, together with all others; perhaps none.
  [[nodiscard]] static Result<std::shared_ptr<SegmentFile>> open_form(
      io::FileSystem& files, const std::string& path, SegmentForm form,
      std::weak_ptr<OpenSegments> open_segments);

  /// Before bytes of [position, position + length) are read: a compressed segment is decompressed
  /// in parts. What has been needed once stays readable as long as this object.
  /// @error corruption  that part is damaged; context has the file.
  [[nodiscard]] Result<void> need(std::uint64_t position, std::uint64_t length) const {
    return compressed == nullptr ? Result<void>() : decompress(position, length);
  }

  /// After bytes of [position, position + length) were read, and before what they say is believed:
  /// what the disk cannot read shows as zeros. What has been copied before is good.
  /// @error corruption  a part of it could not be read; context has file and byte.
  [[nodiscard]] Result<void> check_read(std::uint64_t position, std::uint64_t length) const {
    // What is compressed has been checked when it was decompressed.
    return faults == nullptr || !faults->any() ? Result<void>() : find_fault(position, length);
  }
  [[nodiscard]] Result<void> check_read() const { return check_read(0, bytes.size()); }

  const io::ReadFaults* faults = nullptr;  ///< of `file`

 private:
  [[nodiscard]] Result<void> decompress(std::uint64_t position, std::uint64_t length) const;
  [[nodiscard]] Result<void> find_fault(std::uint64_t position, std::uint64_t length) const;
};

/// Something opened for reading that `OpenSegments` can hold.
class Opened {
 public:
  virtual ~Opened() = default;
  /// What it holds of memory that is not a mapped file.
  [[nodiscard]] virtual std::uint64_t memory_bytes() const { return 0; }

 private:
  friend class OpenSegments;
  mutable std::atomic<std::uint64_t> used_{0};  ///< when, by the clock of `OpenSegments`
};

/// What all readers of a segment share while one of them, or `OpenSegments`, holds it: its bytes,
/// its index, and which of its batches have been verified. Thread-safe.
class OpenSegment final : public Opened {
 public:
  /// @param file         nullptr: retention has removed it.
  /// @param batches_max  how many batches it can remember as verified.
  OpenSegment(std::shared_ptr<const SegmentFile> file, std::shared_ptr<const SegmentIndex> index,
              std::size_t batches_max)
      : verified(batches_max), file_(std::move(file)), index_(std::move(index)) {}

  [[nodiscard]] bool removed() const { return file_ == nullptr; }
  /// Of one that has not been removed.
  [[nodiscard]] const SegmentFile& file() const { return *file_; }
  [[nodiscard]] const std::shared_ptr<const SegmentFile>& shared_file() const { return file_; }
  [[nodiscard]] const SegmentIndex& index() const { return *index_; }
  [[nodiscard]] std::uint64_t memory_bytes() const override {
    return removed() || !file_->compressed ? 0 : file_->compressed->inflated_bytes();
  }

  mutable VerifiedBatches verified;

 private:
  const std::shared_ptr<const SegmentFile> file_;
  const std::shared_ptr<const SegmentIndex> index_;
};

/// Holds the sealed segments, and the filters of groups of them, that were read last, so that a
/// reader seldom has to open one. What it holds is bounded, however many there are: for each at
/// most two descriptors, two mappings, two bits for each batch and one for each 4 KiB of index. And
/// of all together so many bytes of decompressed segments. Shared by all partitions of a store.
/// Thread-safe.
///
/// What falls out is closed when its last reader lets go of it, and opened again when it
/// is read again: then its checksums are verified anew.
class OpenSegments {
 public:
  static constexpr std::size_t kSegmentsDefault = 256;

  static constexpr std::uint64_t kMemoryBytesDefault = 256u << 20;

  /// @param segments_max  at least 1.
  explicit OpenSegments(std::size_t segments_max = kSegmentsDefault,
                        std::uint64_t memory_bytes_max = kMemoryBytesDefault);

  /// Holds `opened`, in place of the one that has not been used for longest.
  void keep(std::shared_ptr<const Opened> opened);
  /// Says that `opened` is in use. Cheap: time passes when something is opened, not before.
  void touch(const Opened& opened) const {
    const std::uint64_t now = clock_.load(std::memory_order_relaxed);
    if (opened.used_.load(std::memory_order_relaxed) != now) {
      opened.used_.store(now, std::memory_order_relaxed);
    }
  }
  /// Lets go of `opened`: its file has been replaced or removed, and takes room as long as it is
  /// open.
  void drop(const Opened& opened);
  /// Something held takes more memory than before: lets go of what has not been used for longest,
  /// as long as all of it takes too much.
  void shrink();
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t memory_bytes() const;

 private:
  const std::size_t segments_max_;
  const std::uint64_t memory_bytes_max_;
  std::atomic<std::uint64_t> clock_{1};
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Opened>> held_;
};

/// What opening a segment of a log takes.
struct SegmentContext {
  io::FileSystem& files;
  Uuid identity;  ///< of the partition
  std::shared_ptr<OpenSegments> open;
};

}  // namespace keelson::log
