#include "aggregates/command_executor.h"

#include <algorithm>
#include <utility>

#include "engine/base/clock.h"

namespace keelson::aggregates {

namespace {

/// What is not there yet: at a node that follows it may have happened all the same.
Errc beyond(const Partition& home) {
  return home.may_lag() ? Errc::not_caught_up : Errc::beyond_end;
}

}  // namespace

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
  auto good = checked(std::move(call));
  if (!good) return completion(std::unexpected(std::move(good).error()));
  const auto run = std::make_shared<CommandRun>(*std::move(good));
  Home& home = *homes_.at(topic_.partition_of(run->stream()).value);
  home.partition.execute(
      run->stamp(),
      [self = shared_from_this(), &home, run](const Staging& staging) {
        return run->decide(home.decider, staging);
      },
      [self = shared_from_this(), &home, run,
       completion = std::move(completion)](Result<CommitOutcome> outcome) mutable {
        completion(self->answer(home, *run, std::move(outcome)));
      });
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
