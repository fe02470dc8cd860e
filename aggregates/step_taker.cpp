#include "aggregates/step_taker.h"

#include <future>
#include <utility>

namespace keelson::aggregates {

StepTaker::StepTaker(Environment environment, Topic& topic,
                     std::shared_ptr<CommandExecutor> executor,
                     std::shared_ptr<StepCarrier> carrier)
    : topic_(topic), executor_(std::move(executor)), carrier_(std::move(carrier)) {
  if (carrier_) worker_ = environment.scheduler.make_worker("steps");
}

void StepTaker::start() {
  if (!carrier_) return;
  carrier_->serve([weak = weak_from_this()](std::string message, StepCarrier::Answer answer) {
    const auto self = weak.lock();
    if (!self) return answer(fail(Errc::closed, "the node is going down"));
    self->take_for_other(std::move(message), std::move(answer));
  });
}

void StepTaker::stop() {
  if (!carrier_) return;
  carrier_->serve(nullptr);
  std::promise<void> idle;
  worker_->post([&idle] { idle.set_value(); });
  idle.get_future().wait();
}

PartitionId StepTaker::home_of(const StepCommand& step) const {
  return topic_.partition_of(step.target());
}

void StepTaker::take(const StepCommand& step, Done done) {
  const PartitionId home = home_of(step);
  if (!carrier_ || !topic_.partition(home).may_lag()) return take_here(step, std::move(done));
  // What is wrong with the step itself is known here: other nodes may run other code.
  if (auto good = executor_->check(step.call()); !good) {
    return done(std::unexpected(std::move(good).error()));
  }
  carrier_->carry(home, encode_step(step),
                  [done = std::move(done)](Result<std::string> answer) mutable {
                    if (!answer) return done(std::unexpected(std::move(answer).error()));
                    done(decode_step_answer(*answer));
                  });
}

void StepTaker::take_here(const StepCommand& step, Done done) {
  executor_->execute(step.call(), [done = std::move(done)](Result<CommandReply> reply) mutable {
    if (!reply) return done(std::unexpected(std::move(reply).error()));
    if (!reply->outcome.rejected) return done(StepOutcome{});
    done(StepOutcome{true, std::move(reply->reason), std::move(reply->detail)});
  });
}

void StepTaker::take_for_other(std::string message, StepCarrier::Answer answer) {
  if (taking_.fetch_add(1) >= kTakingMax) {
    --taking_;
    return answer(
        encode_step_answer(fail(Errc::overloaded, "too many steps of other nodes at a time")));
  }
  worker_->post([self = shared_from_this(), message = std::move(message),
                 answer = std::move(answer)]() mutable {
    const auto step = decode_step(message);
    Done done = [self, answer = std::move(answer)](const Result<StepOutcome>& outcome) mutable {
      --self->taking_;
      answer(encode_step_answer(outcome));
    };
    if (!step) return done(std::unexpected(step.error()));
    self->take_here(*step, std::move(done));
  });
}

void StepTaker::give_up() {
  if (carrier_) carrier_->give_up();
}

}  // namespace keelson::aggregates
