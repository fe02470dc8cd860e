// Reading the events of a stream, over the segments that they lie in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/log/indexed_segment.h"
#include "engine/log/partition_log.h"
#include "engine/log/record.h"
#include "engine/log/segment.h"
#include "engine/log/segment_index.h"

namespace keelson::log {

/// The events of a stream that are wanted of one segment.
struct StreamPart {
  std::shared_ptr<Segment> segment;
  std::optional<IndexedSegment> open;
  std::optional<StreamPostings> postings;  ///< valid as long as `open`
  Version first;                           ///< versions [first, end), at least one
  Version end;
};

/// Gives the events of one part after another. They lie far apart, each with its commit and the
/// head of its batch in pages of their own, so the time to read them is the time of waiting for
/// memory. Therefore many are waited for together: a chunk of them is asked for, in one go, before
/// the chunk before it is decoded.
class StreamReader {
 public:
  /// Of `slice` it takes the stream's name, which must outlive it, the direction, and whether
  /// command ids are wanted.
  explicit StreamReader(const StreamSlice& slice)
      : stream_(slice.stream), backward_(slice.backward), command_ids_(slice.command_ids) {}
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  /// Whether it could go on asking for events already, if it were given the next part.
  [[nodiscard]] bool wants_part() const { return part_ == nullptr && asked_->count == 0; }
  /// Gives it the next part, which is open, when it wants one.
  /// @error corruption  as `next`.
  [[nodiscard]] Result<void> add(StreamPart part);

  /// The next event; nullptr after the last one of all parts so far. Valid until the next call.
  /// @error corruption  context has file and byte.
  [[nodiscard]] Result<const FoundEvent*> next();
  /// After the event that `next` gave was used: it lies in the file, where what the disk cannot
  /// read shows as zeros.
  /// @error corruption  what was seen of it is nothing.
  [[nodiscard]] Result<void> check_given() const;

 private:
  /// More than memory answers at once, and few enough that what was asked for is still in the cache
  /// when it is used.
  static constexpr std::size_t kChunkEvents = 32;

  /// Events of one part, in the order of their versions.
  struct Chunk {
    std::shared_ptr<const StreamPart> part;
    Version first;
    std::size_t count = 0;
    std::array<Posting, kChunkEvents> postings;
    std::array<BatchExtent, kChunkEvents> batches;
    std::array<std::string_view, kChunkEvents> bodies;  ///< of the batches; empty where compressed
  };

  /// Where in `entered_` the event is that was given last.
  [[nodiscard]] std::size_t last_given() const {
    return backward_ ? entered_->count - given_ : given_ - 1;
  }
  [[nodiscard]] Result<void> next_chunk();
  [[nodiscard]] Result<void> ask(Chunk& chunk);
  [[nodiscard]] Result<void> enter(Chunk& chunk) const;
  [[nodiscard]] Result<void> decode(const Chunk& chunk, std::size_t i);

  const std::string_view stream_;
  const bool backward_;
  const bool command_ids_;
  std::shared_ptr<StreamPart> part_;  ///< what is left to be asked for; nullptr: nothing
  std::array<Chunk, 2> chunks_;
  Chunk* asked_ = &chunks_[0];    ///< its events are on their way from memory
  Chunk* entered_ = &chunks_[1];  ///< its events are given
  std::size_t given_ = 0;         ///< of them, the last one included
  FoundEvent event_;
};

}  // namespace keelson::log
