// The commit times of a partition: when they are given out, and when a question about one is ripe.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

#include "engine/base/types.h"

namespace keelson {

/// Makes what was committed up to a time a question with one answer. A batch takes its time when it
/// is begun and is seen only when it is durable: who asks in between waits for it, and once a time
/// has been asked about no batch is given it, nor an earlier one, whatever the clock does. Known as
/// long as the process runs: a clock that is set back while it does not can give a time again.
///
/// Thread-safe: batches begin and end on the partition's strand, questions come from any thread.
class CommitTimes {
 public:
  /// A batch begins, after those begun before. @return its time: `now`, but not before `floor`, and
  /// after every time asked about.
  [[nodiscard]] TimeUs begin(TimeUs now, TimeUs floor);
  /// Another batch begins with the time of the newest, which cannot be seen yet.
  void begin_again();
  /// The oldest batch begun can be seen.
  void end_oldest();
  /// The newest batch begun will not be written.
  void drop_newest();

  /// Returns when every batch with a time up to `time` can be seen, and there will be no other.
  /// Waits for at most the writing of what has been begun. Not on the partition's strand.
  void settle(TimeUs time);

 private:
  std::mutex mutex_;  ///< of all that follows
  std::condition_variable changed_;
  std::deque<TimeUs> begun_;  ///< times of the batches that cannot be seen yet, oldest first
  TimeUs asked_{INT64_MIN};   ///< the latest time asked about
};

}  // namespace keelson
