// What a node hears of the others: from the coordinator's directory, and by messages.
#include <algorithm>
#include <utility>

#include "engine/cluster/cluster_store.h"
#include "engine/cluster/envelope.h"

namespace keelson::cluster {

namespace {

/// What is shorter costs nothing to speak of: heartbeats, acknowledgements and votes.
constexpr std::size_t kSmallBytes = 4096;

/// Counts what has come and is not written yet.
class Unwritten {
 public:
  Unwritten(std::shared_ptr<std::atomic<std::size_t>> all, std::size_t bytes)
      : all_(std::move(all)), bytes_(bytes) {
    *all_ += bytes_;
  }
  ~Unwritten() { *all_ -= bytes_; }
  Unwritten(const Unwritten&) = delete;
  Unwritten& operator=(const Unwritten&) = delete;

 private:
  const std::shared_ptr<std::atomic<std::size_t>> all_;
  const std::size_t bytes_;
};

}  // namespace

std::shared_ptr<PartitionReplica> ClusterStore::replica(const Uuid& topic, PartitionId partition) {
  const std::lock_guard lock(mutex_);
  const auto found = replicas_.find({topic, partition});
  return found == replicas_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<PartitionReplica>> ClusterStore::replicas() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<PartitionReplica>> all;
  for (const auto& [key, replica] : replicas_) all.push_back(replica);
  return all;
}

void ClusterStore::on_topic(const std::string& name, const TopicPlacement& placement, Revision) {
  worker_->post([this, name, placement] { adopt(name, placement); });
}

void ClusterStore::on_partition(const PartitionKey& partition,
                                const replication::PartitionRecord& record, Revision revision) {
  if (const auto found = replica(partition.topic, partition.partition)) {
    found->on_record(record, revision);
  }
  {
    const std::lock_guard lock(mutex_);
    records_.insert_or_assign(partition, record);
  }
  worker_->post([this, partition] {
    for (const Topic* const topic : store_->topics()) {
      if (topic->id() == partition.topic) tell_whereabouts(*topic, partition.partition);
    }
  });
}

void ClusterStore::on_node_left(const NodeRecord& node) {
  options_.report("node " + std::to_string(node.member.node.value) + " gives no sign of life");
  {
    const std::lock_guard lock(mutex_);
    silent_.insert(node.member.node);
  }
  tell_all_whereabouts();
}

void ClusterStore::on_bad_record(const std::string& key, const Error& error) {
  options_.report("the record " + key + " cannot be read: " + error.message());
}

void ClusterStore::on_folder(const FolderRecord& folder) {
  if (folder.member != self_) return transport_->outdate(folder.member, folder.incarnation);
  // What is older is of before a coordinator was put back, or a late word.
  if (folder.incarnation <= incarnation_) return;
  const Error error{Errc::locked,
                    "another process has started as node " + std::to_string(self_.node.value) +
                        " with this data folder or a copy of it: it is start " +
                        std::to_string(folder.incarnation.number) + ", this is start " +
                        std::to_string(incarnation_.number) + ", which must take part no more",
                    {}};
  options_.report(error.context);
  environment_.end_process(error);
}

void ClusterStore::on_data_replaced(const ReplacedData& replaced) {
  options_.report("node " + std::to_string(replaced.now.node.value) +
                  " has come with another data folder: it is a new member, and has to be given "
                  "the place of the old one");
}

/// A node that has gone stays known: it is as likely that the coordinator has.
void ClusterStore::on_node(const NodeRecord& node) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    nodes_[node.member.node] = node;
    silent_.erase(node.member.node);
    for (const auto& [key, replica] : replicas_) replica->on_addresses_changed();
  }
  tell_all_whereabouts();
  auto peers = peers_;
  peers[node.member.node] = node.peer_address;
  if (auto set = transport_->set_peers(peers); !set) {
    // The other nodes are to be reached all the same.
    return options_.report("node " + std::to_string(node.member.node.value) + ": " +
                           set.error().message());
  }
  peers_ = std::move(peers);
}

std::optional<std::string> ClusterStore::http_address_of(const Member& member) {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(member.node);
  if (found == nodes_.end() || found->second.member != member) return std::nullopt;
  return found->second.http_address;
}

void ClusterStore::on_connection(const Member& peer, bool up) {
  {
    // A replica that is added meanwhile is told what is so, and not what was.
    const std::lock_guard lock(mutex_);
    std::erase(connected_, peer);
    if (up) connected_.push_back(peer);
    for (const auto& [key, replica] : replicas_) {
      up ? replica->on_connected(peer) : replica->on_disconnected(peer);
    }
  }
  if (!up) requests_->on_disconnected(peer);
}

void ClusterStore::on_received(const Member& from, std::string message, std::string batches) {
  const auto key = addressee(message);
  if (key && LeaderRequests::is_one(std::string_view(message).substr(kEnvelopeBytes))) {
    return requests_->on_message(from, *key, std::string_view(message).substr(kEnvelopeBytes));
  }
  // For a topic that is not open here yet, say. The sender says it again.
  const auto found = key ? replica(key->topic, key->partition) : nullptr;
  if (!found) return;
  message.erase(0, kEnvelopeBytes);
  std::shared_ptr<Unwritten> held;
  if (const std::size_t bytes = message.size() + batches.size(); bytes > kSmallBytes) {
    held = std::make_shared<Unwritten>(unwritten_, bytes);
    // Lost, as anything may be; but never what is alone.
    const std::size_t all = unwritten_->load();
    if (all > options_.unwritten_bytes_max && all != bytes) return;
  }
  found->on_message(from, std::move(message), std::move(batches), std::move(held));
}

void ClusterStore::send(const PartitionKey& partition, const Member& to,
                        const std::string& message) {
  // What cannot be sent is lost, which the protocol is made for.
  [[maybe_unused]] const auto sent =
      transport_->send(to, in_envelope(partition, message), flow_of(partition));
}

std::optional<Member> ClusterStore::leader_elsewhere(const PartitionKey& partition) {
  const auto found = replica(partition.topic, partition.partition);
  std::optional<Member> leader = found ? found->status().leader : std::nullopt;
  if (!leader) {  // a replica that is damaged hears of none
    const std::lock_guard lock(directory_mutex_);
    const auto known = directory_ ? directory_->partition(partition) : std::nullopt;
    if (known) leader = known->record.leader;
  }
  return leader == self_ ? std::nullopt : leader;
}

}  // namespace keelson::cluster
