// What is known to be wrong with a log.
#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "engine/base/result.h"
#include "engine/store/store.h"

namespace keelson {

/// Keeps the first damage that anyone who reads a log meets: a sealed segment is not read when the
/// log is opened, so that damage in it shows later. Thread-safe.
class LogHealth {
 public:
  /// `result`, remembered when it says that the log is damaged.
  template <class T>
  [[nodiscard]] Result<T> noted(Result<T> result) {
    if (!result && is_damage(result.error().code)) {
      const std::lock_guard lock(mutex_);
      if (!damage_) damage_ = result.error();
    }
    return result;
  }

  [[nodiscard]] Result<void> now() const {
    const std::lock_guard lock(mutex_);
    if (damage_) return std::unexpected(*damage_);
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Error> damage_;
};

}  // namespace keelson
