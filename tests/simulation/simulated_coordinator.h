// Records that all nodes of a simulation reach, late, more than once, or not at all.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/replication/coordinator.h"
#include "engine/replication/record_watcher.h"
#include "tests/simulation/world.h"

namespace keelson::simulation {

using replication::Record;
using replication::Revision;

/// One coordinator, which is consistent and never forgets; what goes to it and comes from it is
/// delayed, lost and overtaken as the faults say. Of a process that is over nothing comes any more,
/// and nobody is told anything; its presence ends in time.
class SimulatedCoordinator {
 public:
  explicit SimulatedCoordinator(World& world) : world_(world) { keep_presences(); }

  /// A process that talks to the coordinator.
  struct Process {
    std::function<bool()> awake;  ///< it runs now, and is not paused
    bool starting = false;        ///< it waits for each answer, and does nothing else
    bool over = false;
    Moment cut_off_until{};  ///< it alone does not reach the coordinator
  };
  /// As that process reaches it; to be dropped when it is over.
  [[nodiscard]] std::unique_ptr<replication::Coordinator> connect(
      const std::shared_ptr<Process>& process);

  [[nodiscard]] std::optional<Record> record(const std::string& key) const;
  [[nodiscard]] bool up() const { return up_; }
  void go_down() { up_ = false; }
  void come_up() { up_ = true; }
  /// Called with each record that is written, and the one that it replaces.
  std::function<void(const std::string& key, const std::optional<Record>& last, const Record& next)>
      on_written;

 private:
  class Connection;
  class Present;
  using ProcessPtr = std::shared_ptr<Process>;
  /// What a process wants to be seen of it.
  struct Lease {
    ProcessPtr process;
    std::string key;
    std::string value;
    Moment time_to_live{};
    std::optional<Record> replaces;  ///< of somebody else
    Moment last_sign{};
    bool dropped = false;
  };
  struct Held {
    Record record;
    std::shared_ptr<const Lease> lease;  ///< none: it stays
  };
  struct Watcher : replication::RecordWatcher {
    Watcher(ProcessPtr of, std::string starts_with,
            std::function<void(const replication::Coordinator::Change&)> changed)
        : RecordWatcher(std::move(changed)),
          process(std::move(of)),
          prefix(std::move(starts_with)) {}
    const ProcessPtr process;
    const std::string prefix;
    std::set<std::string> told;  ///< keys whose records it knows
  };
  using WatcherPtr = std::shared_ptr<Watcher>;

  [[nodiscard]] bool reaches(const Process& process) const {
    return up_ && !process.over && world_.now() >= process.cut_off_until;
  }
  [[nodiscard]] replication::Coordinator::Swapped swap(const std::string& key,
                                                       const std::optional<Record>& expected,
                                                       std::string value);
  void put(const std::string& key, std::string value, std::shared_ptr<const Lease> lease);
  void remove(const std::string& key, const Lease& lease);
  void announce(const std::string& key);
  void tell(const WatcherPtr& watcher, const std::string& key, std::optional<Record> record);
  void look_again(const std::weak_ptr<Watcher>& watcher);
  void keep_presences();

  void get(const ProcessPtr& process, std::string key, replication::Coordinator::Read done);
  void compare_and_set(const ProcessPtr& process, std::string key, std::optional<Record> expected,
                       std::string value, replication::Coordinator::Swap done);

  World& world_;
  bool up_ = true;
  Revision last_{1};
  std::map<std::string, Held> records_;
  std::map<std::string, std::vector<Record>> past_;
  std::vector<std::weak_ptr<Watcher>> watchers_;
  std::list<std::shared_ptr<Lease>> leases_;
};

}  // namespace keelson::simulation
