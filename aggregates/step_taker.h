// Takes the steps of reactions, here or at the node that leads the target's partition.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "aggregates/command_executor.h"
#include "aggregates/step_carrier.h"
#include "aggregates/step_message.h"
#include "engine/base/environment.h"
#include "engine/store/store.h"

namespace keelson::aggregates {

/// A step to a partition that this node leads is a command like any other. One to another partition
/// goes to the node that leads that, whose `StepTaker` takes it. In whichever log the target lies,
/// the step's id is remembered, so that one that is taken again, there or from a new leader, gets
/// its first outcome. Thread-safe; must not outlive the topic.
///
/// Steps of other nodes come in on the carrier's thread and are taken on a worker of their own: to
/// decide may read the disk.
class StepTaker : public std::enable_shared_from_this<StepTaker> {
 public:
  using Done = std::move_only_function<void(Result<StepOutcome>)>;

  /// Of other nodes' steps, at a time; more are `overloaded`.
  static constexpr std::size_t kTakingMax = 8192;

  /// @param carrier  nullptr: this node is alone.
  StepTaker(Environment environment, Topic& topic, std::shared_ptr<CommandExecutor> executor,
            std::shared_ptr<StepCarrier> carrier);

  /// Begins to take steps of other nodes; on return from `stop` none is being taken up any more.
  void start();
  void stop();

  /// The partition that decides on `step`.
  [[nodiscard]] PartitionId home_of(const StepCommand& step) const;

  /// Calls `done` once, on any thread, perhaps at once.
  /// @error not_found, bad_request  no node could take it: there is no such aggregate or command.
  /// @error not_leader, not_enough_replicas, overloaded, timeout, …  it may be taken later.
  void take(const StepCommand& step, Done done);

  /// Lets nobody wait for another node any longer: see `StepCarrier::give_up`.
  void give_up();

 private:
  void take_here(const StepCommand& step, Done done);
  void take_for_other(std::string message, StepCarrier::Answer answer);

  Topic& topic_;
  const std::shared_ptr<CommandExecutor> executor_;
  const std::shared_ptr<StepCarrier> carrier_;
  std::shared_ptr<Strand> worker_;  ///< nothing without a carrier
  std::atomic<std::size_t> taking_ = 0;
};

}  // namespace keelson::aggregates
