// The threads behind WorkPool.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "http/services.h"

namespace keelson::http {

/// Ends in two steps, as others may hold it longer than its threads are wanted: `stop` finishes the
/// running tasks and runs what is queued, and from then on what ends a request runs on the thread
/// that posts it. It is destroyed when nobody can post any more: after the timers have stopped, and
/// after the store, whose strands complete commits that were in flight, has been closed.
class ThreadWorkPool final : public WorkPool {
 public:
  /// @param queue_max  tasks waiting at most; bounds memory and how old an answer can get.
  ThreadWorkPool(unsigned threads, std::size_t queue_max);
  ~ThreadWorkPool() override { stop(); }
  [[nodiscard]] bool post(Task task) override;
  void post_ending(Task task) override;
  /// Returns when its threads have ended. Not from one of its tasks; again it does nothing.
  void stop();

 private:
  void run();

  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace keelson::http
