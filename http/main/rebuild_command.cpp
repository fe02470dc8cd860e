#include "http/main/rebuild_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "engine/cluster/cluster_folder.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/record_rebuild.h"
#include "engine/io/posix_file_system.h"
#include "http/etcd/etcd_coordinator.h"
#include "http/main/cluster_client.h"
#include "http/main/command_line.h"

namespace keelson::tools {

namespace {

using cluster::LastRecord;
using cluster::NodeTestimony;
using cluster::PartitionTestimony;
using cluster::RebuiltRecord;
using cluster::TopicPlacement;
using cluster::TopicTestimony;
using nlohmann::json;
using replication::Member;
using replication::PartitionRecord;
using replication::Promise;
using replication::Record;
using replication::Revision;

constexpr std::chrono::milliseconds kPause{200};
/// Tries to write a record while etcd does not answer: half a minute.
constexpr int kPatience = 150;
/// Looks for a node that runs: ten seconds.
constexpr int kPresencePatience = 50;

// --- whom to ask ---

/// A node that runs, or the folder of one that does not.
class Witness {
 public:
  explicit Witness(NodeTestimony testimony) : said(std::move(testimony)) {}
  virtual ~Witness() = default;
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  [[nodiscard]] virtual bool runs() const = 0;
  /// Durable on return. @return what was promised before.
  [[nodiscard]] virtual Result<Promise> pledge(const std::string& topic, const Uuid& id,
                                               PartitionId partition, Epoch epoch) = 0;
  const NodeTestimony said;
};

std::optional<Member> member_from(const json& value) {
  if (!value.is_object()) return std::nullopt;
  const auto data = uuid_from_hex(value.at("data").get<std::string>());
  if (!data) return std::nullopt;
  return Member{replication::NodeId(value.at("node").get<Node>()), *data};
}

Promise promise_from(const json& value) {
  Promise promise(Epoch(value.at("promise").get<std::uint64_t>()));
  promise.led = Epoch(value.at("led").get<std::uint64_t>());
  promise.leader = member_from(value.at("leader"));
  return promise;
}

Result<PartitionTestimony> partition_from(const json& value) {
  PartitionTestimony said;
  if (value.contains("damage")) {
    said.damage = Error{Errc::corruption, value.at("damage").get<std::string>(), {}};
  }
  said.promise = promise_from(value);
  said.end = {Epoch(value.at("last_epoch").get<std::uint64_t>()),
              BatchNo(value.at("end").get<std::uint64_t>())};
  if (value.at("record").is_null()) return said;
  KEELSON_TRY_ASSIGN(auto record,
                     replication::decode_partition_record(value.at("record").get<std::string>()));
  said.last = LastRecord{std::move(record), Revision(value.at("revision").get<std::uint64_t>())};
  return said;
}

Result<TopicTestimony> topic_from(const json& value) {
  TopicTestimony topic;
  topic.name = value.at("name").get<std::string>();
  const auto id = uuid_from_hex(value.at("id").get<std::string>());
  if (!id) return fail(Errc::bad_request, "the id of topic " + topic.name + " is none");
  topic.id = *id;
  if (!value.at("placement").is_null()) {
    KEELSON_TRY_ASSIGN(topic.placement,
                       cluster::decode_topic_placement(value.at("placement").get<std::string>()));
  }
  for (const json& each : value.at("partitions")) {
    KEELSON_TRY_ASSIGN(auto partition, partition_from(each));
    topic.partitions.push_back(std::move(partition));
  }
  return topic;
}

Result<NodeTestimony> testimony_from(const json& value) {
  NodeTestimony node;
  node.cluster = value.at("cluster").get<std::string>();
  const auto member = member_from(value);
  if (!member) return fail(Errc::bad_request, "who it is cannot be read");
  node.member = *member;
  for (const json& each : value.at("topics")) {
    KEELSON_TRY_ASSIGN(auto topic, topic_from(each));
    node.topics.push_back(std::move(topic));
  }
  return node;
}

class Server final : public Witness {
 public:
  Server(NodeTestimony testimony, ClusterClient& client, std::string address)
      : Witness(std::move(testimony)), client_(client), address_(std::move(address)) {}
  bool runs() const override { return true; }
  Result<Promise> pledge(const std::string& topic, const Uuid&, PartitionId partition,
                         Epoch epoch) override {
    KEELSON_TRY_ASSIGN(const json answer,
                       client_.post(address_,
                                    "/v1/cluster/topics/" + topic + "/partitions/" +
                                        std::to_string(partition.value) + "/pledge",
                                    {{"epoch", epoch.value}}));
    return promise_from(answer);
  }

