// The store of a node in a cluster.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/cluster/cluster_directory.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/folder_claim.h"
#include "engine/cluster/leader_requests.h"
#include "engine/cluster/node_identity.h"
#include "engine/cluster/partition_replica.h"
#include "engine/cluster/record_rebuild.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/transport.h"
#include "engine/store/replica_store.h"

namespace keelson::cluster {

struct ClusterStoreOptions {
  NodeName name;
  std::string http_address;    ///< `host:port` where clients reach this node
  std::string version;         ///< of the program, for the other nodes
  std::uint32_t replicas = 3;  ///< of each partition of the topics that are made here
  replication::ReplicaOptions protocol;
  /// For how long, and for how much, retention waits for a replica that is behind: see
  /// `PartitionReplica::Options`.
  std::chrono::seconds retention_waits_for = std::chrono::hours(1);
  std::uint64_t retention_waits_bytes = std::uint64_t{16} << 30;
  /// How long `create_topic` waits for the cluster.
  std::chrono::seconds create_timeout{10};
  /// Of batches for this node's logs that have come and are not written yet, of all partitions
  /// together: one more message is let go of, and its sender will repeat it.
  std::size_t unwritten_bytes_max = 64u << 20;
  /// Of what waits to be sent to a node, of all partitions: while it is more each partition has one
  /// message with batches on its way and no more.
  std::size_t congested_bytes = 16u << 20;
  /// See `ClaimOptions`.
  std::chrono::seconds claim_patience{10};
  std::chrono::seconds claim_quiet{2};
  /// Whether to start no more, while the coordinator is waited for.
  std::function<bool()> give_up = [] { return false; };
  /// How long `close` waits for others to lead what this node has led; 0: it does not ask.
  std::chrono::milliseconds give_away_time{1500};
  /// Something that an operator wants to know.
  std::function<void(const std::string& what)> report = [](const std::string&) {};
};

/// Joins the partitions of a data folder with those of the other nodes: every partition gets its
/// `PartitionReplica`, the topics are those that the coordinator has, and messages of all of them
/// go over one transport.
///
/// Threads: callbacks of coordinator and transport are passed on to the partitions' strands, or to
/// a worker of its own, which opens topics.
///
/// The coordinator being away stops changes of topics, leaders and members. Addresses of nodes that
/// have been seen stay known.
class ClusterStore final : public Store, private DirectoryListener {
 public:
  struct Transporting {
    std::unique_ptr<replication::Transport> transport;
    std::string address;  ///< where the other nodes reach it
  };
  /// Makes the transport of this member.
  using MakeTransport = std::function<Result<Transporting>(const Member& self,
                                                           const replication::Incarnation& start)>;

  /// Opens the data folder, claims it, takes its place in the cluster, and begins to follow and to
  /// lead. Waits for the coordinator (`claim_folder`), and for nobody else. When another process
  /// claims the folder, or a copy of it, later, this one ends by `Environment::end_process`.
  /// @param coordinator  outlives it.
  /// @error bad_request  the folder belongs to another node or cluster, or to a node that is alone.
  /// @error locked, closed  as `claim_folder`.
  /// As `Store::open` otherwise.
  [[nodiscard]] static Result<std::unique_ptr<ClusterStore>> open(
      Environment environment, StoreOptions options, ClusterStoreOptions cluster,
      replication::Coordinator& coordinator, const MakeTransport& make_transport);
  ~ClusterStore() override;

  [[nodiscard]] const Member& self() const { return self_; }
  [[nodiscard]] ClusterDirectory& directory() { return *directory_; }

  /// The replica of a partition here; nothing when there is no such topic, or its log is damaged.
  [[nodiscard]] std::shared_ptr<PartitionReplica> replica(const Uuid& topic, PartitionId partition);

  /// Asks the nodes that lead partitions, and answers what others ask here.
  [[nodiscard]] LeaderRequests& requests() { return *requests_; }
  /// Why a topic of the cluster cannot be opened here, if that has been tried.
  [[nodiscard]] Result<void> adopted(const std::string& name);

  // --- for operators ---
  /// As nodes were last seen, those that have gone too.
  [[nodiscard]] std::vector<NodeRecord> last_seen();
  /// Whom messages reach now.
  [[nodiscard]] replication::MemberList connected();
  /// How many partitions this node is a replica of and cannot be read from yet.
  [[nodiscard]] std::size_t unreadable();
  /// What this node knows of records that the coordinator may have lost.
  [[nodiscard]] NodeTestimony testify();

