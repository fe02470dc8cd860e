#include "aggregates/reaction_runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
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
                               std::shared_ptr<StepTaker> taker)
    : reaction_(std::move(reaction)),
      source_(std::move(source)),
      partition_(partition),
      taker_(std::move(taker)),
      principal_(reaction_principal(reaction_->name())) {
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
  strand_->post([self = shared_from_this()] {
    self->error_.empty() ? self->open() : self->look_when_halted();
  });
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

void ReactionRunner::stand_by() {
  ++lead_;
  cursor_.reset();
  waiting_.reset();
  causes_.clear();
  targets_.clear();
  steps_ = 0;
  steps_to_.clear();
  away_.clear();
  delayed_.clear();
  read_backoff_ = kRetryMin;
  next_ = remembered_;
  place_found_ = false;
  standing_by_ = true;
  publish();
  look_later();
}

void ReactionRunner::look_later() {
  strand_->post_after(kLook, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->look();
  });
}

void ReactionRunner::look() {
  if (!running()) return;
  if (!partition_.may_lag()) {
    standing_by_ = false;
    return open();
  }
  if (++looks_ % kLooksBetweenPlaces == 0) see_what_leader_remembers();
  look_later();
}

void ReactionRunner::look_when_halted() {
  if (stopping_) return;
  if (partition_.may_lag()) {
    error_.clear();
    return stand_by();
  }
  strand_->post_after(kLook, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->look_when_halted();
  });
}

