#include "http/main/cluster_rebuild.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <thread>
#include <utility>

#include "engine/cluster/cluster_folder.h"
#include "http/main/command_line.h"

namespace keelson::tools {

using cluster::LastRecord;
using cluster::NodeTestimony;
using cluster::PartitionTestimony;
using cluster::TopicPlacement;
using cluster::TopicTestimony;
using nlohmann::json;
using replication::Member;
using replication::Promise;
using replication::Record;

namespace {

constexpr std::chrono::milliseconds kPause{200};
/// Tries to write a record while etcd does not answer: half a minute.
constexpr int kPatience = 150;
/// Looks for a node that runs: ten seconds.
constexpr int kPresencePatience = 50;

std::string nodes_of(const replication::MemberList& list) {
  std::string text;
  for (const Member& member : list) {
    text += (text.empty() ? "" : ",") + std::to_string(member.node.value);
  }
  return text;
}

}  // namespace

Result<void> ClusterRebuild::open() {
  KEELSON_TRY_ASSIGN(nodes_, open_nodes(command_.nodes));
  KEELSON_TRY_ASSIGN(etcd_, http::EtcdCoordinator::open(command_.etcd));
  return etcd_->check(keys_.prefix() + "rebuild");
}

// --- asking ---

Result<void> ClusterRebuild::add(const Member& member, const TopicTestimony& said) {
  Topic& topic = topics_[said.name];
  if (topic.partitions.empty()) topic.id = said.id;
  if (topic.id != said.id) {
    return fail(Errc::corruption, "topic " + said.name + " of node " +
                                      std::to_string(member.node.value) +
                                      " is another one than that of other nodes");
  }
  const bool newer = said.placement &&
                     (!topic.placement || topic.placement->generation < said.placement->generation);
  if (newer) topic.placement = said.placement;
  if (said.placement) generation_ = std::max(generation_, said.placement->generation);
  for (std::uint32_t p = 0; p < said.partitions.size(); ++p) {
    const PartitionTestimony& partition = said.partitions[p];
    if (partition.last) generation_ = std::max(generation_, partition.last->record.generation);
    topic.partitions[PartitionId(p)][member] = partition;
  }
  return {};
}

Result<void> ClusterRebuild::add(std::unique_ptr<Witness> witness) {
  const NodeTestimony& said = witness->said;
  if (said.cluster != command_.cluster) {
    return fail(Errc::bad_request, "node " + std::to_string(said.member.node.value) +
                                       " is of cluster " + said.cluster + ", not " +
                                       command_.cluster);
  }
  if (witnesses_.contains(said.member)) return {};
  for (const TopicTestimony& topic : said.topics) KEELSON_TRY(add(said.member, topic));
  witnesses_.emplace(said.member, std::move(witness));
  return {};
}

/// @return where this node has seen others.
Result<std::set<std::string>> ClusterRebuild::ask_server(const std::string& address) {
  KEELSON_TRY_ASSIGN(const json answer, nodes_->client.get(address, "/v1/cluster/records"));
  KEELSON_TRY_ASSIGN(auto witness, witness_at(address, answer, nodes_->client));
  KEELSON_TRY(add(std::move(witness)));
  try {
    std::set<std::string> others;
    for (const json& each : answer.at("nodes")) others.insert(each.get<std::string>());
    return others;
  } catch (const json::exception& wrong) {
    return fail(Errc::bad_request, address + " is not a node of a cluster: " + wrong.what());
  }
}

Result<void> ClusterRebuild::ask() {
  std::set<std::string> asked;
  std::set<std::string> named;
  for (const std::string& address : nodes_->addresses) {
    if (!asked.insert(address).second) continue;
    KEELSON_TRY_ASSIGN(const auto others, ask_server(address));
    named.insert(others.begin(), others.end());
  }
  for (const std::string& address : named) {
    if (!asked.insert(address).second) continue;
    const auto others = ask_server(address);
    if (!others && others.error().code != Errc::io_error) return std::unexpected(others.error());
    if (!others) std::printf("%s does not answer\n", address.c_str());
  }
  for (const std::string& data : command_.folders) {
    auto folder = cluster::ClusterFolder::open(files_, store_folder(data));
    if (!folder) return fail(folder.error().code, "--data " + data + ": " + folder.error().context);
    KEELSON_TRY_ASSIGN(auto witness, witness_in(*std::move(folder)));
    KEELSON_TRY(add(std::move(witness)));
  }
  return {};
}

// --- etcd ---

Result<std::optional<Record>> ClusterRebuild::get(const std::string& key) {
  std::promise<Result<std::optional<Record>>> promise;
  auto answer = promise.get_future();
  etcd_->get(key, [&](auto record) { promise.set_value(std::move(record)); });
  return answer.get();
}

/// The same again while its outcome is not known: it may have arrived, or yet arrive, and then a
/// repetition finds it.
Result<void> ClusterRebuild::put(const std::string& key, const std::optional<Record>& expected,
                                 const std::string& value) {
  Error last;
  for (int i = 0; i < kPatience; ++i) {
    std::promise<Result<replication::Coordinator::Swapped>> promise;
    auto answer = promise.get_future();
    etcd_->compare_and_set(key, expected, value,
                           [&](auto swapped) { promise.set_value(std::move(swapped)); });
    const auto swapped = answer.get();
    if (swapped && (swapped->swapped || (swapped->current && swapped->current->value == value))) {
      return {};
    }
    if (swapped) return fail(Errc::version_conflict, key + ": somebody else has changed it");
    last = swapped.error();
    std::this_thread::sleep_for(kPause);
  }
  return std::unexpected(last);
}

Result<void> ClusterRebuild::look_in_etcd() {
  for (auto& [name, topic] : topics_) {
    KEELSON_TRY_ASSIGN(const auto record, get(keys_.of(cluster::TopicKey{name})));
    if (record) {
      KEELSON_TRY_ASSIGN(auto placement, cluster::decode_topic_placement(record->value));
      if (placement.topic != topic.id) {
        return fail(Errc::corruption, "etcd has another topic " + name +
                                          " than the nodes: take that record away "
                                          "first, if it is a mistake");
      }
      generation_ = std::max(generation_, placement.generation);
      topic.placement = std::move(placement);
      topic.there = any_there_ = true;
    }
    for (const auto& [partition, said] : topic.partitions) {
      const std::string key = keys_.of(cluster::PartitionKey{topic.id, partition});
      KEELSON_TRY_ASSIGN(const auto there, get(key));
      if (!there) continue;
      KEELSON_TRY_ASSIGN(auto decoded, replication::decode_partition_record(there->value));
      generation_ = std::max(generation_, decoded.generation);
      there_[key] = LastRecord{std::move(decoded), there->revision};
      any_there_ = true;
    }
  }
  return {};
}

/// Those that run show themselves in their etcd, also in one that has just lost everything.
Result<void> ClusterRebuild::look_for_nodes() {
  for (const auto& [member, witness] : witnesses_) {
    if (!witness->runs()) continue;
    bool seen = false;
    for (int i = 0; i < kPresencePatience && !seen; ++i) {
      if (i != 0) std::this_thread::sleep_for(kPause);
      KEELSON_TRY_ASSIGN(const auto record, get(keys_.of(cluster::NodeKey{member.node})));
      const auto node = record ? cluster::decode_node_record(record->value)
                               : Result<cluster::NodeRecord>(fail(Errc::not_found, ""));
      seen = node && node->member == member;
    }
    if (seen) continue;
    doubts_.push_back("node " + std::to_string(member.node.value) +
                      " is not to be seen in this etcd: it uses another one, or cannot reach it");
  }
  return {};
}

Result<void> ClusterRebuild::plan() {
  if (topics_.empty()) return fail(Errc::not_found, "no node knows a topic: nothing can be made");
  KEELSON_TRY(look_in_etcd());
  if (any_there_ && !command_.repair) {
    return fail(Errc::already_exists,
                "etcd has records of cluster " + command_.cluster +
                    ": nothing was done. If it has gone back to earlier ones, or an earlier "
                    "rebuild was cut short, use --repair");
  }
  KEELSON_TRY(look_for_nodes());
  ++generation_;
  for (const auto& [name, topic] : topics_) {
    if (!topic.placement) {
      return fail(Errc::not_found, "no node that was asked knows the record of topic " + name);
    }
    for (const auto& [partition, said] : topic.partitions) {
      const std::string key = keys_.of(cluster::PartitionKey{topic.id, partition});
      const auto there = there_.contains(key) ? there_.at(key) : std::nullopt;
      WantedRecord wanted{name, topic.id, partition, there, {}};
      auto rebuilt = cluster::rebuild_record(
          said, there, topic.placement->partitions.at(partition.value), generation_);
      if (!rebuilt) {
        return fail(rebuilt.error().code, wanted.name() + ": " + rebuilt.error().context);
      }
      wanted.rebuilt = *std::move(rebuilt);
      wanted_.push_back(std::move(wanted));
    }
  }
  return {};
}

void ClusterRebuild::show() const {
  std::string asked;
  for (const auto& [member, witness] : witnesses_) {
    asked += (asked.empty() ? "" : ",") + std::to_string(member.node.value);
  }
  std::printf("cluster %s, by what nodes %s know\n\n", command_.cluster.c_str(), asked.c_str());
  for (const std::string& doubt : doubts_) std::printf("DOUBT: %s\n", doubt.c_str());
  for (const WantedRecord& wanted : wanted_) {
    const auto& rebuilt = wanted.rebuilt;
    if (!rebuilt.record) {
      std::printf("%s: as it was last known, epoch %llu\n", wanted.name().c_str(),
                  static_cast<unsigned long long>(rebuilt.known->record.epoch.value));
      continue;
    }
    std::string replicas = nodes_of(rebuilt.record->replicas);
    if (rebuilt.record->changing()) replicas += " from " + nodes_of(rebuilt.record->old_replicas);
    std::printf("%s: replicas %s, last known epoch %llu, anew from %llu\n", wanted.name().c_str(),
                replicas.c_str(),
                static_cast<unsigned long long>(rebuilt.known->record.epoch.value),
                static_cast<unsigned long long>(rebuilt.record->epoch.value));
    for (const std::string& doubt : rebuilt.doubts) std::printf("    DOUBT: %s\n", doubt.c_str());
  }
  std::fflush(stdout);
}

bool ClusterRebuild::doubtful() const {
  if (!doubts_.empty()) return true;
  return std::ranges::any_of(wanted_, [](const auto& w) { return !w.rebuilt.doubts.empty(); });
}

std::size_t ClusterRebuild::wanted() const {
  const auto records =
      std::ranges::count_if(wanted_, [](const auto& w) { return w.rebuilt.record.has_value(); });
  const auto topics =
      std::ranges::count_if(topics_, [](const auto& topic) { return !topic.second.there; });
  return static_cast<std::size_t>(records + topics);
}

// --- writing ---

/// Who leads comes last, and only if a majority is fenced with it: until then it goes on, also when
/// this is cut short.
Result<void> ClusterRebuild::fence(const WantedRecord& wanted) {
  std::map<Member, Promise> pledged;
  bool failed = false;
  const auto check = [&](const std::map<Member, Promise>& fenced) -> Result<void> {
    auto good = cluster::check_fenced(wanted.rebuilt, fenced);
    // An operator has answered for those that are missing from the beginning.
    const bool forced = !wanted.rebuilt.doubts.empty() && !failed && !good &&
                        good.error().code == Errc::not_enough_replicas;
    if (good || forced) return {};
    return fail(good.error().code, wanted.name() + ": " + good.error().context);
  };
  const auto& leader = wanted.rebuilt.known->record.leader;
  replication::MemberList members = wanted.rebuilt.record->members();
  std::ranges::stable_partition(members, [&](const Member& member) { return member != leader; });
  for (const Member& member : members) {
    const auto witness = witnesses_.find(member);
    const auto& said = topics_.at(wanted.topic).partitions.at(wanted.partition);
    const auto own = said.find(member);
    if (witness == witnesses_.end() || own == said.end() || own->second.damage) continue;
    if (member == leader) {
      auto with_it = pledged;
      with_it.emplace(member, Promise{});
      KEELSON_TRY(check(with_it));
    }
    auto before = witness->second->pledge(wanted.topic, wanted.id, wanted.partition,
                                          wanted.rebuilt.record->epoch);
    if (before) {
      pledged.emplace(member, *before);
    } else {
      failed = true;
      std::printf("%s: node %u was not fenced: %s\n", wanted.name().c_str(), member.node.value,
                  before.error().context.c_str());
    }
  }
  return check(pledged);
}

/// Partitions first: a node that sees a topic without one makes it as it began.
Result<void> ClusterRebuild::write() {
  for (const WantedRecord& wanted : wanted_) {
    if (!wanted.rebuilt.record) continue;
    KEELSON_TRY(fence(wanted));
    std::optional<Record> there;
    if (wanted.there) {
      there = Record{replication::encode_partition_record(wanted.there->record),
                     wanted.there->revision};
    }
    KEELSON_TRY(put(keys_.of(cluster::PartitionKey{wanted.id, wanted.partition}), there,
                    replication::encode_partition_record(*wanted.rebuilt.record)));
  }
  for (const auto& [name, topic] : topics_) {
    if (topic.there) continue;
    TopicPlacement placement = *topic.placement;
    placement.generation = generation_;
    KEELSON_TRY(put(keys_.of(cluster::TopicKey{name}), std::nullopt,
                    cluster::encode_topic_placement(placement)));
  }
  return {};
}

}  // namespace keelson::tools
