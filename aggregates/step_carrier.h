// Steps of reactions to aggregates that other nodes decide.
#pragma once

#include <functional>
#include <string>

#include "engine/base/result.h"
#include "engine/base/types.h"

namespace keelson::aggregates {

/// What a node of a cluster has to offer, for steps to partitions that it does not lead. Steps are
/// opaque to it; both sides of it are `AggregateHost`s of one topic. Nobody but the nodes of the
/// cluster may be able to hand in a step, since one is taken in the name of the reaction that it
/// names. Thread-safe.
class StepCarrier {
 public:
  virtual ~StepCarrier() = default;

  using Answer = std::move_only_function<void(Result<std::string>)>;

  /// Brings `step` to whichever node leads `target` now, once, and its answer back. Calls `answer`
  /// once, on any thread, in bounded time; at once if need be. An error says nothing about whether
  /// the step was taken.
  /// @error not_enough_replicas  no node is known to lead it, or it cannot be reached.
  /// @error overloaded           too many wait already. @error timeout, outcome_unknown
  /// @error closed               this node is going down, or `give_up` was called.
  virtual void carry(PartitionId target, std::string step, Answer answer) = 0;

  using Take = std::function<void(std::string step, Answer answer)>;
  /// What to do with steps of other nodes; nullptr: refuse them. On return no call of an earlier
  /// `take` is under way. It must not block.
  virtual void serve(Take take) = 0;

  /// Answers all that wait with `closed`. Their steps may be taken all the same.
  virtual void give_up() = 0;
};

}  // namespace keelson::aggregates
