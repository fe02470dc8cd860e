#include "engine/base/clock.h"

namespace keelson {

TimeUs SystemClock::now() const {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return TimeUs(std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count());
}

std::chrono::nanoseconds SystemClock::monotonic() const {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace keelson
