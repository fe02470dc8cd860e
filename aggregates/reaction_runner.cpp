#include "aggregates/reaction_runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <latch>
#include <utility>

#include "engine/store/names.h"

namespace keelson::aggregates {

namespace {

/// Whether the same command, repeated with its id, may well be answered later, or what could not be
/// read be read.
bool may_pass(Errc code) {
  switch (code) {
    case Errc::overloaded:
    case Errc::not_leader:
    case Errc::not_enough_replicas:
    case Errc::not_caught_up:  // a replica that has not met its leader yet
    case Errc::outcome_unknown:
    case Errc::disk_full:
    case Errc::io_error:  // of which exhausted descriptors are the commonest
    case Errc::timeout: return true;
    default: return false;
  }
}

}  // namespace

ReactionRunner::ReactionRunner(std::shared_ptr<const ReactionType> reaction,
                               std::shared_ptr<const AggregateType> source, Partition& partition,
                               std::shared_ptr<CommandExecutor> executor)
    : reaction_(std::move(reaction)),
      source_(std::move(source)),
      partition_(partition),
      executor_(std::move(executor)),
      principal_("$reaction/" + std::string(reaction_->name())) {
  remembered_ = next_ = partition_.start();
  // Until it is known how far it has come, it may need all there is.
  partition_.keep_for(principal_, Offset(0));
  if (const auto found = find_place(); !found && !may_pass(found.error().code)) {
    error_ = found.error().message();
    spdlog::error("reaction {} of partition {} cannot begin: {}", reaction_->name(),
                  partition_.id().value, error_);
  }
  publish();
}

void ReactionRunner::start(std::shared_ptr<Strand> strand) {
  strand_ = std::move(strand);
  strand_->post([self = shared_from_this()] { self->open(); });
}

void ReactionRunner::stop(Task stopped) {
  strand_->post([self = shared_from_this(), stopped = std::move(stopped)]() mutable {
    self->stopping_ = true;
    self->stopped_ = std::move(stopped);
    self->maybe_stopped();
  });
}

ReactionStatus ReactionRunner::status() const {
  const Offset end = partition_.end();
  const std::lock_guard lock(status_mutex_);
  ReactionStatus status = status_;
  status.lag = end > status.next ? end - status.next : 0;
  return status;
}

Result<void> ReactionRunner::find_place() {
  if (place_found_) return {};
  KEELSON_TRY_ASSIGN(const auto remembered, partition_.group_offset(principal_));
  place_found_ = true;
  remembered_ = next_ = remembered.value_or(partition_.start());
  partition_.keep_for(principal_, remembered_);
  return {};
}

void ReactionRunner::open() {
  if (!running()) return;
  if (const auto found = find_place(); !found) return on_read_error(found.error());
  auto cursor = partition_.read(next_);
  if (!cursor) return on_read_error(cursor.error());
  cursor_ = *std::move(cursor);
  turn();
}

void ReactionRunner::on_read_error(const Error& error) {
  if (!may_pass(error.code)) return halt(next_, error.message());
  cursor_.reset();
  const auto delay = wait_out(read_backoff_, kReading, "reading", error);
  strand_->post_after(delay, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->open();
  });
}

void ReactionRunner::take_turn_later() {
  if (std::exchange(turn_posted_, true)) return;
  strand_->post([self = shared_from_this()] {
    self->turn_posted_ = false;
    self->turn();
  });
}

void ReactionRunner::turn() {
  if (!running() || cursor_ == nullptr) return;
  for (int i = 0; i < kEventsPerTurn; ++i) {
    if (causes_.size() >= kCausesMax) break;  // an outcome will call again
    auto event = cursor_->next();
    if (!event) return on_read_error(event.error());
    passed(kReading);
    read_backoff_ = kRetryMin;
    if (!*event) {
      wait_for_events();
      break;
    }
    if (auto reacted = react_to(**event); !reacted) return halt(next_, reacted.error().message());
    next_ = (*event)->offset + 1;
    if (i + 1 == kEventsPerTurn) take_turn_later();
  }
  if (done() - remembered_ >= kCommitEvery) remember();
  remember_when_idle();
  publish();
}