 private:
  ClusterClient& client_;
  const std::string address_;
};

class Folder final : public Witness {
 public:
  Folder(NodeTestimony testimony, cluster::ClusterFolder folder)
      : Witness(std::move(testimony)), folder_(std::move(folder)) {}
  bool runs() const override { return false; }
  Result<Promise> pledge(const std::string& topic, const Uuid& id, PartitionId partition,
                         Epoch epoch) override {
    return folder_.pledge(topic, id, partition, epoch);
  }

 private:
  cluster::ClusterFolder folder_;
};

struct Topic {
  Uuid id;
  std::optional<TopicPlacement> placement;
  bool there = false;  ///< in etcd
  std::map<PartitionId, std::map<Member, PartitionTestimony>> partitions;
};

/// What is to be written.
struct WantedRecord {
  std::string topic;
  Uuid id;
  PartitionId partition;
  std::optional<LastRecord> there;
  RebuiltRecord rebuilt;
  [[nodiscard]] std::string name() const { return topic + " " + std::to_string(partition.value); }
};

std::string nodes_of(const replication::MemberList& list) {
  std::string text;
  for (const Member& member : list) {
    text += (text.empty() ? "" : ",") + std::to_string(member.node.value);
  }
  return text;
}

class Rebuild {
 public:
  explicit Rebuild(RebuildCommand command)
      : command_(std::move(command)), keys_(command_.cluster) {}

  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> ask();
  [[nodiscard]] Result<void> plan();
  void show() const;
  [[nodiscard]] bool doubtful() const;
  [[nodiscard]] Result<void> write();
  [[nodiscard]] std::size_t wanted() const;

 private:
  [[nodiscard]] Result<void> open_client();
  [[nodiscard]] Result<std::set<std::string>> ask_server(const std::string& address);
  [[nodiscard]] Result<void> add(std::unique_ptr<Witness> witness);
  [[nodiscard]] Result<void> add(const Member& member, const TopicTestimony& said);
  [[nodiscard]] Result<std::optional<Record>> get(const std::string& key);
  [[nodiscard]] Result<void> put(const std::string& key, Revision expected,
                                 const std::string& value);
  [[nodiscard]] Result<void> look_in_etcd();
  [[nodiscard]] Result<void> look_for_nodes();
  [[nodiscard]] Result<void> fence(const WantedRecord& wanted);