void ReactionRunner::open() {
  if (!running()) return;
  if (partition_.may_lag()) return stand_by();
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
  strand_->post_after(delay, [weak = weak_from_this(), lead = lead_] {
    const auto self = weak.lock();
    if (self && self->lead_ == lead) self->open();
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
  if (partition_.may_lag()) return stand_by();
  for (int i = 0; i < kEventsPerTurn; ++i) {
    if (!has_room()) break;  // an outcome will call again
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
  open.open += steps.all().size();
  open.taken += steps.all().size();
  for (std::size_t i = 0; i < steps.all().size(); ++i) {
    PlacedStep placed{cause, place + (place.empty() ? "" : ".") + std::to_string(i),
                      steps.all()[i]};
    // Behind others that are parked as well, since the order of causes is kept.
    const bool may_park = place.empty() && !away_.empty();
    const auto away = may_park ? away_.find(taker_->home_of(command_of(placed))) : away_.end();
    if (away == away_.end()) {
      add_step(std::move(placed));
    } else {
      away->second.parked.push_back({cause, i});
    }
  }
  return {};
}

void ReactionRunner::add_step(PlacedStep placed) {
  const StepCommand command = command_of(placed);
  const auto [found, is_new] = targets_.try_emplace(command.target());
  auto& [name, target] = *found;
  if (is_new) target.home = taker_->home_of(command);
  target.steps.push_back(std::move(placed));
  ++steps_;
  ++steps_to_[target.home];
  const auto away = away_.find(target.home);
  const bool taken = away == away_.end() || away->second.probe.empty();
  if (is_new && taken) send(name);
}

StepCommand ReactionRunner::command_of(const PlacedStep& placed) const {
  StepCommand command;
  command.reaction = reaction_->name();
  command.partition = partition_.id();
  command.offset = placed.cause;
  command.place = placed.place;
  command.type = placed.step.type();
  command.id = placed.step.id();
  command.command = placed.step.command();
  command.body = placed.step.body();
  return command;
}

bool ReactionRunner::has_room() const {
  std::size_t held = 0;
  for (const auto& [home, away] : away_) {
    if (!away.probe.empty()) held += steps_to_.at(home);
  }
  return steps_ - held < kStepsActiveMax && held < kStepsHeldMax && causes_.size() < kCausesMax;
}

void ReactionRunner::send(const std::string& name) {
  Target& target = targets_.at(name);
  target.sent = true;
  ++sent_;
  // The answer may come at once, on this thread: it is posted, so that nothing here runs twice.
  taker_->take(command_of(target.steps.front()),
               [self = shared_from_this(), lead = lead_, name](Result<StepOutcome> reply) {
                 self->strand_->post([self, lead, name, reply = std::move(reply)]() mutable {
                   --self->sent_;
                   if (lead == self->lead_) self->on_reply(name, std::move(reply));
                   self->maybe_stopped();
                 });
               });
}

void ReactionRunner::on_reply(const std::string& name, Result<StepOutcome> reply) {
  targets_.at(name).sent = false;
  if (!running()) return;  // its cause stays open and is taken up at the next start
  if (partition_.may_lag()) return stand_by();
  if (reply) {
    on_outcome(name, *reply);
  } else {
    on_error(name, reply.error());
  }
}

void ReactionRunner::on_outcome(const std::string& name, const StepOutcome& outcome) {
  const auto target = targets_.find(name);
  const PartitionId home = target->second.home;
  const PlacedStep done = std::move(target->second.steps.front());
  target->second.steps.pop_front();
  --steps_;
  --steps_to_.at(home);
  const bool more = !target->second.steps.empty();
  if (!more) targets_.erase(target);
  const auto away = away_.find(home);
  if (away != away_.end() && !away->second.probe.empty()) {
    away->second.probe.clear();
    away->second.backoff = kRetryMin;
    passed(std::to_string(home.value));
    send_ready(home);
  } else if (more) {
    send(name);
  }
  unpark(home);
  if (!running()) return;
  auto following = outcome.refused ? done.step.after_refused({outcome.reason, outcome.detail})
                                   : done.step.after_accepted();
  if (!following) return halt(done.cause, following.error().message());
  if (auto added = add_steps(done.cause, done.place, *following); !added) {
    return halt(done.cause, added.error().message());
  }
  const auto cause = causes_.find(done.cause);
  if (--cause->second.open == 0) causes_.erase(cause);
  turn();
}

void ReactionRunner::send_ready(PartitionId home) {
  std::vector<std::string> ready;
  for (const auto& [name, target] : targets_) {
    if (target.home == home && !target.sent) ready.push_back(name);
  }
  for (const std::string& name : ready) send(name);
}

void ReactionRunner::unpark(PartitionId home) {
  const auto found = away_.find(home);
  if (found == away_.end()) return;
  Away& away = found->second;
  while (!away.parked.empty() && away.probe.empty() && steps_to_.at(home) < kUnparkedMax) {
    const Offset cause = away.parked.front().cause;
    const auto made = unpark_first(away);
    if (made) continue;
    if (!may_pass(made.error().code)) return halt(cause, made.error().message());
    away.cursor.reset();
    const auto delay = wait_out(away.backoff, std::to_string(home.value), "reading", made.error());
    strand_->post_after(delay, [weak = weak_from_this(), lead = lead_, home] {
      const auto self = weak.lock();
      if (self && self->lead_ == lead && self->running()) self->unpark(home);
    });
    return;
  }
  if (!away.probe.empty()) return;
  passed(std::to_string(home.value));
  if (away.parked.empty()) away_.erase(found);
}

Result<void> ReactionRunner::unpark_first(Away& away) {
  const auto [cause, number] = away.parked.front();
  if (away.cursor == nullptr || away.cursor->offset() != cause) {
    KEELSON_TRY_ASSIGN(away.cursor, partition_.read(cause));
  }
  KEELSON_TRY_ASSIGN(const auto event, away.cursor->next());
  if (!event) return fail(Errc::not_caught_up, "the event is not there at the moment");
  KEELSON_TRY_ASSIGN(const Steps steps, reaction_->react(*source_, *event));
  if (number >= steps.all().size()) {
    return fail(Errc::internal, "react has given other steps than before: it is not pure");
  }
  away.parked.pop_front();
  add_step({cause, std::to_string(number), steps.all()[number]});
  return {};
}

void ReactionRunner::on_error(const std::string& name, const Error& error) {
  const Target& target = targets_.at(name);
  const PlacedStep& placed = target.steps.front();
  if (error.code == Errc::closed) {  // the node is going down: the next start takes it up again
    stopping_ = true;
    return;
  }
  const std::string what = placed.step.command() + " to " + name;
  if (!may_pass(error.code)) return halt(placed.cause, what + ": " + error.message());
  const PartitionId home = target.home;
  Away& away = away_[home];
  const bool is_new = away.probe.empty();
  if (is_new) away.probe = name;
  if (away.probe != name) return;  // another one is tried
  const auto delay = wait_out(away.backoff, std::to_string(home.value), what, error);
  strand_->post_after(delay, [weak = weak_from_this(), lead = lead_, home] {
    const auto self = weak.lock();
    if (self && self->lead_ == lead && self->running()) self->try_again(home);
  });
  if (is_new) take_turn_later();  // those that wait for it leave room for others
}

void ReactionRunner::try_again(PartitionId home) {
  const auto away = away_.find(home);
  if (away == away_.end() || away->second.probe.empty()) return;
  if (targets_.at(away->second.probe).sent) return;
  if (partition_.may_lag()) return stand_by();
  send(away->second.probe);
}

std::chrono::milliseconds ReactionRunner::wait_out(std::chrono::milliseconds& backoff,
                                                   const std::string& where,
                                                   const std::string& what, const Error& error) {
  const auto delay = std::exchange(backoff, std::min(2 * backoff, kRetryMax));
  std::string& why = delayed_[where];
  why = "delayed at offset " + std::to_string(done().value) + ": " + what + ": " + error.message();
  if (delay < kLogged && backoff >= kLogged) {  // once, and not for a moment's overload
    spdlog::warn("reaction {} of partition {} {}", reaction_->name(), partition_.id().value, why);
  }
  publish();
  return delay;
}

void ReactionRunner::passed(const std::string& where) {
  if (delayed_.erase(where) != 0) publish();
}

void ReactionRunner::remember() {
  // A place below the start is none, and would take back what another node has remembered.
  if (remembering_ || done() == remembered_ || done() < partition_.start()) return;
  remembering_ = true;
  const Offset done_now = done();
  partition_.commit_group_offset(
      principal_, done_now,
      [self = shared_from_this(), lead = lead_, done_now](Result<CommitOutcome> outcome) {
        self->strand_->post([self, lead, done_now, good = outcome.has_value()] {
          self->remembering_ = false;
          if (lead == self->lead_) self->on_remembered(done_now, good);
          self->maybe_stopped();
        });
      });
}

void ReactionRunner::on_remembered(Offset done, bool good) {
  if (good) remembered_at(done);
  publish();
  if (running() && partition_.may_lag()) return stand_by();
  remember_when_idle();  // also after a failure: it only costs work at the next start
}

void ReactionRunner::remembered_at(Offset done) {
  remembered_ = done;
  partition_.keep_for(principal_, done);
}

/// Standing by: the log tells.
void ReactionRunner::see_what_leader_remembers() {
  const auto known = partition_.group_offset(principal_);
  if (!known || !*known || **known <= remembered_) return;
  next_ = **known;
  remembered_at(next_);
  publish();
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
  look_when_halted();
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
  status_ = {
      std::string(reaction_->name()), partition_.id(), done(), 0, halted, standing_by_, error};
}

}  // namespace keelson::aggregates
