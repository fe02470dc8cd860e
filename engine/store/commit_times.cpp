#include "engine/store/commit_times.h"

#include <algorithm>

#include "engine/base/check.h"

namespace keelson {

TimeUs CommitTimes::begin(TimeUs now, TimeUs floor) {
  const std::lock_guard lock(mutex_);
  const TimeUs time = std::max(now, floor);
  begun_.push_back(time > asked_ ? time : asked_ + 1);
  return begun_.back();
}

void CommitTimes::begin_again() {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(!begun_.empty());
  begun_.push_back(begun_.back());
}

void CommitTimes::end_oldest() {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(!begun_.empty());
  begun_.pop_front();
  changed_.notify_all();
}

void CommitTimes::drop_newest() {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(!begun_.empty());
  begun_.pop_back();
  changed_.notify_all();
}

void CommitTimes::settle(TimeUs time) {
  std::unique_lock lock(mutex_);
  asked_ = std::max(asked_, time);
  changed_.wait(lock, [&] { return begun_.empty() || begun_.front() > time; });
}

}  // namespace keelson
