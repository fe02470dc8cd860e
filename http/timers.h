// The thread behind Timers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "http/services.h"

namespace keelson::http {

/// One thread that runs what is due: tasks must be short. Registrations may outlive it. `stop`
/// drops what is not due yet, and what is asked for later.
class ThreadTimers final : public Timers {
 public:
  ThreadTimers();
  ~ThreadTimers() override;
  [[nodiscard]] std::unique_ptr<Registration> after(std::chrono::milliseconds delay,
                                                    Task task) override;
  /// Returns when its thread has ended. Not from one of its tasks; again it does nothing.
  void stop();

 private:
  class State;
  class Entry;
  std::shared_ptr<State> state_;
  std::jthread thread_;
};

}  // namespace keelson::http
