// What is known of how the work on a log goes that nobody waits for.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/store/maintenance.h"

namespace keelson {

/// Keeps what the last try of each kind of work came to, for the operator. Thread-safe; the tries
/// of one kind must not overlap.
class MaintenanceHealth {
 public:
  using Changed = std::function<void(Maintenance, const std::optional<Error>&)>;

  /// @param changed  called for each change, and not for each failed try, on the thread of the try;
  ///                 may be empty.
  explicit MaintenanceHealth(Changed changed) : changed_(std::move(changed)) {}

  /// A try has come to `result`. @return whether it worked.
  bool note(Maintenance work, const Result<void>& result) {
    const std::optional<Error> failing = result ? std::nullopt : std::optional(result.error());
    if (replace(work, failing) && changed_) changed_(work, failing);
    return !failing;
  }

  [[nodiscard]] MaintenanceStatus now(Maintenance work) const {
    const std::lock_guard lock(mutex_);
    return status_[static_cast<std::size_t>(work)];
  }

 private:
  /// @return whether that is a change. Not when only the context differs, which may name another
  ///         file each time.
  bool replace(Maintenance work, const std::optional<Error>& failing) {
    const std::lock_guard lock(mutex_);
    MaintenanceStatus& status = status_[static_cast<std::size_t>(work)];
    if (failing) ++status.failures;
    const bool changed = status.failing.has_value() != failing.has_value() ||
                         (failing && status.failing->code != failing->code);
    status.failing = failing;
    return changed;
  }

  const Changed changed_;
  mutable std::mutex mutex_;
  std::array<MaintenanceStatus, kAllMaintenance.size()> status_;
};

}  // namespace keelson