  // --- Store ---
  [[nodiscard]] const StoreOptions& options() const override { return store_->options(); }
  [[nodiscard]] const std::vector<RecoveryReport>& recovered() const override {
    return store_->recovered();
  }
  [[nodiscard]] const std::vector<std::string>& strays() const override { return store_->strays(); }
  [[nodiscard]] std::vector<Damage> damage() override;
  /// Makes the topic in the cluster, and waits until it is open here and each of its partitions has
  /// a leader. Not from a callback.
  /// @error not_enough_replicas  fewer nodes than a partition is to have replicas, or the
  ///                             coordinator does not have all topics that are here.
  /// @error timeout              it is made, or will be, but not all of it is there yet.
  [[nodiscard]] Result<Topic*> create_topic(const std::string& name,
                                            const TopicOptions& options) override;
  [[nodiscard]] Topic* find_topic(std::string_view name) override {
    return store_->find_topic(name);
  }
  [[nodiscard]] Result<Topic*> topic(std::string_view name) override { return store_->topic(name); }
  [[nodiscard]] std::vector<Topic*> topics() override { return store_->topics(); }
  void start_retention() override { store_->start_retention(); }
  /// Gives away what this node leads, if there is someone to take it, then stops as its base does.
  void close() override;

 private:
  ClusterStore(Environment environment, ClusterStoreOptions options,
               std::unique_ptr<ReplicaStore> store, Member self);

  [[nodiscard]] Result<FolderClaimed> claim(replication::Coordinator& coordinator);
  void adopt(const std::string& name, const TopicPlacement& placement);
  void adopt_later(const std::string& name);
  [[nodiscard]] std::shared_ptr<Strand> promise_worker(const PartitionKey& partition) const;
  void tell_whereabouts(const Topic& topic, PartitionId partition);
  void tell_all_whereabouts();
  [[nodiscard]] Result<void> join(replication::Coordinator& coordinator, const std::string& address,
                                  std::optional<replication::Record> replaces);
  [[nodiscard]] Result<void> add_replicas(Topic& topic);
  [[nodiscard]] Result<PromiseStore> open_promises(const Topic& topic, LogPartition& partition,
                                                   replication::Promise& promise);
  [[nodiscard]] std::string topic_folder(std::string_view topic) const;
  [[nodiscard]] Result<void> keep_placement(const std::string& name,
                                            const TopicPlacement& placement);
  [[nodiscard]] PartitionTestimony testimony(Topic& topic, PartitionId partition);
  [[nodiscard]] std::vector<std::shared_ptr<PartitionReplica>> replicas();
  void give_away_leads();

  // --- DirectoryListener ---
  void on_node(const NodeRecord& node) override;
  void on_node_left(const NodeRecord& node) override;
  void on_folder(const FolderRecord& folder) override;
  void on_data_replaced(const ReplacedData& replaced) override;
  void on_bad_record(const std::string& key, const Error& error) override;
  void on_topic(const std::string& name, const TopicPlacement& placement,
                Revision revision) override;
  void on_partition(const PartitionKey& partition, const replication::PartitionRecord& record,
                    Revision revision) override;

  // Of the transport, on its thread.
  void on_connection(const Member& peer, bool up);
  void on_received(const Member& from, std::string message, std::string batches);
  void send(const PartitionKey& partition, const Member& to, const std::string& message);
  [[nodiscard]] std::optional<Member> leader_elsewhere(const PartitionKey& partition);
  [[nodiscard]] std::optional<std::string> http_address_of(const Member& member);
  [[nodiscard]] bool led(const Topic& topic);

  Environment environment_;
  const ClusterStoreOptions options_;
  const ClusterKeys keys_;
  const std::unique_ptr<ReplicaStore> store_;
  const Member self_;
  replication::Incarnation incarnation_;  ///< set before anybody hears of it
  replication::Coordinator* coordinator_ = nullptr;
  const std::shared_ptr<Strand> worker_;  ///< opens topics
  /// Store promises, each those of some partitions: a disk takes many syncs at a time, and when a
  /// node is gone all that it led are waited for at once.
  const std::vector<std::shared_ptr<Strand>> promises_;
  std::unique_ptr<replication::Transport> transport_;
  const std::shared_ptr<LeaderRequests> requests_;
  std::map<replication::NodeId, std::string> peers_;  ///< of the transport; the directory's
  std::mutex directory_mutex_;  ///< of `directory_` being there, for the worker
  std::unique_ptr<ClusterDirectory> directory_;

  // The worker's.
  std::set<std::string> adopting_later_;  ///< topics that will be tried again
  std::shared_ptr<const bool> open_ = std::make_shared<bool>(true);  ///< its timers may run

  /// Bytes of batches that have come and are not written; those who hold some have it as well.
  const std::shared_ptr<std::atomic<std::size_t>> unwritten_ =
      std::make_shared<std::atomic<std::size_t>>(0);

  std::mutex mutex_;  ///< of all that follows
  std::condition_variable changed_;
  std::map<PartitionKey, std::shared_ptr<PartitionReplica>> replicas_;
  std::map<std::string, Error> not_adopted_;
  std::map<replication::NodeId, NodeRecord> nodes_;  ///< as they were last seen
  std::set<replication::NodeId> silent_;             ///< those of them that are not alive
  std::map<PartitionKey, replication::PartitionRecord> records_;  ///< as they were last seen
  std::vector<Member> connected_;
  bool closed_ = false;
};

}  // namespace keelson::cluster
