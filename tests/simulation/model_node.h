// A node of the simulated cluster: a replica, its log in memory, and a disk that takes time.
#pragma once

#include "engine/cluster/last_records.h"
#include "tests/simulation/model_log.h"
#include "tests/simulation/replica_cluster.h"

namespace keelson::simulation {

class ModelNode final : public replication::ReplicaPorts {
 public:
  ModelNode(ReplicaCluster& cluster, std::size_t number);

  void start(Moment now);
  void stop();

  // --- ReplicaPorts ---
  void send(const Member& to, replication::Message message) override;
  void store_promise(const replication::Promise& what) override;
  void compare_and_set(const PartitionRecord& expected, Revision revision,
                       const PartitionRecord& record) override;
  void read_record(std::uint64_t read) override;
  void append(replication::LogOperation operation, std::string batches) override;
  void cut(replication::LogOperation operation, BatchNo to) override;
  void take_removed(replication::LogOperation operation, log::RemovedPiece piece) override;
  void begin_at(replication::LogOperation operation, std::string header) override;
  void publish(BatchNo end) override;
  void start_epoch(Epoch epoch) override;
  bool has_to_append() const override { return !queue_.empty(); }
  void serve(Epoch epoch) override;
  void pause_writing() override;
  void step_down() override;
  void read_ready(std::uint64_t id, BatchNo end) override;
  void read_failed(std::uint64_t id) override;
  void halt(Error reason) override;
  void resume() override {}

  /// On its way to the disk: what the replica knows of the record.
  void keep_record();

  /// @param done  true: committed; false: not now, or unknown.
  void execute(std::uint64_t command, std::function<void(bool)> done);
  void read(std::function<void(std::optional<std::size_t>)> done);

  class RandomNumbers final : public Random {
   public:
    explicit RandomNumbers(ReplicaCluster& cluster) : cluster_(cluster) {}
    std::uint64_t next() override;

   private:
    ReplicaCluster& cluster_;
  };

  ReplicaCluster& cluster;
  const std::size_t number;
  Member self;
  // What a crash leaves.
  Epoch promise;
  replication::Promise promised;  ///< all of it
  std::optional<keelson::cluster::LastRecord> last;
  ModelLog log;
  // What it does not.
  bool up = false;
  std::uint64_t life = 0;
  std::unique_ptr<replication::Replica> replica;
  bool paused = false;
  std::deque<std::function<void()>> deferred;
  bool slow = false;
  bool hangs = false;  ///< its disk: nothing that is asked of it is done

 private:
  friend class ReplicaCluster;
  void on_disk(std::function<void()> done);
  void stop_hanging();
  [[nodiscard]] bool log_fails(replication::LogOperation operation);
  void lose_power();
  void write();
  void stopped();

  RandomNumbers numbers_;
  bool writing_ = false;  ///< between `start_epoch` and the end of it
  bool serving_ = false;
  bool stopping_ = false;
  bool syncing_ = false;
  Epoch epoch_;
  std::deque<std::uint64_t> queue_;
  std::multimap<std::size_t, std::function<void(bool)>> waiting_;  ///< by batch
  std::map<std::uint64_t, std::function<void(std::optional<std::size_t>)>> reads_;
  std::uint64_t last_read_ = 0;
  Moment disk_free_{};
  std::deque<std::function<void()>> held_by_disk_;
  std::uint64_t log_failures_ = 0;  ///< what was asked before one of them is not done after it
  bool cutting_ = false;            ///< and the disk may not know it yet
  std::vector<ModelBatch> before_cut_;
  bool storing_ = false;
  Epoch being_stored_;
  replication::Promise being_promised_;
  std::optional<keelson::cluster::LastRecord> kept_;
};

}  // namespace keelson::simulation
