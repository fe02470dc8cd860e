// What waits to be sent on one connection. Private to the library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/replication/transport.h"
#include "engine/transport/frame.h"

namespace keelson::transport {

using replication::Flow;

struct Outgoing {
  Flow flow;
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
/// Items of a flow go out in the order they came. Between flows those whose next item is small have
/// precedence, each in its turn: a heartbeat or a vote does not wait for all that another partition
/// lacks. Large ones have a share all the same, so that neither starves.
///
/// Bytes count from `push` until they are `written`. One item is always taken when nothing is
/// waiting, however large, and small ones still where large ones are refused. Thread-safe.
class Outbox {
 public:
  Outbox(std::uint64_t seed, std::size_t bytes_max) : seed_(seed), bytes_max_(bytes_max) {}

  /// Of the checksums of frames.
  [[nodiscard]] std::uint64_t seed() const { return seed_; }

  enum class Writer { awake, to_be_woken };
  /// @return whether the writer waits for this.
  /// @error closed, overloaded  nothing is queued.
  [[nodiscard]] Result<Writer> push(Outgoing item);

  /// The next items, of about `bytes_max` together; at most `items_max`, and none after a large one
  /// or one with a region. When there are none the writer must wait to be woken.
  [[nodiscard]] std::vector<Outgoing> take(std::size_t items_max, std::size_t bytes_max);
  void written(std::size_t bytes);
  /// Not written yet.
  [[nodiscard]] std::size_t bytes() const;
  /// Drops what waits; nothing more is taken.
  void close();

 private:
  /// Puts a flow at the end of those whose next item is like its own.
  void line_up(Flow flow);

  const std::uint64_t seed_;
  const std::size_t bytes_max_;

  mutable std::mutex mutex_;
  std::map<Flow, std::deque<Outgoing>> flows_;  ///< none of them empty
  std::deque<Flow> small_;                      ///< each flow is in one of these, once
  std::deque<Flow> large_;
  std::size_t small_bytes_ = 0;  ///< taken while a large one waited
  std::size_t bytes_ = 0;
  bool writer_waits_ = true;
  bool closed_ = false;
};

}  // namespace keelson::transport
