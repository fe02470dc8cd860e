#include "engine/log/compressed_segment.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <new>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

/// Of zstd: what it calls its default, since a segment is compressed once and in the background.
constexpr int kLevel = 3;

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "compressed segment: " + std::string(what));
}

std::unexpected<Error> unreadable(std::uint64_t byte) {
  return damaged("at byte " + std::to_string(byte) +
                 ": the disk cannot read it, or it has been cut off");
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

/// Where the frame that starts at `start` ends, of a segment of `bytes` bytes.
std::uint64_t frame_end(std::uint64_t start, std::uint64_t bytes) {
  return std::min(bytes, start == 0 ? kFirstFrameBytes : start + kFrameBytes);
}

std::string seek_table(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& frames) {
  std::string table;
  append(table, kSkippableMagic);
  append(table, static_cast<std::uint32_t>(frames.size() * kSeekEntryBytes + kSeekFootBytes));
  for (const auto& [stored, bytes] : frames) {
    append(table, stored);
    append(table, bytes);
  }
  append(table, static_cast<std::uint32_t>(frames.size()));
  append(table, std::uint8_t{0});  // no checksums here: each frame has its own
  append(table, kSeekTableMagic);
  return table;
}

/// Reads back what was written of `file`: soon it is all there is of it.
Result<void> check_copy(const io::File& file, std::uint64_t bytes, const io::File& copy,
                        const std::vector<std::pair<std::uint32_t, std::uint32_t>>& frames) {
  std::string part(kFrameBytes, '\0');
  std::uint64_t start = 0;
  std::uint64_t position = 0;
  for (const auto& [stored, length] : frames) {
    KEELSON_TRY_ASSIGN(const std::string frame, copy.read_at(position, stored));
    KEELSON_TRY_ASSIGN(const std::string original, file.read_at(start, length));
    const std::size_t size = ZSTD_decompress(part.data(), part.size(), frame.data(), frame.size());
    if (ZSTD_isError(size) != 0 || std::string_view(part).substr(0, size) != original) {
      return fail(Errc::io_error, "the compressed copy differs at byte " +
                                      std::to_string(position) + ", where byte " +
                                      std::to_string(start) + " of the segment should be");
    }
    start += length;
    position += stored;
  }
  KEELSON_ASSERT(start == bytes);
  return {};
}

}  // namespace

Result<void> compress_segment(const io::File& file, std::uint64_t bytes, io::File& to) {
  const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  if (!context) return fail(Errc::overloaded, "no memory to compress with");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> frames;
  std::string stored(ZSTD_compressBound(kFrameBytes), '\0');
  std::uint64_t written = 0;
  for (std::uint64_t start = 0; start < bytes; start = frame_end(start, bytes)) {
    const std::uint64_t length = frame_end(start, bytes) - start;
    KEELSON_TRY_ASSIGN(const std::string part, file.read_at(start, length));
    const std::size_t size =
        ZSTD_compress2(context.get(), stored.data(), stored.size(), part.data(), part.size());
    // The buffer holds whatever comes of a frame: it is memory that zstd has not got.
    if (ZSTD_isError(size) != 0) return fail(Errc::overloaded, ZSTD_getErrorName(size));
    KEELSON_TRY(to.write_at(written, std::string_view(stored).substr(0, size)));
    written += size;
    frames.emplace_back(static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(length));
  }
  KEELSON_TRY(to.write_at(written, seek_table(frames)));
  KEELSON_TRY(to.sync());
  return check_copy(file, bytes, to, frames);
}