void ReactionRunner::wait_for_events() {
  waiting_ = partition_.when_past(next_, [weak = weak_from_this(), strand = strand_] {
    strand->post([weak] {
      if (const auto self = weak.lock()) self->turn();
    });
  });
}

Result<void> ReactionRunner::react_to(const EventView& event) {
  if (stream_type(event.stream) != reaction_->source()) return {};
  KEELSON_TRY_ASSIGN(const Steps steps, reaction_->react(*source_, event));
  return add_steps(event.offset, "", steps);
}

Result<void> ReactionRunner::add_steps(Offset cause, const std::string& place, const Steps& steps) {
  if (steps.all().empty()) return {};
  const auto depth = static_cast<std::size_t>(std::ranges::count(place, '.')) + 1;
  if (!place.empty() && depth >= kDepthMax) {
    return fail(Errc::too_large,
                "more than " + std::to_string(kDepthMax) + " steps that follow one another");
  }
  OpenCause& open = causes_[cause];
  if (open.taken + steps.all().size() > kStepsMax) {
    return fail(Errc::too_large, "more than " + std::to_string(kStepsMax) + " steps for one event");
  }
  for (std::size_t i = 0; i < steps.all().size(); ++i) {
    const Step& step = steps.all()[i];
    const std::string target = step.type() + "-" + step.id();
    std::deque<PlacedStep>& queue = targets_[target];
    queue.push_back({cause, place + (place.empty() ? "" : ".") + std::to_string(i), step});
    ++open.open;
    ++open.taken;
    if (queue.size() == 1) send(target);
  }
  return {};
}

CommandCall ReactionRunner::call_of(const PlacedStep& placed) const {
  const std::string name(reaction_->name());
  const std::string partition = std::to_string(partition_.id().value);
  const std::string offset = std::to_string(placed.cause.value);
  CommandCall call;
  call.type = placed.step.type();
  call.id = placed.step.id();
  call.command = placed.step.command();
  call.body = placed.step.body();
  call.key = name + ":" + partition + ":" + offset + ":" + placed.place;
  call.principal = principal_;
  call.metadata =
      R"({"reaction":")" + name + R"(","partition":)" + partition + R"(,"offset":)" + offset + "}";
  return call;
}

void ReactionRunner::send(const std::string& target) {
  ++sent_;
  // The answer may come at once, on this thread: it is posted, so that nothing here runs twice.
  executor_->execute(call_of(targets_.at(target).front()),
                     [self = shared_from_this(), target](Result<CommandReply> reply) {
                       self->strand_->post([self, target, reply = std::move(reply)]() mutable {
                         self->on_reply(target, std::move(reply));
                       });
                     });
}

void ReactionRunner::on_reply(const std::string& target, Result<CommandReply> reply) {
  --sent_;
  if (!running()) return maybe_stopped();  // its cause stays open and is taken up at the next start
  if (reply) {
    on_outcome(target, *reply);
  } else {
    on_error(target, reply.error());
  }
}

void ReactionRunner::on_outcome(const std::string& target, const CommandReply& reply) {
  passed(target);
  std::deque<PlacedStep>& queue = targets_.at(target);
  const PlacedStep done = std::move(queue.front());
  queue.pop_front();
  if (queue.empty()) {
    targets_.erase(target);
  } else {
    send(target);
  }
  auto following = reply.outcome.rejected ? done.step.after_refused({reply.reason, reply.detail})
                                          : done.step.after_accepted();
  if (!following) return halt(done.cause, following.error().message());
  if (auto added = add_steps(done.cause, done.place, *following); !added) {
    return halt(done.cause, added.error().message());
  }
  const auto cause = causes_.find(done.cause);
  if (--cause->second.open == 0) causes_.erase(cause);
  turn();
}

void ReactionRunner::on_error(const std::string& target, const Error& error) {
  PlacedStep& placed = targets_.at(target).front();
  if (error.code == Errc::closed) {  // the store is going down: the next start takes it up again
    stopping_ = true;
    return maybe_stopped();
  }
  const std::string what = placed.step.command() + " to " + target;
  if (!may_pass(error.code)) return halt(placed.cause, what + ": " + error.message());
  const auto delay = wait_out(placed.backoff, target, what, error);
  strand_->post_after(delay, [weak = weak_from_this(), target] {
    const auto self = weak.lock();
    if (self && self->running()) self->send(target);
  });
}

