// What may happen in a simulation, and how often.
#pragma once

#include <cstdint>

namespace keelson::simulation {

/// Rates are per second of simulated time.
struct Faults {
  double process_crash = 0;  ///< the page cache stays
  double power_cut = 0;      ///< what was not synced is lost from some batch on
  double wipe = 0;           ///< of the crashes: the disk is new
  double pause = 0;
  double connection_break = 0;
  double partition = 0;  ///< one way, for some time
  double slow_disk = 0;
  double log_failure = 0;  ///< probability, of what a follower does to its log
  double coordinator_outage = 0;
  double coordinator_loss = 0;  ///< it is empty, until its record is made anew
  double lost_answer = 0;       ///< probability, of a compare-and-set
  double late_request = 0;      ///< and of a late answer, to a reading too
  double stale_watch = 0;
  double lost_message = 0;
  double repeated_message = 0;
  double membership_change = 0;
  double hand_over = 0;
  double retention = 0;  ///< whatever a node has published may go

  /// Some of them, by the seed; often few, so that much is written between.
  [[nodiscard]] static Faults some(std::uint64_t seed);
  /// Most of them, and more often.
  [[nodiscard]] static Faults many(std::uint64_t seed);
};

}  // namespace keelson::simulation
