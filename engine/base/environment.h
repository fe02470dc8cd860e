// Everything the engine takes from the outside world, in one place.
#pragma once

namespace keelson {

class Clock;
class Random;
class Scheduler;
namespace io {
class FileSystem;
}

/// References to the injected ports; they must outlive whatever is opened with them.
struct Environment {
  io::FileSystem& files;
  Clock& clock;
  Random& random;
  Scheduler& scheduler;
};

}  // namespace keelson
