#include "aggregates/command_executor.h"

#include <algorithm>
#include <utility>

#include "engine/base/clock.h"

namespace keelson::aggregates {

namespace {

/// Commands that a partition is given at a time: while it decides them, others wait.
constexpr std::size_t kRunMax = 64;

/// What is not there yet: at a node that follows it may have happened all the same.
Errc beyond(const Partition& home) {
  return home.may_lag() ? Errc::not_caught_up : Errc::beyond_end;
}

}  // namespace

/// A command on its way, and all it needs there.
struct CommandExecutor::Pending {
  Pending(std::shared_ptr<CommandExecutor> e, Home& h, CommandRun r, Completion c)
      : executor(std::move(e)), home(h), run(std::move(r)), completion(std::move(c)) {}

  std::shared_ptr<CommandExecutor> executor;
  Home& home;
  CommandRun run;
  Completion completion;
};

std::shared_ptr<CommandExecutor> CommandExecutor::make(
    Environment environment, Topic& topic, std::shared_ptr<const AggregateRegistry> registry,
    const HostOptions& options) {
  std::shared_ptr<CommandExecutor> executor(
      new CommandExecutor(environment, topic, std::move(registry), options));
  for (const auto& home : executor->homes_) {
    const std::weak_ptr<CommandExecutor> weak = executor;
    home->partition.set_discard_listener([weak, raw = home.get()] {
      if (const auto self = weak.lock()) raw->decider.forget();
    });
  }
  return executor;
}

CommandExecutor::CommandExecutor(Environment environment, Topic& topic,
                                 std::shared_ptr<const AggregateRegistry> registry,
                                 const HostOptions& options)
    : environment_(environment),
      topic_(topic),
      registry_(std::move(registry)),
      snapshotter_(environment.scheduler, std::max(options.snapshot_every, 1u)) {
  const auto partitions = static_cast<std::uint32_t>(topic.partition_count());
  for (std::uint32_t p = 0; p < partitions; ++p) {
    std::unique_ptr<SnapshotStore> snapshots;
    if (!options.snapshot_folder.empty()) {
      snapshots = std::make_unique<SnapshotStore>(
          environment.files,
          options.snapshot_folder + "/" + topic.name() + "/" + std::to_string(p));
    }
    homes_.push_back(std::make_unique<Home>(topic.partition(PartitionId(p)), std::move(snapshots),
                                            options.cache_bytes_max / partitions));
  }
}

Result<CommandRun> CommandExecutor::checked(CommandCall call) const {
  auto type = registry_->find(call.type);
  if (type == nullptr) {
    return fail(Errc::not_found, "there is no aggregate type '" + call.type.substr(0, 64) + "'");
  }
  return CommandRun::check(std::move(type), std::move(call));
}

Result<void> CommandExecutor::check(CommandCall call) const {
  KEELSON_TRY(checked(std::move(call)));
  return {};
}

void CommandExecutor::execute(CommandCall call, Completion completion) {
  auto prepared = prepare(std::move(call), std::move(completion));
  if (!prepared) return;
  auto& [home, execution] = *prepared;
  home->partition.execute(std::move(execution.stamp), std::move(execution.decide),
                          std::move(execution.completion));
}

void CommandExecutor::execute_all(std::vector<std::pair<CommandCall, Completion>> all) {
  std::vector<std::vector<Partition::Execution>> runs(homes_.size());
  const auto flush = [this, &runs](std::size_t p) {
    if (!runs[p].empty()) homes_[p]->partition.execute_all(std::exchange(runs[p], {}));
  };
  for (auto& [call, completion] : all) {
    auto prepared = prepare(std::move(call), std::move(completion));
    if (!prepared) continue;
    const std::size_t p = prepared->first->partition.id().value;
    runs[p].push_back(std::move(prepared->second));
    if (runs[p].size() == kRunMax) flush(p);
  }
  for (std::size_t p = 0; p < runs.size(); ++p) flush(p);
}

std::optional<std::pair<CommandExecutor::Home*, Partition::Execution>> CommandExecutor::prepare(
    CommandCall call, Completion completion) {
  auto good = checked(std::move(call));
  if (!good) {
    completion(std::unexpected(std::move(good).error()));
    return {};
  }
  Home& home = *homes_.at(topic_.partition_of(good->stream()).value);
  // Held by one pointer, which a function keeps without memory of its own.
  const auto pending =
      std::make_shared<Pending>(shared_from_this(), home, *std::move(good), std::move(completion));
  return std::pair(
      &home, Partition::Execution{pending->run.stamp(),
                                  [pending](const Staging& staging) {
                                    return pending->run.decide(pending->home.decider, staging);
                                  },
                                  [pending](Result<CommitOutcome> outcome) {
                                    pending->completion(pending->executor->answer(
                                        pending->home, pending->run, std::move(outcome)));
                                  }});
}

Result<CommandReply> CommandExecutor::answer(Home& home, CommandRun& run,
                                             Result<CommitOutcome> outcome) {
  if (!outcome) {
    if (run.is_folded_in()) home.decider.forget(run.stream());
    return std::unexpected(std::move(outcome).error());
  }
  auto reply = run.answer(*std::move(outcome), home.partition);
  if (reply && home.snapshots && !reply->outcome.replayed && !reply->events.empty()) {
    snapshotter_.committed(run.type(), home.partition, *home.snapshots, run.stream(),
                           reply->events.front().version, reply->version + 1);
  }
  return reply;
}

Result<AggregateState> CommandExecutor::load(std::string_view type_name, std::string_view id,
                                             const AsOf& as_of) const {
  const auto type = registry_->find(type_name);
  if (type == nullptr) {
    return fail(Errc::not_found,
                "there is no aggregate type '" + std::string(type_name.substr(0, 64)) + "'");
  }
  const std::string stream = std::string(type_name) + "-" + std::string(id);
  const Home& home = *homes_.at(topic_.partition_of(stream).value);
  KEELSON_TRY_ASSIGN(const FoldLimit limit, limit_of(home, stream, as_of));
  KEELSON_TRY_ASSIGN(const Folded folded,
                     fold_committed(*type, home.partition, home.snapshots.get(), stream, limit));
  if (folded.version == Version(0)) {
    return fail(Errc::not_found, "there is no " + std::string(type_name) + " '" + std::string(id) +
                                     "'" +
                                     (limit.before < home.partition.end() ? " as of then" : ""));
  }
  if (as_of.version && folded.version != *as_of.version) {
    return fail(beyond(home.partition),
                "'" + stream + "' is at version " + std::to_string(folded.version.value) +
                    ", version " + std::to_string(as_of.version->value) + " has not happened yet");
  }
  return AggregateState{folded.version, folded.offset, folded.state->to_json(),
                        as_of.version ? folded.offset + 1 : limit.before};
}

Result<FoldLimit> CommandExecutor::limit_of(const Home& home, const std::string& stream,
                                            const AsOf& as_of) const {
  const Offset end = home.partition.end();
  FoldLimit limit{.before = end};
  if ((as_of.offset ? 1 : 0) + (as_of.version ? 1 : 0) + (as_of.time ? 1 : 0) > 1) {
    return fail(Errc::bad_request, "only one of offset, version and time can say which state");
  }
  if (as_of.offset) {
    if (*as_of.offset >= end) {
      return fail(beyond(home.partition), "offset " + std::to_string(as_of.offset->value) +
                                              " is past the end, " + std::to_string(end.value));
    }
    limit.before = *as_of.offset + 1;
  } else if (as_of.version) {
    if (*as_of.version == Version(0)) {
      return fail(Errc::bad_request, "versions start at 1: '" + stream + "' had no state before");
    }
    limit.version_max = *as_of.version;
  } else if (as_of.time) {
    KEELSON_TRY_ASSIGN(limit.before, home.partition.end_at(*as_of.time));
  }
  if (const Offset start = home.partition.start(); limit.before < start) {
    return fail(Errc::below_start, "events below offset " + std::to_string(start.value) +
                                       " are gone, and the states as of then with them");
  }
  return limit;
}

}  // namespace keelson::aggregates
