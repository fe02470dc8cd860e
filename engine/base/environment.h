// Everything the engine takes from the outside world, in one place.
#pragma once

#include <functional>

#include "engine/base/result.h"

namespace keelson {

class Clock;
class Random;
class Scheduler;
namespace io {
class FileSystem;
}

/// Says why on stderr and ends the process at once, without running destructors that might write.
[[noreturn]] void end_this_process(const Error& error);

/// References to the injected ports; they must outlive whatever is opened with them.
struct Environment {
  io::FileSystem& files;
  Clock& clock;
  Random& random;
  Scheduler& scheduler;
  /// Called when a sync has failed: what was written may be lost, and no second try would show it;
  /// and when another process uses the data folder's identity (`locked`): one more word of this one
  /// could count for the other.
  /// A server's does not return. That of a test takes the disk away from the store first: what the
  /// store does until it is dropped then comes to nothing.
  std::function<void(const Error&)> end_process = end_this_process;
};

}  // namespace keelson
