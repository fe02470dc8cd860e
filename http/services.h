// What route handlers work with, in one place.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "engine/base/environment.h"
#include "engine/base/scheduler.h"
#include "engine/store/partition.h"

namespace keelson {
class Store;
namespace aggregates {
class AggregateHost;
}
namespace projections {
class ProjectionHost;
}
}  // namespace keelson

namespace keelson::http {

class Metrics;
class Router;

/// Cancellable timers. Thread-safe.
class Timers {
 public:
  virtual ~Timers() = default;
  /// Runs `task` once, `delay` or more from now, on no particular thread; dropping the registration
  /// cancels.
  [[nodiscard]] virtual std::unique_ptr<Registration> after(std::chrono::milliseconds delay,
                                                            Task task) = 0;
};

/// Threads for work that blocks, in front of a bounded queue. Thread-safe.
class WorkPool {
 public:
  virtual ~WorkPool() = default;
  /// False when the queue is full or the pool stops: the task is dropped, unrun.
  [[nodiscard]] virtual bool post(Task task) = 0;
  /// Runs what ends a request that is in work already, however full the queue is: an answer must
  /// not be lost, and must not be made on a thread that serves others. There are never more of
  /// these than requests in work, which are bounded. Runs it at once when the pool stops, or has
  /// stopped.
  virtual void post_ending(Task task) = 0;
};

/// Everything outlives the handlers and what they leave with the work pool. `store`, `timers` and
/// `work` outlive what they leave with the engine as well, which may complete when the server, the
/// aggregates and the projections are gone: see `Service`.
struct Services {
  Environment environment;
  Store& store;
  /// The application's own; nullptr in a server without domain code.
  aggregates::AggregateHost* aggregates = nullptr;
  projections::ProjectionHost* projections = nullptr;
  Timers& timers;
  WorkPool& work;
  Metrics& metrics;
  std::string http_address{};  ///< where clients reach this node of a cluster
};

enum class Woken {
  event,        ///< what was waited for has happened
  timeout,      ///< the time is over
  interrupted,  ///< the client has gone or the server stops
};

/// Waits for one thing, at most for a time: calls `done` exactly once, on the work pool.
/// @param arm  registers a one-shot wake-up for what is waited for (`Partition::when_past`, …); an
///             empty registration means that it never comes.
void wait_for(Services& services, std::chrono::milliseconds time, std::stop_token interrupted,
              const std::function<std::unique_ptr<Registration>(Task)>& arm,
              std::move_only_function<void(Woken)> done);

}  // namespace keelson::http
