#include "aggregates/reaction_runners.h"

#include <latch>
#include <utility>

namespace keelson::aggregates {

ReactionRunners::ReactionRunners(Environment environment, Topic& topic,
                                 std::shared_ptr<const AggregateRegistry> registry,
                                 std::shared_ptr<const ReactionRegistry> reactions,
                                 std::shared_ptr<StepTaker> taker)
    : environment_(environment),
      topic_(topic),
      registry_(std::move(registry)),
      reactions_(std::move(reactions)),
      taker_(std::move(taker)),
      runners_(make()) {}

std::vector<std::shared_ptr<ReactionRunner>> ReactionRunners::make() const {
  std::vector<std::shared_ptr<ReactionRunner>> runners;
  for (const auto& reaction : reactions_->reactions()) {
    for (std::uint32_t p = 0; p < topic_.partition_count(); ++p) {
      runners.push_back(std::make_shared<ReactionRunner>(
          reaction, registry_->find(reaction->source()), topic_.partition(PartitionId(p)), taker_));
    }
  }
  return runners;
}

void ReactionRunners::start() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(started_, true) || runners_.empty()) return;
  if (worker_ == nullptr) {
    worker_ = environment_.scheduler.make_worker("reactions");
  } else {
    runners_ = make();  // a runner runs once
  }
  for (const auto& runner : runners_) runner->start(worker_);
}

void ReactionRunners::stop() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(started_, false) || runners_.empty()) return;
  std::latch stopped(static_cast<std::ptrdiff_t>(runners_.size()));
  for (const auto& runner : runners_) runner->stop([&stopped] { stopped.count_down(); });
  // When none of them sends any more. A node that does not answer must not be waited for.
  worker_->post([this] { taker_->give_up(); });
  stopped.wait();
}

std::vector<ReactionStatus> ReactionRunners::status() const {
  std::vector<std::shared_ptr<ReactionRunner>> runners;
  {
    const std::lock_guard lock(mutex_);
    runners = runners_;
  }
  std::vector<ReactionStatus> all;
  for (const auto& runner : runners) all.push_back(runner->status());
  return all;
}

}  // namespace keelson::aggregates
