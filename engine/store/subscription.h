// Catch-up subscription: history, then live, with no gap and no double.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/store/partition.h"
#include "engine/store/position.h"

namespace keelson {

class Topic;

/// Events must pass every filter that is set.
struct EventFilter {
  std::vector<std::string> types;  ///< any of these; empty: all
  std::optional<std::string> stream;
  std::optional<std::string> stream_prefix;

  [[nodiscard]] bool matches(const EventView& event) const;
};

/// Reads the events of a topic, each partition in its order, partitions interleaved fairly. It is
/// pulled: nothing is buffered for a slow reader, who is served from the log when it asks again.
/// Not thread-safe; must not outlive the store.
class Subscription {
 public:
  /// @param from  first event wanted in each partition.
  /// @param only  of these partitions; none: of all.
  /// @error beyond_end, below_start
  /// @error not_leader, not_enough_replicas, bad_request  it is not here: as `check_here`.
  [[nodiscard]] static Result<std::unique_ptr<Subscription>> open(
      Topic& topic, const Position& from, EventFilter filter,
      const std::vector<PartitionId>& only = {});
  virtual ~Subscription() = default;

  /// What a poll did.
  struct Polled {
    std::size_t delivered = 0;
    bool caught_up = false;  ///< every partition was at its committed end
  };
  /// Hands up to `events_max` matching events to `visit` (false stops after that event), looking at
  /// no more than `scan_max` events in all, so that a call stays short whatever the filter.
  /// @error as `open`; when a partition has left this node, after all that it had.
  [[nodiscard]] virtual Result<Polled> poll(std::size_t events_max, std::size_t scan_max,
                                            const EventVisitor& visit) = 0;

  /// All below has been delivered or filtered out.
  [[nodiscard]] virtual const Position& position() const = 0;

  /// Calls `task` once, on no particular thread, when a poll may find more.
  [[nodiscard]] virtual std::unique_ptr<Registration> when_more(Task task) const = 0;
};

}  // namespace keelson
