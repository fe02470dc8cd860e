// A node of the real cluster: its disk, and the process that runs on it now.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "engine/base/clock.h"
#include "engine/cluster/partition_replica.h"
#include "tests/simulation/virtual_time.h"
#include "tests/support/simulated_environment.h"

namespace keelson::simulation {

using replication::Member;
using test::DiskCall;
using test::SimulatedFileSystem;

class RealNode {
 public:
  struct Hooks {
    std::function<void()> task_done;
    std::function<void(const Member& to, std::string message)> send;
    std::function<void(const std::string& what)> report;
  };

  RealNode(VirtualTime& time, std::size_t number, std::uint64_t seed, Hooks hooks);
  ~RealNode();

  [[nodiscard]] static const Uuid& identity();
  static constexpr const char* kFolder = "p";

  /// Starts the process. @error of the log or the promise
  [[nodiscard]] Result<void> start(replication::Coordinator& coordinator);
  /// The process is gone. Not within one of its tasks.
  void stop();
  void wipe();
  void pause(Moment until);
  [[nodiscard]] bool up() const { return partition != nullptr && time.now() >= up_since_; }

  VirtualTime& time;
  const std::size_t number;
  Member self;
  SimulatedFileSystem disk;
  std::shared_ptr<LogPartition> partition;
  std::shared_ptr<cluster::PartitionReplica> replica;
  std::uint64_t life = 0;
  bool dying = false;  ///< its disk has halted, and its end is near
  /// Of full segments that are kept: few, so that who is away for long is left behind. None: all.
  log::Retention retention;
  // Faults of the disk.
  bool slow = false;
  bool full = false;
  bool fail_sync = false;
  // What has been seen of it.
  BatchNo published;            ///< by this process
  BatchNo published_ever;       ///< durable, therefore
  Epoch promised_ever;          ///< the same
  std::uint64_t read_ever = 0;  ///< end of what readers have seen here

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

  [[nodiscard]] std::optional<Errc> on_disk_call(DiskCall call);
  [[nodiscard]] Result<void> open(replication::Coordinator& coordinator);

  const Hooks hooks_;
  std::mt19937_64 random_;
  NodeClock clock_;
  Moment up_since_{};  ///< opening has taken until then
  std::unique_ptr<test::SeededRandom> numbers_;
  std::unique_ptr<VirtualScheduler> scheduler_;
};

}  // namespace keelson::simulation
