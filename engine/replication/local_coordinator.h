// The coordinator of a node that is alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/replication/coordinator.h"

namespace keelson::replication {

/// Records in memory: one node elects itself anew at each start, and the log keeps its epochs.
/// Answers before the call returns. A presence replaces any other: there is only this process.
class LocalCoordinator final : public Coordinator {
 public:
  void get(std::string key, Read done) override;
  void compare_and_set(std::string key, std::optional<Record> expected, std::string value,
                       Swap done) override;
  [[nodiscard]] std::unique_ptr<Watch> watch(std::string prefix,
                                             std::function<void(const Change&)> changed) override;
  [[nodiscard]] std::unique_ptr<Presence> appear(
      std::string key, std::string value, std::chrono::seconds time_to_live,
      std::optional<Record> replaces = std::nullopt) override;

 private:
  struct Watcher;
  class Present;

  void put(const std::string& key, std::optional<std::string> value);
  [[nodiscard]] std::vector<std::shared_ptr<Watcher>> watchers_of(const std::string& key);

  std::mutex mutex_;
  Revision last_;
  std::map<std::string, Record> records_;
  std::vector<std::weak_ptr<Watcher>> watchers_;
};

}  // namespace keelson::replication
