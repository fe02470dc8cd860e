// A node of the real cluster: its disk, and the process that runs on it now.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/cluster/cluster_store.h"
#include "tests/simulation/process_disk.h"
#include "tests/simulation/simulated_coordinator.h"
#include "tests/simulation/simulated_network.h"
#include "tests/support/simulated_environment.h"

namespace keelson::simulation {

using test::DiskCall;
using test::SimulatedFileSystem;

/// What has been seen of a partition at one node.
struct SeenReplica {
  std::shared_ptr<cluster::PartitionReplica> replica;  ///< of this process
  BatchNo published;                                   ///< by this process
  BatchNo published_ever;                              ///< durable, therefore
  Epoch promised_ever;                                 ///< the same
  std::uint64_t read_ever = 0;                         ///< end of what readers have seen here

  [[nodiscard]] LogPartition& partition() const { return *replica->partition(); }
};

class RealNode {
 public:
  struct Hooks {
    std::function<void()> task_done;
    std::function<void()> rare_call;  ///< of the disk: one that changes names, or makes zeros
    std::function<void(const std::string& what)> report;
  };

  static constexpr const char* kCluster = "simulation";
  static constexpr const char* kFolder = "data";

  RealNode(World& world, std::size_t number, const Lies& lies, Hooks hooks);
  ~RealNode();

  /// Starts the process. @error of the log or the promise
  [[nodiscard]] Result<void> start(SimulatedCoordinator& coordinator, SimulatedNetwork& network);
  /// The process is gone. Not within one of its tasks.
  void stop(SimulatedNetwork& network);
  void wipe();
  void pause(Moment until);
  /// Until then nothing that is asked of its disk is done.
  void hang_disk(Moment until);
  /// Whether there is a process that does something.
  [[nodiscard]] bool up() const {
    return process_ != nullptr && !process_->over && !disk.halted() && world_.now() >= up_since_;
  }
  /// For how long it does nothing, being paused.
  [[nodiscard]] Moment asleep_for() const {
    return process_ ? process_->scheduler.paused_for() : Moment(0);
  }
  [[nodiscard]] cluster::ClusterStore& store() { return *process_->store; }
  void cut_off_coordinator(Moment until);

  const std::size_t number;
  const std::string name;      ///< for people
  std::optional<Member> self;  ///< of the data folder, once it has one
  SimulatedFileSystem disk;
  std::vector<SeenReplica> replicas;  ///< by the cluster's numbers of partitions
  std::uint64_t life = 0;
  std::uint64_t boots = 0;  ///< of its machine, each after a loss of power
  bool dying = false;       ///< its disk has halted, and its end is near
  /// Of full segments that are kept: few, so that who is away for long is left behind. None: all.
  log::Retention retention;
  // Faults of the disk.
  bool slow = false;
  bool full = false;           ///< there is room for every other write
  bool full_for_good = false;  ///< there is none
  bool fail_sync = false;

 private:
  class NodeClock final : public Clock {
   public:
    NodeClock(const VirtualTime& time, std::int64_t ahead_us) : time_(time), ahead_us_(ahead_us) {}
    [[nodiscard]] TimeUs now() const override {
      return TimeUs(1'000'000'000 + ahead_us_ + time_.now().count() / 1000);
    }
    [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return time_.now(); }

   private:
    const VirtualTime& time_;
    const std::int64_t ahead_us_;
  };
  /// In the order in which it is made; the store goes first.
  struct Process {
    explicit Process(RealNode& node);
    /// What its start has made is dropped.
    void fail_start() {
      in_vain = true;
      scheduler.set_start(VirtualScheduler::Start::in_vain);
    }
    ProcessDisk files;
    test::SeededRandom numbers;
    VirtualScheduler scheduler;
    bool over = false;
    bool in_vain = false;  ///< its start fails
    std::shared_ptr<SimulatedCoordinator::Process> at_coordinator;
    std::unique_ptr<replication::Coordinator> coordinator;
    std::unique_ptr<cluster::ClusterStore> store;
  };

  [[nodiscard]] std::optional<Errc> on_disk_call(DiskCall call);
  [[nodiscard]] std::optional<Errc> failure_of(DiskCall call);
  [[nodiscard]] bool starting() const {
    return process_ != nullptr && process_->at_coordinator->starting;
  }
  [[nodiscard]] bool starting_in_vain() const { return starting() && process_->in_vain; }

  World& world_;
  const Lies lies_;
  const Hooks hooks_;
  std::mt19937_64 random_;
  NodeClock clock_;
  Moment up_since_{};  ///< opening has taken until then
  std::unique_ptr<Process> process_;
};

}  // namespace keelson::simulation