Result<std::unique_ptr<CompressedSegment>> CompressedSegment::open(std::unique_ptr<io::File> file) {
  KEELSON_TRY_ASSIGN(const std::string_view stored, file->view());
  std::uint64_t table = 0;
  auto frames = [&]() -> Result<std::vector<Frame>> {
    if (stored.size() < kSkippableHeadBytes + kSeekFootBytes) return damaged("cut short");
    const std::string_view foot = stored.substr(stored.size() - kSeekFootBytes);
    if (get<std::uint32_t>(foot, 5) != kSeekTableMagic) return damaged("it has no table of frames");
    if (get<std::uint8_t>(foot, 4) != 0) {
      return fail(Errc::unsupported_format,
                  "compressed segment: a table of frames of another kind");
    }
    const std::uint64_t count = get<std::uint32_t>(foot, 0);
    const std::uint64_t table_bytes = count * kSeekEntryBytes + kSeekFootBytes;
    if (kSkippableHeadBytes + table_bytes > stored.size()) return damaged("the table is too long");
    table = stored.size() - table_bytes;
    if (get<std::uint32_t>(stored, table - kSkippableHeadBytes) != kSkippableMagic ||
        get<std::uint32_t>(stored, table - kSkippableHeadBytes + 4) != table_bytes) {
      return damaged("the table of frames does not begin where it should");
    }
    std::vector<Frame> found;
    found.reserve(count);
    Frame next;
    for (std::uint64_t i = 0; i < count; ++i) {
      next.file_bytes = get<std::uint32_t>(stored, table + i * kSeekEntryBytes);
      next.bytes = get<std::uint32_t>(stored, table + i * kSeekEntryBytes + 4);
      if (next.bytes == 0 || next.bytes > kFrameBytes) return damaged("a frame's size");
      found.push_back(next);
      next.file_position += next.file_bytes;
      next.position += next.bytes;
    }
    if (next.file_position != table - kSkippableHeadBytes) {
      return damaged("the frames do not end where the table begins");
    }
    if (next.position > kSegmentBytesMax + kBatchBytesMax) return damaged("too large a segment");
    return found;
  }();
  // Zeros are shown for what cannot be read; of the frames it is found when they are needed.
  if (const auto byte = file->faults().first_in(frames ? table : 0, stored.size())) {
    return unreadable(*byte);
  }
  if (!frames) return std::unexpected(std::move(frames).error());
  const std::uint64_t bytes = frames->empty() ? 0 : frames->back().position + frames->back().bytes;
  // Not touched before it is needed: the system gives a page when it is first written.
  std::unique_ptr<char[]> memory(new (std::nothrow) char[bytes]);
  if (!memory) return fail(Errc::overloaded, "no memory for a compressed segment");
  return std::unique_ptr<CompressedSegment>(
      new CompressedSegment(std::move(file), stored, *std::move(frames), std::move(memory), bytes));
}

CompressedSegment::CompressedSegment(std::unique_ptr<io::File> file, std::string_view stored,
                                     std::vector<Frame> frames, std::unique_ptr<char[]> memory,
                                     std::uint64_t size)
    : file_(std::move(file)),
      stored_(stored),
      frames_(std::move(frames)),
      size_(size),
      memory_(std::move(memory)),
      inflated_(std::make_unique<std::atomic<bool>[]>(frames_.size())) {}

Result<void> CompressedSegment::need(std::uint64_t position, std::uint64_t length) const {
  const std::uint64_t end = std::min(size_, position + std::min(length, size_));
  auto frame = std::ranges::upper_bound(frames_, position, {}, &Frame::position);
  if (frame != frames_.begin()) --frame;
  for (; frame != frames_.end() && frame->position < end; ++frame) {
    const auto i = static_cast<std::size_t>(frame - frames_.begin());
    if (!inflated_[i].load(std::memory_order_acquire)) KEELSON_TRY(inflate(i));
  }
  return {};
}

std::uint64_t CompressedSegment::frame_of(std::uint64_t position) const {
  auto frame = std::ranges::upper_bound(frames_, position, {}, &Frame::position);
  return frame == frames_.begin() ? 0 : std::prev(frame)->file_position;
}

Result<void> CompressedSegment::inflate(std::size_t i) const {
  const std::lock_guard lock(mutex_);
  if (inflated_[i].load(std::memory_order_relaxed)) return {};
  const Frame& frame = frames_[i];
  const std::string_view stored = stored_.substr(frame.file_position, frame.file_bytes);
  const std::size_t size =
      ZSTD_decompress(memory_.get() + frame.position, frame.bytes, stored.data(), stored.size());
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) {
    return fail(Errc::overloaded, "no memory to decompress with");
  }
  if (const auto byte = file_->faults().first_in(frame.file_position, frame.file_bytes)) {
    return unreadable(*byte);
  }
  if (ZSTD_isError(size) != 0 || size != frame.bytes) {
    return damaged("the frame at byte " + std::to_string(frame.file_position) + ": " +
                   (ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "of another length"));
  }
  inflated_bytes_.fetch_add(frame.bytes, std::memory_order_relaxed);
  inflated_[i].store(true, std::memory_order_release);
  return {};
}

}  // namespace keelson::log
