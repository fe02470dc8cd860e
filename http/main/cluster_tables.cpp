#include "http/main/cluster_tables.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "engine/base/random.h"

namespace keelson::tools {

namespace {

using nlohmann::json;
using replication::Member;
using replication::MemberList;

struct Cell {
  std::string text;
  bool bad = false;
};
using Row = std::vector<Cell>;

bool colours() { return ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

/// Columns as wide as what stands in them; the first row is their names.
void print(const std::vector<Row>& rows) {
  const bool in_colour = colours();
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].text.size());
    }
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i != 0) line += "  ";
      if (row[i].bad && in_colour) line += "\x1b[1;31m";
      line += row[i].text;
      if (row[i].bad && in_colour) line += "\x1b[0m";
      if (i + 1 < row.size()) line.append(widths[i] - row[i].text.size(), ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

/// Whether a record names this node with another data folder than the one it has.
bool has_new_folder(const ClusterState& state, const Member& member) {
  const auto found = state.nodes.find(member.node.value);
  return found != state.nodes.end() && found->second.alive && found->second.member != member;
}

MemberList members_of(const PartitionState& partition) {
  MemberList all = partition.replicas;
  for (const Member& member : partition.old_replicas) {
    if (!contains(all, member)) all.push_back(member);
  }
  return all;
}

std::string lag_of(const PartitionState& partition) {
  std::string text;
  if (!partition.followers.is_array()) return "?";
  for (const json& follower : partition.followers) {
    if (!text.empty()) text += ' ';
    text += follower.at("node").dump() + ":" + follower.at("lag").dump();
  }
  return text.empty() ? "-" : text;
}

std::string move_of(const PartitionState& partition) {
  if (!partition.move.is_object() || partition.move.at("state") == "failed") return "";
  std::string nodes;
  for (const json& member : partition.move.at("replicas")) {
    if (!nodes.empty()) nodes += ',';
    nodes += member.at("node").dump();
  }
  return "moving to " + nodes;
}

Cell state_of(const ClusterState& state, const NodeState& node) {
  if (!node.alive) return {"GONE", true};
  if (!node.silent.empty()) return {"alive, DOES NOT ANSWER: " + node.silent, true};
  if (!node.connected) {
    return {"alive, NOT CONNECTED with node " + std::to_string(state.asked), true};
  }
  for (const PartitionState& partition : state.partitions) {
    for (const Member& member : members_of(partition)) {
      if (member.node == node.member.node && has_new_folder(state, member)) {
        return {"alive, NEW DATA FOLDER", true};
      }
    }
  }
  return {"alive"};
}

Row row_of(const ClusterState& state, const NodeState& node) {
  std::size_t replicas = 0;
  std::size_t leads = 0;
  for (const PartitionState& partition : state.partitions) {
    replicas += contains(members_of(partition), node.member) ? 1 : 0;
    leads += partition.led && partition.leader == node.member.node.value ? 1 : 0;
  }
  return {{std::to_string(node.member.node.value)},
          {std::to_string(replicas)},
          {std::to_string(leads)},
          {node.http_address},
          {node.peer_address},
          {node.version},
          {to_hex(node.member.data).substr(0, 8)},
          state_of(state, node)};
}

Row row_of(const ClusterState& state, const PartitionState& partition) {
  const auto problems = problems_of(state, partition);
  std::string replicas = text_of(partition.replicas);
  if (!partition.old_replicas.empty()) replicas += " from " + text_of(partition.old_replicas);
  std::string text;
  for (const std::string& problem : problems) text += (text.empty() ? "" : "; ") + problem;
  if (const std::string move = move_of(partition); !move.empty()) {
    text += (text.empty() ? "" : "; ") + move;
  }
  Cell leader{partition.led ? std::to_string(*partition.leader) : "NONE", !partition.led};
  return {{partition.topic},
          {std::to_string(partition.partition)},
          std::move(leader),
          {std::to_string(partition.epoch)},
          {std::move(replicas)},
          {lag_of(partition)},
          {text.empty() ? "ok" : text, !problems.empty()}};
}

}  // namespace

std::string text_of(const MemberList& list) {
  std::string text;
  for (const Member& member : list) {
    if (!text.empty()) text += ',';
    text += std::to_string(member.node.value);
  }
  return text;
}

