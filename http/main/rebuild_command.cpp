#include "http/main/rebuild_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <utility>

#include "engine/cluster/cluster_keys.h"
#include "http/main/cluster_rebuild.h"
#include "http/main/command_line.h"

namespace keelson::tools {

namespace {

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
      "--server", options.nodes.servers,
      "A node that runs: http://HOST:PORT, or https://; those it knows are asked too");
  command
      .add_option("--data", options.folders,
                  "The data folder of a node that does not run, on this machine")
      ->type_name("DIR");
  describe(command, options.nodes);
  command.add_flag("--repair", options.repair,
                   "etcd has records, and they are earlier ones, or not all of them");
  command.add_flag("--force", options.force,
                   "In spite of doubts: acknowledged data may be missing afterwards");
  command.add_flag("--yes", options.yes, "Do not ask");
  command.add_flag("--insecure", options.insecure, "Send a password over a network as it is");
}

int rebuild_records(RebuildCommand command) {
  if (command.nodes.servers.empty() && command.folders.empty()) {
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
  ClusterRebuild rebuild(command);
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
