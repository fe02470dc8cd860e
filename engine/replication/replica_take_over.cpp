// Fencing a majority of every list and taking over its greatest log: rules 5 and 6.
#include <algorithm>
#include <utility>

#include "engine/replication/replica.h"
#include "engine/replication/rules.h"

namespace keelson::replication {

// --- the new leader ---

void Replica::take_over(Epoch epoch, Moment now) {
  if (auto* const leading = std::get_if<Leading>(&state_)) {
    // It changes the members: what waits to be committed will be, in the new epoch.
    for (const PendingRead& read : leading->reads) ports_.read_failed(read.id);
    ports_.pause_writing();
    writer_stopping_ = true;
  }
  refusing_.clear();
  state_ = TakingOver{epoch, now, now, {}, std::nullopt, 0, {}};
  for (const Member& member : others()) fence(member);
  for (const Member& member : std::exchange(shut_out_, {})) fence(member);
  try_to_start(now);
}

void Replica::fence(const Member& member) {
  if (connected(member)) ports_.send(member, Fence{std::get<TakingOver>(state_).epoch});
}

void Replica::tick_taking_over(TakingOver& taking, Moment now) {
  if (now - taking.since > options_.times.take_over) {
    return step_down(now, options_.times.suspicion);
  }
  if (now - taking.fenced_at >= options_.times.heartbeat) {
    taking.fenced_at = now;
    for (const Member& member : others()) fence(member);  // also says that it is alive
  }
  if (now - taking.pulled_at > options_.times.suspicion) {
    if (taking.source) taking.promised.erase(*taking.source);  // until it answers again
    taking.source.reset();
    try_to_start(now);
  }
}

void Replica::on(const Member& from, const Promised& promised, Moment now) {
  auto* const taking = std::get_if<TakingOver>(&state_);
  if (taking == nullptr || (promised.epoch != taking->epoch && holds(Rule::ignore_lower_answers))) {
    return;
  }
  taking->promised[from] = promised.durable;
  try_to_start(now);
}

/// Rule 12. Whoever has promised a higher epoch counts for this one no more; but one may have
/// pledged it to nobody. Without the others either this epoch is over, and who leads now will be
/// seen in the record, or heard.
void Replica::on(const Member& from, const Refused& refused, Moment now) {
  if (refused.epoch <= promise_ || std::holds_alternative<Following>(state_)) return;
  refusing_.insert(from);
  const bool may_go_on = agreed([&](const Member& member) { return !refusing_.contains(member); });
  if (!may_go_on) step_down(now, options_.times.suspicion);
}

/// Begins the epoch, if its log is known to hold whatever may have been committed: when it is as
/// great as the logs of a majority of every list, none of which changes any more without this
/// leader. Else copies the greatest. After a part of a copy what counts is the log as it is now.
void Replica::try_to_start(Moment now) {
  auto& taking = std::get<TakingOver>(state_);
  if (!log_at_rest()) return;
  const LogEnd own = log_.end();
  const bool greatest = agreed([&](const Member& member) {
    const auto promised = taking.promised.find(member);
    return member == self_ || (promised != taking.promised.end() && promised->second <= own);
  });
  if (greatest || !holds(Rule::fence_majority)) return lead(taking.epoch, now);
  const bool fenced = agreed(
      [&](const Member& member) { return member == self_ || taking.promised.contains(member); });
  if (fenced && !holds(Rule::take_greatest_log)) return lead(taking.epoch, now);
  if (!fenced || taking.source || now < retry_log_at_) return;
  for (const auto& [member, end] : taking.promised) {
    if (end <= own || !connected(member)) continue;
    if (!taking.source || taking.promised[*taking.source] < end) taking.source = member;
  }
  if (taking.source) pull(taking, now);
}

void Replica::pull(TakingOver& taking, Moment now) {
  auto tail = log_.tail(committed_);
  if (!tail) return on_unreadable(tail.error(), now);
  taking.pulled_at = now;
  taking.pulled = ++requests_;
  ports_.send(*taking.source, Pull{taking.epoch, taking.pulled, *std::move(tail)});
}

void Replica::on(const Member& from, const Pulled& pulled, Moment now) {
  auto* const taking = std::get_if<TakingOver>(&state_);
  if (taking == nullptr || pulled.epoch != taking->epoch || taking->source != from ||
      pulled.number != taking->pulled) {
    return;
  }
  if (!log_at_rest()) return;
  taking->source.reset();
  taking->promised[from] = pulled.durable;
  if (pulled.common < committed_) {
    return halt(Errc::corruption, "the log of another replica differs in what is committed here");
  }
  if (pulled.common < log_.end().end) ask_log_to_cut(pulled.common);
  if (!pulled.batches.empty()) ask_log_to_append(pulled.end, pulled.batches);
  if (log_at_rest()) try_to_start(now);
}

// --- the others ---

void Replica::on(const Member& from, const Fence& fence, Moment now) {
  const bool admitted = admit(from, fence.epoch, now);
  if (fence.epoch >= std::max(promise_, promising_.value_or(Epoch(0)))) fenced_ = true;
  if (!admitted || !std::holds_alternative<Following>(state_)) return;
  hear(from, now);
  if (log_at_rest()) on_log_at_rest(now);
}

void Replica::on(const Member& from, const Pull& pull, Moment now) {
  if (!admit(from, pull.epoch, now) || !log_at_rest()) return;
  if (!std::holds_alternative<Following>(state_)) return;
  hear(from, now);
  const LogEnd own = log_.end();
  if (pull.tail.from > own.end) return;
  const auto common = common_with(from, pull.tail, pull.epoch, pull.number);
  if (!common) return;
  Pulled pulled{pull.epoch, pull.number, *common, *common, own, {}};
  if (*common >= pull.tail.from && *common < own.end) {
    auto batches = log_.read(*common, options_.append_bytes_max);
    if (!batches) return on_not_read(batches.error());
    pulled.end = batches->end;
    pulled.batches = std::move(batches->bytes);
  }
  ports_.send(from, std::move(pulled));
}

}  // namespace keelson::replication