  const RebuildCommand command_;
  const cluster::ClusterKeys keys_;
  io::PosixFileSystem files_;
  std::optional<ClusterClient> client_;
  std::vector<std::string> addresses_;
  std::unique_ptr<http::EtcdCoordinator> etcd_;
  std::map<Member, std::unique_ptr<Witness>> witnesses_;
  std::map<std::string, Topic> topics_;
  std::map<std::string, std::optional<LastRecord>> there_;  ///< by the key of a partition
  std::vector<WantedRecord> wanted_;
  std::uint64_t generation_ = 0;
  bool any_there_ = false;
  std::vector<std::string> doubts_;  ///< of all of it
};

Result<void> Rebuild::open_client() {
  constexpr std::string_view kPlain = "http://";
  constexpr std::string_view kTls = "https://";
  ClusterClient::Options options;
  options.authority_file = command_.authority_file;
  for (std::string_view url : command_.servers) {
    const bool tls = url.starts_with(kTls);
    if (!tls && !url.starts_with(kPlain)) {
      return fail(Errc::bad_request, "--server must be http://HOST:PORT or https://HOST:PORT");
    }
    if (!addresses_.empty() && options.tls != tls) {
      return fail(Errc::bad_request, "--server: all nodes serve https:// or none");
    }
    options.tls = tls;
    url.remove_prefix((tls ? kTls : kPlain).size());
    if (url.ends_with('/')) url.remove_suffix(1);
    KEELSON_TRY(ServerAddress::parse(url));
    addresses_.emplace_back(url);
  }
  if (!command_.token_file.empty()) {
    std::ifstream file(command_.token_file);
    if (!std::getline(file, options.token) || options.token.empty()) {
      return fail(Errc::bad_request, "no token can be read from " + command_.token_file);
    }
  }
  KEELSON_TRY_ASSIGN(client_, ClusterClient::open(std::move(options)));
  return {};
}

Result<void> Rebuild::open() {
  KEELSON_TRY(open_client());
  KEELSON_TRY_ASSIGN(etcd_, http::EtcdCoordinator::open(command_.etcd));
  return etcd_->check(keys_.prefix() + "rebuild");
}

// --- asking ---

Result<void> Rebuild::add(const Member& member, const TopicTestimony& said) {
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

Result<void> Rebuild::add(std::unique_ptr<Witness> witness) {
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
Result<std::set<std::string>> Rebuild::ask_server(const std::string& address) {
  KEELSON_TRY_ASSIGN(const json answer, client_->get(address, "/v1/cluster/records"));
  try {
    auto said = testimony_from(answer);
    if (!said) return fail(said.error().code, address + ": " + said.error().context);
    KEELSON_TRY(add(std::make_unique<Server>(*std::move(said), *client_, address)));
    std::set<std::string> others;
    for (const json& each : answer.at("nodes")) others.insert(each.get<std::string>());
    return others;
  } catch (const json::exception& wrong) {
    return fail(Errc::bad_request, address + " is not a node of a cluster: " + wrong.what());
  }
}

Result<void> Rebuild::ask() {
  std::set<std::string> asked;
  std::set<std::string> named;
  for (const std::string& address : addresses_) {
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
    KEELSON_TRY_ASSIGN(auto said, folder->testify());
    KEELSON_TRY(add(std::make_unique<Folder>(std::move(said), *std::move(folder))));
  }
  return {};
}

// --- etcd ---

Result<std::optional<Record>> Rebuild::get(const std::string& key) {
  std::promise<Result<std::optional<Record>>> promise;
  auto answer = promise.get_future();
  etcd_->get(key, [&](auto record) { promise.set_value(std::move(record)); });
  return answer.get();
}

/// The same again while its outcome is not known: it may have arrived, or yet arrive, and then a
/// repetition finds it.
Result<void> Rebuild::put(const std::string& key, Revision expected, const std::string& value) {
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

Result<void> Rebuild::look_in_etcd() {
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
Result<void> Rebuild::look_for_nodes() {
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

Result<void> Rebuild::plan() {
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

void Rebuild::show() const {
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

bool Rebuild::doubtful() const {
  if (!doubts_.empty()) return true;
  return std::ranges::any_of(wanted_, [](const auto& w) { return !w.rebuilt.doubts.empty(); });
}

std::size_t Rebuild::wanted() const {
  const auto records =
      std::ranges::count_if(wanted_, [](const auto& w) { return w.rebuilt.record.has_value(); });
  const auto topics =
      std::ranges::count_if(topics_, [](const auto& topic) { return !topic.second.there; });
  return static_cast<std::size_t>(records + topics);
}

// --- writing ---

Result<void> Rebuild::fence(const WantedRecord& wanted) {
  std::map<Member, Promise> pledged;
  std::optional<Error> failed;
  for (const Member& member : wanted.rebuilt.record->members()) {
    const auto witness = witnesses_.find(member);
    const auto& said = topics_.at(wanted.topic).partitions.at(wanted.partition);
    const auto own = said.find(member);
    if (witness == witnesses_.end() || own == said.end() || own->second.damage) continue;
    auto before = witness->second->pledge(wanted.topic, wanted.id, wanted.partition,
                                          wanted.rebuilt.record->epoch);
    if (before) {
      pledged.emplace(member, *before);
    } else {
      failed = before.error();
      std::printf("%s: node %u was not fenced: %s\n", wanted.name().c_str(), member.node.value,
                  before.error().context.c_str());
    }
  }
  auto fenced = cluster::check_fenced(wanted.rebuilt, pledged);
  // An operator has answered for those that are missing from the beginning.
  const bool forced = !wanted.rebuilt.doubts.empty() && !failed && !fenced &&
                      fenced.error().code == Errc::not_enough_replicas;
  if (fenced || forced) return {};
  return fail(fenced.error().code, wanted.name() + ": " + fenced.error().context);
}

/// Partitions first: a node that sees a topic without one makes it as it began.
Result<void> Rebuild::write() {
  for (const WantedRecord& wanted : wanted_) {
    if (!wanted.rebuilt.record) continue;
    KEELSON_TRY(fence(wanted));
    KEELSON_TRY(put(keys_.of(cluster::PartitionKey{wanted.id, wanted.partition}),
                    wanted.there ? wanted.there->revision : Revision(0),
                    replication::encode_partition_record(*wanted.rebuilt.record)));
  }
  for (const auto& [name, topic] : topics_) {
    if (topic.there) continue;
    TopicPlacement placement = *topic.placement;
    placement.generation = generation_;
    KEELSON_TRY(put(keys_.of(cluster::TopicKey{name}), Revision(0),
                    cluster::encode_topic_placement(placement)));
  }
  return {};
}

/// Whether the operator means it.
bool confirmed(const RebuildCommand& command) {
  if (command.yes) return true;
  std::printf("\nType the cluster's name to go on: ");
  std::fflush(stdout);
  std::string typed;
  std::getline(std::cin, typed);
  return typed == command.cluster;
}

}  // namespace

void describe(CLI::App& command, RebuildCommand& options) {
  command.add_option("--cluster", options.cluster, "Which")->required()->type_name("NAME");
  http::describe(command, options.etcd);
  command.add_option(
      "--server", options.servers,
      "A node that runs: http://HOST:PORT, or https://; those it knows are asked too");
  command
      .add_option("--data", options.folders,
                  "The data folder of a node that does not run, on this machine")
      ->type_name("DIR");
  command
      .add_option("--ca", options.authority_file,
                  "Whose certificates are believed of nodes, PEM; those of the system by default")
      ->type_name("FILE");
  command.add_option("--token", options.token_file, "A file with the token to show to nodes");
  command.add_flag("--repair", options.repair,
                   "etcd has records, and they are earlier ones, or not all of them");
  command.add_flag("--force", options.force,
                   "In spite of doubts: acknowledged data may be missing afterwards");
  command.add_flag("--yes", options.yes, "Do not ask");
  command.add_flag("--insecure", options.insecure, "Send a password over a network as it is");
}

int rebuild_records(RebuildCommand command) {
  if (command.servers.empty() && command.folders.empty()) {
    return complain("give --server for nodes that run, or --data for folders of those that do not",
                    kUsage);
  }
  if (command.etcd.endpoints.empty()) return complain("give --etcd", kUsage);
  if (auto good = cluster::check_cluster_name(command.cluster); !good) {
    return complain(good.error().context, kUsage);
  }
  if (auto good = http::complete(command.etcd, command.insecure); !good) {
    return complain(good.error().context, kUsage);
  }
  if (!command.yes && ::isatty(STDIN_FILENO) == 0) {
    return complain("this changes who may lead: confirm it on a terminal, or with --yes", kUsage);
  }
  Rebuild rebuild(command);
  if (auto good = rebuild.open(); !good) {
    const bool usage = good.error().code == Errc::bad_request;
    return complain(good.error().context, usage ? kUsage : kBad);
  }
  if (auto good = rebuild.ask(); !good) return complain(good.error().context);
  if (auto good = rebuild.plan(); !good) return complain(good.error().context);
  rebuild.show();
  if (rebuild.wanted() == 0) {
    std::printf("\netcd has all that the nodes know; nothing was done.\n");
    return kGood;
  }
  if (rebuild.doubtful()) {
    std::printf(
        "\nWhere there is DOUBT, what was acknowledged may be missing afterwards, and two nodes "
        "may\n"
        "lead one partition if those that were not asked go on: stop them first.\n");
    if (!command.force) return complain("nothing was done: ask more nodes, or use --force");
  }
  if (!confirmed(command)) return complain("nothing was done");
  if (auto good = rebuild.write(); !good) {
    return complain(good.error().context + "; go on with --repair");
  }
  std::printf("\n%zu records made anew. Leaders are elected now; see 'keelson cluster status'.\n",
              rebuild.wanted());
  return kGood;
}

}  // namespace keelson::tools
