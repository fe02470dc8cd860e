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

/// Destruction finishes the running tasks and runs what is queued.
class ThreadWorkPool final : public WorkPool {
 public:
  /// @param queue_max  tasks waiting at most; bounds memory and how old an answer can get.
  ThreadWorkPool(unsigned threads, std::size_t queue_max);
  ~ThreadWorkPool() override;
  [[nodiscard]] bool post(Task task) override;
  void post_ending(Task task) override;

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