std::chrono::milliseconds ReactionRunner::wait_out(std::chrono::milliseconds& backoff,
                                                   const std::string& target,
                                                   const std::string& what, const Error& error) {
  const auto delay = std::exchange(backoff, std::min(2 * backoff, kRetryMax));
  std::string& why = delayed_[target];
  why = "delayed at offset " + std::to_string(done().value) + ": " + what + ": " + error.message();
  if (delay < kLogged && backoff >= kLogged) {  // once, and not for a moment's overload
    spdlog::warn("reaction {} of partition {} {}", reaction_->name(), partition_.id().value, why);
  }
  publish();
  return delay;
}

void ReactionRunner::passed(const std::string& target) {
  if (delayed_.erase(target) != 0) publish();
}

void ReactionRunner::remember() {
  if (remembering_ || done() == remembered_) return;
  remembering_ = true;
  const Offset done_now = done();
  partition_.commit_group_offset(
      principal_, done_now, [self = shared_from_this(), done_now](Result<CommitOutcome> outcome) {
        self->strand_->post([self, done_now, good = outcome.has_value()] {
          self->remembering_ = false;
          if (good) self->remembered_at(done_now);
          if (!good) self->see_what_leader_remembers();
          self->publish();
          self->maybe_stopped();
          self->remember_when_idle();  // also after a failure: it only costs work at the next start
        });
      });
}

void ReactionRunner::remembered_at(Offset done) {
  remembered_ = done;
  partition_.keep_for(principal_, done);
}

/// Where another node leads, the same reaction runs there, and its place is in the log.
void ReactionRunner::see_what_leader_remembers() {
  const auto known = partition_.group_offset(principal_);
  if (known && *known && **known > remembered_) remembered_at(std::min(**known, done()));
}

void ReactionRunner::remember_when_idle() {
  if (!running() || !causes_.empty() || done() == remembered_) return;
  if (std::exchange(idle_timer_set_, true)) return;
  strand_->post_after(kIdle, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->idle_timer_set_ = false;
    if (self->running()) self->remember();
  });
}

void ReactionRunner::halt(Offset at, const std::string& why) {
  error_ = "halted at offset " + std::to_string(at.value) + ": " + why;
  spdlog::error("reaction {} of partition {} {}", reaction_->name(), partition_.id().value, error_);
  publish();
  maybe_stopped();
}

void ReactionRunner::maybe_stopped() {
  if (!stopping_ || sent_ != 0 || remembering_) return;
  waiting_.reset();
  if (!std::exchange(remembered_at_last_, true)) {
    remember();
    if (remembering_) return;
  }
  if (stopped_ == nullptr) return;
  std::exchange(stopped_, nullptr)();
}

void ReactionRunner::publish() {
  const std::lock_guard lock(status_mutex_);
  const bool halted = !error_.empty();
  const std::string& error = halted || delayed_.empty() ? error_ : delayed_.begin()->second;
  status_ = {std::string(reaction_->name()), partition_.id(), done(), 0, halted, error};
}

ReactionRunners::ReactionRunners(Environment environment, Topic& topic,
                                 std::shared_ptr<const AggregateRegistry> registry,
                                 std::shared_ptr<const ReactionRegistry> reactions,
                                 std::shared_ptr<CommandExecutor> executor)
    : environment_(environment),
      topic_(topic),
      registry_(std::move(registry)),
      reactions_(std::move(reactions)),
      executor_(std::move(executor)),
      runners_(make()) {}

std::vector<std::shared_ptr<ReactionRunner>> ReactionRunners::make() const {
  std::vector<std::shared_ptr<ReactionRunner>> runners;
  for (const auto& reaction : reactions_->reactions()) {
    for (std::uint32_t p = 0; p < topic_.partition_count(); ++p) {
      runners.push_back(
          std::make_shared<ReactionRunner>(reaction, registry_->find(reaction->source()),
                                           topic_.partition(PartitionId(p)), executor_));
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
  if (!std::exchange(started_, false)) return;
  std::latch stopped(static_cast<std::ptrdiff_t>(runners_.size()));
  for (const auto& runner : runners_) runner->stop([&stopped] { stopped.count_down(); });
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
