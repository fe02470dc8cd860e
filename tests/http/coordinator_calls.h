// What tests ask of a coordinator, waiting for the answer.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/replication/coordinator.h"

namespace keelson::test {

using replication::Coordinator;
using replication::Record;
using replication::Revision;

constexpr std::chrono::seconds kPatience{30};

template <class Answer>
Answer wait_for(std::future<Answer>& answer) {
  REQUIRE(answer.wait_for(kPatience) == std::future_status::ready);
  return answer.get();
}

inline Result<std::optional<Record>> get(Coordinator& coordinator, const std::string& key) {
  std::promise<Result<std::optional<Record>>> promise;
  auto answer = promise.get_future();
  coordinator.get(key, [&](auto record) { promise.set_value(std::move(record)); });
  return wait_for(answer);
}

inline Result<Coordinator::Swapped> swap(Coordinator& coordinator, const std::string& key,
                                         std::optional<Record> expected, const std::string& value) {
  std::promise<Result<Coordinator::Swapped>> promise;
  auto answer = promise.get_future();
  coordinator.compare_and_set(key, std::move(expected), value,
                              [&](auto swapped) { promise.set_value(std::move(swapped)); });
  return wait_for(answer);
}

/// Until it answers for the first time.
inline void await_etcd(Coordinator& coordinator, const std::string& key = "any") {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    const auto record = get(coordinator, key);
    if (record) return;
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end, record.error().context);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

/// What a watch has told.
class Seen {
 public:
  std::function<void(const Coordinator::Change&)> listener() {
    return [this](const Coordinator::Change& change) {
      const std::lock_guard lock(mutex_);
      if (change.record) all_.push_back(change.key + "=" + change.record->value);
      if (change.record) {
        records_[change.key] = change.record->value;
      } else {
        records_.erase(change.key);
      }
      life_ = change.life;
      changed_.notify_all();
    };
  }
  bool becomes(const std::map<std::string, std::string>& records) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return records_ == records; });
  }
  /// Of what was told last.
  std::uint64_t life() {
    const std::lock_guard lock(mutex_);
    return life_;
  }
  /// Everything that was ever told.
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> all_;
  std::uint64_t life_ = 0;
  std::map<std::string, std::string> records_;
};

}  // namespace keelson::test
