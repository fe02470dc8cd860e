// Reads the events of one partition for one request, a piece at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/result.h"
#include "engine/store/store.h"
#include "engine/store/subscription.h"
#include "http/request.h"

namespace keelson::http {

/// What a request asks for.
struct EventQuery {
  Topic* topic = nullptr;
  PartitionId partition;
  Offset from;
  EventFilter filter;

  /// From the path and `from`, `type` (which may be given several times), `stream` and
  /// `stream_prefix`. `Last-Event-ID` is not looked at.
  /// @error bad_request, not_found
  [[nodiscard]] static Result<EventQuery> parse(Store& store, const Request& request);
};

/// Not thread-safe; must not outlive the store.
class EventReader {
 public:
  /// @error beyond_end, below_start
  [[nodiscard]] static Result<EventReader> open(const EventQuery& query);

  /// Why reading stopped.
  enum class Stopped {
    full,    ///< the visitor or a bound on one call's work: call again for more
    at_end,  ///< there is nothing more now
  };
  /// Hands matching events to `visit` until it returns false. Looks at a bounded number of events.
  [[nodiscard]] Result<Stopped> read(std::uint64_t events_max, const EventVisitor& visit);

  /// The first offset not looked at.
  [[nodiscard]] Offset next() const { return subscription_->position().next(partition_); }
  /// Calls `task` once when there may be more.
  [[nodiscard]] std::unique_ptr<Registration> when_more(Task task) const {
    return subscription_->when_more(std::move(task));
  }

 private:
  EventReader(PartitionId partition, std::unique_ptr<Subscription> subscription)
      : partition_(partition), subscription_(std::move(subscription)) {}

  PartitionId partition_;
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace keelson::http
