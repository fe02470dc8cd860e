#include "tests/simulation/faults.h"

#include <random>

namespace keelson::simulation {

namespace {

/// The most that `Faults::some` and `Faults::many` draw.
struct Rate {
  double Faults::*fault;
  double some;
  double many;
};
constexpr Rate kRates[] = {
    {&Faults::process_crash, 1.5, 2},
    {&Faults::power_cut, 1.5, 3},
    {&Faults::wipe, 0.3, 0.1},
    {&Faults::pause, 2, 6},
    {&Faults::connection_break, 4, 6},
    {&Faults::partition, 2, 5},
    {&Faults::slow_disk, 1, 3},
    {&Faults::log_failure, 0.1, 0.1},
    {&Faults::coordinator_outage, 0.5, 0.5},
    {&Faults::lost_answer, 0.5, 0.6},
    {&Faults::late_request, 0.4, 0.6},
    {&Faults::stale_watch, 0.5, 0.7},
    {&Faults::lost_message, 0.05, 0.03},
    {&Faults::repeated_message, 0.1, 0.1},
    {&Faults::membership_change, 1, 2},
    {&Faults::hand_over, 0.5, 3},
};

}  // namespace

Faults Faults::some(std::uint64_t seed) {
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15u + 1);
  Faults faults;
  for (const Rate& rate : kRates) {
    const double part = static_cast<double>(random() % 1000) / 1000;
    faults.*rate.fault = random() % 2 == 0 ? 0 : rate.some * part * part;
  }
  return faults;
}

Faults Faults::many(std::uint64_t seed) {
  std::mt19937_64 random(seed * 77 + 5);
  Faults faults;
  for (const Rate& rate : kRates) {
    faults.*rate.fault =
        random() % 4 == 0 ? 0 : rate.many * static_cast<double>(random() % 1000) / 1000;
  }
  return faults;
}

}  // namespace keelson::simulation