std::vector<std::string> problems_of(const ClusterState& state, const PartitionState& partition) {
  std::vector<std::string> problems;
  if (!partition.led) problems.emplace_back("no leader");
  for (const Member& member : members_of(partition)) {
    const std::string node = "node " + std::to_string(member.node.value);
    const auto found = state.nodes.find(member.node.value);
    const auto replica = partition.at.find(member.node.value);
    if (found == state.nodes.end() || !found->second.alive) {
      problems.push_back(node + " is gone");
    } else if (has_new_folder(state, member)) {
      problems.push_back(node + " has a new data folder");
    } else if (replica == partition.at.end()) {
      problems.push_back(
          node + (found->second.silent.empty() ? " has no replica open" : " does not answer"));
    } else if (replica->second.contains("no_room")) {
      problems.push_back(node + " has no room on its disk");
    } else if (replica->second.contains("halted")) {
      problems.push_back(node + " has halted: " + replica->second.at("halted").get<std::string>());
    } else if (replica->second.contains("pledged")) {
      problems.push_back(node + " obeys nobody before epoch " +
                         replica->second.at("pledged").dump() +
                         ": records are being made anew; if that was cut short, run "
                         "'keelson cluster rebuild-records --repair' again");
    } else if (!replica->second.at("readable").get<bool>()) {
      problems.push_back(node + " cannot be read yet");
    }
  }
  if (partition.move.is_object() && partition.move.at("state") == "failed") {
    problems.push_back("a move has failed: " + partition.move.value("error", ""));
  }
  return problems;
}

void print_tables(const ClusterState& state) {
  std::printf("cluster %s, as node %u sees it\n\n", state.name.c_str(), state.asked);
  std::vector<Row> nodes{
      {{"node"}, {"replicas"}, {"leads"}, {"http"}, {"peers"}, {"version"}, {"data"}, {"state"}}};
  for (const auto& [id, node] : state.nodes) nodes.push_back(row_of(state, node));
  print(nodes);
  std::printf("\n");
  if (state.partitions.empty()) {
    std::printf("There is no topic yet.\n");
    return;
  }
  std::vector<Row> partitions{
      {{"topic"}, {"partition"}, {"leader"}, {"epoch"}, {"replicas"}, {"lag"}, {"state"}}};
  std::size_t bad = 0;
  for (const PartitionState& partition : state.partitions) {
    partitions.push_back(row_of(state, partition));
    bad += problems_of(state, partition).empty() ? 0 : 1;
  }
  print(partitions);
  if (bad == 0) {
    std::printf("\nEvery partition has its leader and all of its replicas.\n");
  } else {
    std::printf("\n%zu of %zu partitions need a look.\n", bad, state.partitions.size());
  }
}

void print_survivors(const ClusterState& state, const PartitionState& partition) {
  std::vector<Row> rows{{{"node"}, {"last epoch"}, {"end"}, {"committed"}, {"state"}}};
  for (const Member& member : members_of(partition)) {
    const std::string node = std::to_string(member.node.value);
    const auto found = partition.at.find(member.node.value);
    if (found == partition.at.end() || has_new_folder(state, member)) {
      rows.push_back({{node}, {"-"}, {"-"}, {"-"}, {"does not answer", true}});
      continue;
    }
    const json& replica = found->second;
    const bool halted = replica.contains("halted");
    rows.push_back({{node},
                    {replica.at("last_epoch").dump()},
                    {replica.at("appended").dump()},
                    {replica.at("committed").dump()},
                    {halted ? "halted" : "answers", halted}});
  }
  print(rows);
}

void print_json(const ClusterState& state) {
  json all{{"name", state.name}, {"asked", state.asked}};
  all["nodes"] = json::array();
  for (const auto& [id, node] : state.nodes) {
    json one{{"node", id},
             {"data", to_hex(node.member.data)},
             {"alive", node.alive},
             {"http_address", node.http_address},
             {"peer_address", node.peer_address},
             {"version", node.version}};
    if (!node.silent.empty()) one["silent"] = node.silent;
    all["nodes"].push_back(std::move(one));
  }
  const auto numbers = [](const MemberList& list) {
    json out = json::array();
    for (const Member& member : list) out.push_back(member.node.value);
    return out;
  };
  all["partitions"] = json::array();
  for (const PartitionState& partition : state.partitions) {
    json one{{"topic", partition.topic},
             {"partition", partition.partition},
             {"epoch", partition.epoch},
             {"leader", partition.leader ? json(*partition.leader) : json()},
             {"led", partition.led},
             {"replicas", numbers(partition.replicas)},
             {"old_replicas", numbers(partition.old_replicas)},
             {"followers", partition.followers},
             {"move", partition.move},
             {"problems", problems_of(state, partition)}};
    one["at"] = json::array();
    for (const auto& [node, replica] : partition.at) {
      json at = replica;
      at["node"] = node;
      one["at"].push_back(std::move(at));
    }
    all["partitions"].push_back(std::move(one));
  }
  std::printf("%s\n", all.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
}

}  // namespace keelson::tools
