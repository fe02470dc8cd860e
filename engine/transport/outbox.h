// What waits to be sent on one connection. Private to the library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/replication/transport.h"
#include "engine/transport/frame.h"

namespace keelson::transport {

struct Outgoing {
  FrameHeader header;
  std::string message;
  std::optional<replication::FileRegion> region;

  /// Empty messages, too, take memory.
  [[nodiscard]] std::size_t bytes() const {
    return sizeof *this + message.size() + (region ? region->length : 0);
  }
};

/// A bounded queue between those who send and the one who writes. Each connection has its own, so
/// that nothing given to an older connection can go out on a newer one.
///
/// Bytes count from `push` until they are `written`. One item is always taken when nothing is
/// waiting, however large. Thread-safe.
class Outbox {
 public:
  Outbox(std::uint64_t seed, std::size_t bytes_max) : seed_(seed), bytes_max_(bytes_max) {}

  /// Of the checksums of frames.
  [[nodiscard]] std::uint64_t seed() const { return seed_; }

  enum class Writer { awake, to_be_woken };
  /// @return whether the writer waits for this.
  /// @error closed, overloaded  nothing is queued.
  [[nodiscard]] Result<Writer> push(Outgoing item);

  /// The next items, of about `bytes_max` together; at most `items_max`, and none after one with a
  /// region. When there are none the writer must wait to be woken.
  [[nodiscard]] std::vector<Outgoing> take(std::size_t items_max, std::size_t bytes_max);
  void written(std::size_t bytes);
  /// Drops what waits; nothing more is taken.
  void close();

 private:
  const std::uint64_t seed_;
  const std::size_t bytes_max_;

  std::mutex mutex_;
  std::deque<Outgoing> items_;
  std::size_t bytes_ = 0;
  bool writer_waits_ = true;
  bool closed_ = false;
};

}  // namespace keelson::transport
