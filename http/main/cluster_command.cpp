#include "http/main/cluster_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <thread>
#include <utility>

#include "engine/base/random.h"
#include "engine/cluster/placement.h"
#include "http/command_line_checks.h"
#include "http/main/cluster_client.h"
#include "http/main/cluster_tables.h"
#include "http/main/command_line.h"
#include "http/main/node_access.h"
#include "http/main/rebuild_command.h"

namespace keelson::tools {

namespace {

using nlohmann::json;
using replication::Member;
using replication::MemberList;

constexpr std::chrono::milliseconds kPoll{200};
/// Looks without progress after which something is given up: half a minute.
constexpr int kPatience = 150;

struct ClusterCommand {
  NodeAccess access;
  bool json = false;
  bool yes = false;
  std::string topic;
  std::uint32_t partition = 0;
  std::string nodes;
  Node node = 0;
};

/// A server's address and the token to show there.
struct Access {
  std::string address;
  ClusterClient client;
};

void say(const ClusterCommand& command, const std::string& line) {
  if (command.json) return;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// New members for a partition, with their data folders.
struct WantedMove {
  std::string topic;
  std::uint32_t partition = 0;
  MemberList members;
  std::string progress = {};  ///< told last
  int idle = 0;               ///< looks since there was any
};

enum class Outcome { going_on, done, failed };

/// How far the new members are, by the leader.
std::string progress_of(const PartitionState& partition) {
  if (!partition.old_replicas.empty()) return "the members are being changed";
  if (!partition.move.is_object()) return "waiting for the leader";
  std::string text;
  for (const json& follower : partition.followers) {
    const auto lag = follower.at("lag").get<std::uint64_t>();
    const Member member{replication::NodeId(follower.at("node").get<Node>()),
                        uuid_from_hex(follower.at("data").get<std::string>()).value_or(Uuid())};
    if (contains(partition.replicas, member)) continue;
    text += (text.empty() ? "" : ", ") + ("node " + std::to_string(member.node.value)) + " lacks " +
            std::to_string(lag) + " batches";
  }
  return text.empty() ? "the members are being changed" : text;
}

Outcome go_on(const ClusterCommand& command, Access& access, const ClusterState& state,
              WantedMove& move) {
  const PartitionState* const partition = state.find(move.topic, move.partition);
  if (partition == nullptr) return Outcome::failed;
  const std::string name = partition->name() + ": ";
  if (partition->replicas == move.members && partition->old_replicas.empty()) {
    say(command, name + "on " + text_of(move.members));
    return Outcome::done;
  }
  const bool under_way = partition->move.is_object() && partition->move.at("state") != "failed";
  if (partition->move.is_object() && !under_way && !move.progress.empty()) {
    complain(name + "the move has failed: " + partition->move.value("error", ""));
    return Outcome::failed;
  }
  const std::string progress = progress_of(*partition);
  const bool moves = std::exchange(move.progress, progress) != progress;
  if (moves) say(command, name + progress);
  move.idle = moves || under_way ? 0 : move.idle + 1;
  if (move.idle > kPatience) {
    complain(name + "no leader has taken the move");
    return Outcome::failed;
  }
  if (under_way || !partition->old_replicas.empty() || !partition->led) return Outcome::going_on;
  json numbers = json::array();
  for (const Member& member : move.members) numbers.push_back(member.node.value);
  const auto asked = access.client.post(state.leader_address(*partition),
                                        partition->path() + "move", {{"replicas", numbers}});
  if (!asked && asked.error().code == Errc::bad_request) {
    complain(name + asked.error().context);
    return Outcome::failed;
  }
  return Outcome::going_on;
}

/// Until all are done or have failed. What has begun goes on when this ends.
int carry_out(const ClusterCommand& command, Access& access, std::vector<WantedMove> moves) {
  int failed = 0;
  int silent = 0;
  while (!moves.empty()) {
    const auto state = look(access.client, access.address);
    if (!state) {
      if (++silent > kPatience) return complain(state.error().context);
      std::this_thread::sleep_for(kPoll);
      continue;
    }
    silent = 0;
    std::erase_if(moves, [&](WantedMove& move) {
      const Outcome outcome = go_on(command, access, *state, move);
      failed += outcome == Outcome::failed ? 1 : 0;
      return outcome != Outcome::going_on;
    });
    if (!moves.empty()) std::this_thread::sleep_for(kPoll);
  }
  return failed == 0 ? kGood : kBad;
}

int done(const ClusterCommand& command, int status) {
  if (command.json) std::printf("%s\n", json{{"done", status == kGood}}.dump().c_str());
  return status;
}

Result<ClusterState> look(Access& access) { return look(access.client, access.address); }

int no_partition(const ClusterCommand& command) {
  return complain("there is no partition " + std::to_string(command.partition) + " of a topic '" +
                  command.topic + "'");
}

// --- status ---

int show_status(const ClusterCommand& command, Access& access) {
  const auto state = look(access);
  if (!state) return complain(state.error().context);
  command.json ? print_json(*state) : print_tables(*state);
  return kGood;
}

// --- move ---

/// `1,2,4`
Result<std::vector<Node>> nodes_from(const std::string& text) {
  std::vector<Node> nodes;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const std::string number = text.substr(from, comma - from);
    if (number.empty() || number.size() > 9 ||
        number.find_first_not_of("0123456789") != std::string::npos) {
      return fail(Errc::bad_request, "NODES are numbers with commas between: 1,2,4");
    }
    nodes.push_back(static_cast<Node>(std::stoul(number)));
    from = comma + 1;
  }
  return nodes;
}

int move_partition(const ClusterCommand& command, Access& access) {
  const auto nodes = nodes_from(command.nodes);
  if (!nodes) return complain(nodes.error().context, kUsage);
  const auto state = look(access);
  if (!state) return complain(state.error().context);
  const PartitionState* const partition = state->find(command.topic, command.partition);
  if (partition == nullptr) return no_partition(command);
  WantedMove move{command.topic, command.partition, {}};
  for (const Node node : *nodes) {
    const auto member = state->member(*partition, node);
    if (!member) return complain("node " + std::to_string(node) + " is not alive");
    move.members.push_back(*member);
  }
  return done(command, carry_out(command, access, {std::move(move)}));
}

// --- lead ---

int hand_lead_over(const ClusterCommand& command, Access& access) {
  auto state = look(access);
  if (!state) return complain(state.error().context);
  const PartitionState* partition = state->find(command.topic, command.partition);
  if (partition == nullptr) return no_partition(command);
  MemberList members = partition->replicas;
  const auto first = std::ranges::find_if(
      members, [&](const Member& member) { return member.node.value == command.node; });
  if (first == members.end()) {
    return complain("node " + std::to_string(command.node) + " is no replica of " +
                    partition->name() + ": those are " + text_of(members));
  }
  // The first of the list is given the lead whenever it is well: so it stays there.
  std::rotate(members.begin(), first, first + 1);
  const int moved = carry_out(command, access, {{command.topic, command.partition, members}});
  if (moved != kGood) return done(command, moved);
  std::string why = "it does not lead after half a minute";
  for (int i = 0; i < kPatience; ++i) {
    state = look(access);
    partition = state ? state->find(command.topic, command.partition) : nullptr;
    if (partition != nullptr && partition->led && partition->leader == command.node) {
      say(command, partition->name() + ": node " + std::to_string(command.node) + " leads");
      return done(command, kGood);
    }
    if (partition != nullptr && partition->led) {
      const auto asked = access.client.post(state->leader_address(*partition),
                                            partition->path() + "lead", {{"node", command.node}});
      if (!asked) why = asked.error().context;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return complain(why);
}

// --- drain ---

int drain_node(const ClusterCommand& command, Access& access) {
  const auto state = look(access);
  if (!state) return complain(state.error().context);
  if (!state->nodes.contains(command.node)) {
    return complain("there is no node " + std::to_string(command.node));
  }
  std::vector<cluster::PlacedPartition> placed;
  std::map<Uuid, std::string> topics;
  for (const PartitionState& partition : state->partitions) {
    const Uuid topic = uuid_from_hex(partition.topic_id).value_or(Uuid());
    topics[topic] = partition.topic;
    replication::PartitionRecord record;
    record.epoch = Epoch(partition.epoch);
    record.replicas = partition.replicas;
    record.old_replicas = partition.old_replicas;
    placed.push_back({topic, PartitionId(partition.partition), std::move(record)});
  }
  MemberList live;
  for (const auto& [id, node] : state->nodes) {
    if (node.alive) live.push_back(node.member);
  }
  const auto moves = cluster::moves_to_drain(replication::NodeId(command.node), placed, live);
  if (!moves) return complain(moves.error().context);
  std::vector<WantedMove> wanted;
  for (const cluster::Move& move : *moves) {
    wanted.push_back({topics.at(move.topic), move.partition.value, move.replicas});
  }
  say(command, wanted.empty() ? "nothing lies on node " + std::to_string(command.node)
                              : std::to_string(wanted.size()) + " partitions leave node " +
                                    std::to_string(command.node));
  return done(command, carry_out(command, access, std::move(wanted)));
}

// --- force-leader ---

bool greater(const json& a, const json& b) {
  const auto end = [](const json& replica) {
    return std::pair(replica.at("last_epoch").get<std::uint64_t>(),
                     replica.at("appended").get<std::uint64_t>());
  };
  return end(b) < end(a);
}

void warn(const ClusterState& state, const PartitionState& partition, Node chosen) {
  std::printf("\n%s, epoch %llu, replicas %s:\n\n", partition.name().c_str(),
              static_cast<unsigned long long>(partition.epoch),
              text_of(partition.replicas).c_str());
  print_survivors(state, partition);
  const json& own = partition.at.at(chosen);
  std::printf(
      "\nNode %u is to lead alone, with the log that it has. Whatever was acknowledged and is not\n"
      "in that log is lost: commands that clients were told are done, and read models of other\n"
      "nodes may show them still. Replicas that hold more are not asked; they halt, or lose it,\n"
      "when they are made replicas again.\n",
      chosen);
  for (const auto& [node, replica] : partition.at) {
    if (node != chosen && greater(replica, own)) {
      std::printf("\nNode %u HAS MORE than node %u: choose it instead.\n", node, chosen);
    }
  }
}

/// Whether the operator means it.
bool confirmed(const ClusterCommand& command) {
  if (command.yes) return true;
  std::printf("\nType the topic's name to go on: ");
  std::fflush(stdout);
  std::string typed;
  std::getline(std::cin, typed);
  return typed == command.topic;
}

int force_leader(const ClusterCommand& command, Access& access) {
  if (!command.yes && ::isatty(STDIN_FILENO) == 0) {
    return complain("this may lose data: confirm it on a terminal, or with --yes", kUsage);
  }
  auto state = look(access);
  if (!state) return complain(state.error().context);
  const PartitionState* partition = state->find(command.topic, command.partition);
  if (partition == nullptr) return no_partition(command);
  const auto node = state->nodes.find(command.node);
  if (node == state->nodes.end() || !partition->at.contains(command.node)) {
    return complain("node " + std::to_string(command.node) + " does not answer");
  }
  if (!command.json) warn(*state, *partition, command.node);
  if (!confirmed(command)) return complain("nothing was done");
  const std::uint64_t epoch = partition->epoch;
  const std::string address = node->second.http_address;
  const json body{{"confirm", "data may be lost"}, {"epoch", epoch}};
  auto asked = access.client.post(address, partition->path() + "force", body);
  for (int i = 0; i < kPatience && !asked && asked.error().code == Errc::overloaded; ++i) {
    std::this_thread::sleep_for(kPoll);
    asked = access.client.post(address, partition->path() + "force", body);
  }
  if (!asked) return complain(asked.error().context);
  for (int i = 0; i < kPatience; ++i) {
    state = look(access.client, address);
    partition = state ? state->find(command.topic, command.partition) : nullptr;
    if (partition != nullptr && partition->epoch > epoch && partition->led &&
        partition->leader == command.node) {
      say(command, partition->name() + ": node " + std::to_string(command.node) +
                       " leads alone; give it other replicas with 'keelson cluster move'");
      return done(command, kGood);
    }
    std::this_thread::sleep_for(kPoll);
  }
  return complain("it does not lead after half a minute; see 'keelson cluster status'");
}

// --- the command line ---

Result<Access> access_of(const ClusterCommand& command) {
  KEELSON_TRY_ASSIGN(auto nodes, open_nodes(command.access));
  return Access{std::move(nodes.addresses.front()), std::move(nodes.client)};
}

}  // namespace

int run_cluster(const std::vector<std::string>& arguments) {
  CLI::App parser("Shows a cluster that runs, and changes it", "keelson cluster");
  parser.require_subcommand(1);
  ClusterCommand command;
  std::map<const CLI::App*, int (*)(const ClusterCommand&, Access&)> commands;
  const auto add = [&](const std::string& name, const std::string& help, auto run) {
    CLI::App* const each = parser.add_subcommand(name, help);
    each->add_option("--server", command.access.servers, "Any node: http://HOST:PORT, or https://")
        ->expected(1)
        ->required();
    describe(*each, command.access);
    each->add_flag("--json", command.json, "One JSON object, for programs");
    commands[each] = run;
    return each;
  };
  const auto add_partition = [&](CLI::App* each) {
    each->add_option("topic", command.topic, "A topic")->required();
    each->add_option("partition", command.partition, "Its partition, from 0")->required();
  };
  const auto add_node = [&](CLI::App* each) {
    each->add_option("node", command.node, "The number of a node")->required();
  };
  add("status", "Nodes, partitions, and what is wrong", show_status);
  CLI::App* const move = add("move", "Give a partition other replicas", move_partition);
  add_partition(move);
  move->add_option("nodes", command.nodes, "1,2,4: the first of them is to lead")->required();
  CLI::App* const lead = add("lead", "Let a replica lead, and go on leading", hand_lead_over);
  add_partition(lead);
  add_node(lead);
  add_node(add("drain", "Move everything away from a node", drain_node));
  CLI::App* const force =
      add("force-leader", "Let one replica lead alone: a majority is gone for good", force_leader);
  add_partition(force);
  add_node(force);
  force->add_flag("--yes", command.yes, "Do not ask");
  RebuildCommand rebuild;
  CLI::App* const rebuilding = parser.add_subcommand(
      "rebuild-records", "Make the records of a cluster anew in an etcd that has lost them");
  describe(*rebuilding, rebuild);
  if (const auto wrong = http::unknown_subcommand(parser, arguments.empty() ? "" : arguments[0])) {
    return complain(*wrong, kUsage);
  }
  if (const auto ended = parse(parser, arguments)) return *ended;
  if (rebuilding->parsed()) return rebuild_records(std::move(rebuild));
  auto access = access_of(command);
  if (!access) return complain(access.error().context, kUsage);
  try {
    for (const auto& [each, run] : commands) {
      if (each->parsed()) return run(command, *access);
    }
  } catch (const json::exception& wrong) {
    return complain("what a node answers cannot be read: " + std::string(wrong.what()));
  }
  return kUsage;
}

}  // namespace keelson::tools
