// All reactions of a host, on all partitions.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/reaction.h"
#include "aggregates/reaction_runner.h"
#include "aggregates/registry.h"
#include "aggregates/step_taker.h"
#include "engine/base/environment.h"
#include "engine/store/store.h"

namespace keelson::aggregates {

/// The runners of a host: each reaction on each partition, on one worker. Thread-safe.
class ReactionRunners {
 public:
  ReactionRunners(Environment environment, Topic& topic,
                  std::shared_ptr<const AggregateRegistry> registry,
                  std::shared_ptr<const ReactionRegistry> reactions,
                  std::shared_ptr<StepTaker> taker);

  void start();
  /// Blocks until what is in flight is done.
  void stop();
  [[nodiscard]] std::vector<ReactionStatus> status() const;

 private:
  [[nodiscard]] std::vector<std::shared_ptr<ReactionRunner>> make() const;

  Environment environment_;
  Topic& topic_;
  std::shared_ptr<const AggregateRegistry> registry_;
  std::shared_ptr<const ReactionRegistry> reactions_;
  std::shared_ptr<StepTaker> taker_;

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<ReactionRunner>> runners_;
  std::shared_ptr<Strand> worker_;
  bool started_ = false;
};

}  // namespace keelson::aggregates
