// The two clocks, injected: nothing in engine asks the system for the time directly.
#pragma once

#include <chrono>

#include "engine/base/types.h"

namespace keelson {

/// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall-clock time, UTC. May jump; the log never lets commit times go back.
  [[nodiscard]] virtual TimeUs now() const = 0;
  /// Never goes back; for timeouts and latencies only.
  [[nodiscard]] virtual std::chrono::nanoseconds monotonic() const = 0;
};

/// The operating system's clocks.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimeUs now() const override;
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override;
};

}  // namespace keelson
