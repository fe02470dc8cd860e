// What all roles share: promises, the record, the log's operations, and who is told what.
#include "engine/replication/replica.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/replication/rules.h"

namespace keelson::replication {

Replica::Replica(Member self, ReplicaOptions options, ReplicaPorts& ports, const ReplicaLog& log,
                 Random& random, Promise promise, Moment now)
    : self_(self),
      options_(options),
      ports_(ports),
      log_(log),
      random_(random),
      promise_(promise.epoch),
      promised_(std::move(promise)),
      committed_(log.committed()),
      readable_(!holds(Rule::readable_after_match)) {
  Following following;
  following.suspect_at = now + options_.times.suspicion + jitter(options_.times.suspicion / 2);
  state_ = std::move(following);
}

void Replica::remember(const PartitionRecord& record, Revision revision) {
  record_ = record;
  revision_ = revision;
  remembered_ = true;
}

Moment Replica::jitter(Moment most) {
  return most.count() == 0 ? most
                           : Moment(static_cast<Moment::rep>(
                                 random_.next() % static_cast<std::uint64_t>(most.count())));
}

Replica::Role Replica::role() const {
  if (std::holds_alternative<TakingOver>(state_)) return Role::taking_over;
  const auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr) return Role::following;
  return leading->started ? Role::leading : Role::starting;
}

std::optional<Member> Replica::leader() const {
  if (const auto* const following = std::get_if<Following>(&state_)) return following->leader;
  return self_;
}

MemberList Replica::others() const {
  MemberList members = record_ ? record_->members() : MemberList();
  std::erase(members, self_);
  return members;
}

bool Replica::agreed(const std::function<bool(const Member&)>& holds_for) const {
  if (!holds(Rule::both_majorities)) return majority(record_->replicas, holds_for);
  return record_->agreed(holds_for);
}

void Replica::halt(Errc code, std::string why) {
  if (halted_) return;
  if (!std::holds_alternative<Following>(state_)) step_down({}, {});
  halted_ = true;
  readable_ = false;
  ports_.halt(Error{code, std::move(why), std::nullopt});
}

/// Its log cannot say what it holds: damage is for an operator, anything else may pass.
void Replica::on_unreadable(const Error& error, Moment now) {
  if (is_damage(error.code)) return halt(error.code, error.context);
  retry_log_at_ = now + options_.times.heartbeat;
}

/// What others asked for cannot be read here. Not at once: whoever feeds them goes through them.
void Replica::on_not_read(const Error& error) {
  if (is_damage(error.code) && !damage_) damage_ = error;
}

// --- promises (rule 2) ---

/// Whether a message of `from`, who leads `epoch`, may be acted on.
bool Replica::admit(const Member& from, Epoch epoch, Moment now) {
  const Epoch known = std::max(promise_, promising_.value_or(Epoch(0)));
  const bool nobodys = epoch == known && promised_.led < known;  // pledged
  if ((epoch < known && holds(Rule::refuse_lower_requests)) || nobodys) {
    ports_.send(from, Refused{known});
    return false;
  }
  if (epoch == promised_.led && promised_.leader && *promised_.leader != from) {
    halt(Errc::corruption, "nodes " + std::to_string(promised_.leader->node.value) + " and " +
                               std::to_string(from.node.value) + " both lead epoch " +
                               std::to_string(epoch.value) +
                               ": the coordinator has gone back, or there are two");
    return false;
  }
  if (epoch <= promise_) return true;
  if (std::holds_alternative<Leading>(state_) && !holds(Rule::end_lead)) return false;
  if (!std::holds_alternative<Following>(state_)) step_down(now, options_.times.suspicion);
  promise(epoch, from, now);
  return epoch == promise_;  // not before it is durable
}

void Replica::promise(Epoch epoch, const Member& claimant, Moment now) {
  if (promising_ && *promising_ >= epoch) return;
  promised_ = Promise(epoch, claimant);
  store_promise(epoch, claimant);
  if (!holds(Rule::promise_before_acting)) on_promise_stored(epoch, now);
}

void Replica::store_promise(Epoch epoch, std::optional<Member> claimant) {
  promising_ = epoch;
  claimant_ = claimant;
  fenced_ = false;
  ports_.store_promise(promised_);
}

/// As a fence, of a leader that there is not: whoever leads an earlier epoch is refused from here
/// on, and what was asked of the coordinator was asked of one that has forgotten.
Result<void> Replica::pledge(Epoch epoch, Moment now) {
  if (epoch <= promised_.epoch) {
    return fail(Errc::already_exists,
                "epoch " + std::to_string(promised_.epoch.value) + " is promised already");
  }
  if (!std::holds_alternative<Following>(state_)) step_down(now, options_.times.suspicion);
  swap_.reset();
  promised_.epoch = epoch;
  store_promise(epoch, std::nullopt);
  return {};
}

std::optional<Epoch> Replica::pledged() const {
  const bool nobodys = promised_.led < promised_.epoch;
  if (!nobodys || (record_ && record_->epoch >= promised_.epoch)) return std::nullopt;
  return promised_.epoch;
}

void Replica::on_promise_stored(Epoch epoch, Moment now) {
  promise_ = std::max(promise_, epoch);
  if (promising_ != epoch) return;  // a later one is on its way
  promising_.reset();
  if (halted_) return;
  if (claimant_ == self_) {
    // Whoever has seen the record may have gone on from it meanwhile.
    const bool ours = record_ && record_->epoch == epoch && record_->leader == self_;
    if (ours) take_over(epoch, now);
    return;
  }
  // All that was learnt from the leader of an earlier epoch counts no more.
  Following following;
  following.suspect_at = now + options_.times.suspicion + jitter(options_.times.suspicion / 2);
  state_ = std::move(following);
  if (!claimant_) return;
  hear(*claimant_, now);
  if (log_at_rest()) on_log_at_rest(now);
}

// --- the record (rules 10, 11, 12) ---

/// A leader who was promised to be obeyed had written the epoch there before; what is pledged is
/// nowhere yet.
void Replica::read_record(Epoch at_least) {
  reading_ = RecordReading{++requests_, std::max(at_least, promised_.led),
                           record_ ? record_->generation : 0, revision_};
  ports_.read_record(reading_->number);
}

void Replica::on_record_read(std::uint64_t number, const PartitionRecord& record, Revision revision,
                             Moment now) {
  if (reading_ && reading_->number == number) {
    const bool older = record.generation == reading_->generation
                           ? revision < reading_->revision
                           : record.generation < reading_->generation;
    if (record.epoch < reading_->promise || older) {
      if (!halted_) gone_back_before_ = reading_->promise;
      return halt_on(record, revision);
    }
    if (without_record() && follows_from_known(record, revision)) {
      record_gone_ = false;
      if (gone_back_) take_part_again(now);
    }
  }
  on_record(record, revision, now);
}

/// Rule 15: whether it is the record that is known here, or what elections alone have made of it:
/// with the same lists promises tell the leaders of an epoch apart, whatever the coordinator does.
bool Replica::follows_from_known(const PartitionRecord& record, Revision revision) const {
  if (!record_ || record.generation != record_->generation) return false;
  if (revision == revision_) return record == *record_;
  return revision > revision_ && record.epoch > record_->epoch &&
         record.replicas == record_->replicas && record.old_replicas == record_->old_replicas;
}

/// The wrong coordinator may have been there for a while, and the right one again.
void Replica::look_again(Moment now) {
  if (!without_record() || now < look_again_at_ || (!halted_ && hears_leader(now))) return;
  look_again_at_ = now + options_.times.look_again;
  read_record(gone_back_ ? gone_back_before_ : Epoch(0));
}

void Replica::take_part_again(Moment now) {
  gone_back_ = halted_ = false;
  gone_back_before_ = Epoch(0);
  Following following;
  following.suspect_at = now + options_.times.suspicion;
  state_ = std::move(following);
  ports_.resume();
}

/// Rule 15: epochs and revisions only grow, so the coordinator has been put back to an earlier
/// state.
void Replica::halt_on(const PartitionRecord& record, Revision revision) {
  if (halted_ || !holds(Rule::halt_when_gone_back)) return;
  gone_back_ = true;
  halt(Errc::corruption,
       "the coordinator's record is of epoch " + std::to_string(record.epoch.value) +
           " at revision " + std::to_string(revision.value) +
           ", but this replica has promised to obey " + std::to_string(promise_.value) +
           " and has seen revision " + std::to_string(revision_.value));
}

void Replica::on_record(const PartitionRecord& record, Revision revision, Moment now) {
  // Made anew (rule 15): its revision is of another count.
  const bool anew = record_ && record.generation > record_->generation;
  if (halted_ && !(anew && gone_back_)) return;
  if (record_ && !anew && holds(Rule::adopt_increasing)) {
    if (record.generation < record_->generation || revision < revision_) return;
    if (revision == revision_ && !remembered_) return;
  }
  if (record_ && !anew && revision > revision_ && record.epoch < record_->epoch) {
    return halt_on(record, revision);
  }
  const bool first = !record_ || anew || remembered_;
  remembered_ = false;
  record_gone_ = false;
  record_ = record;
  revision_ = revision;
  if (gone_back_) take_part_again(now);
  if (anew) {
    // What is under way was asked of a coordinator that has forgotten, and finds nothing there.
    swap_.reset();
    reading_.reset();
  } else if (swap_ && revision > swap_->expected) {
    // Now it is known what became of it: only a later revision proves that.
    const PartitionRecord wanted = std::move(swap_->record);
    swap_.reset();
    if (record == wanted) return won(record, now);
  }
  if (auto* const leading = std::get_if<Leading>(&state_)) {
    if (record.epoch > leading->epoch && holds(Rule::end_lead)) {
      return step_down(now, options_.times.suspicion);
    }
    refresh_peers(*leading, now);
  } else if (const auto* const taking = std::get_if<TakingOver>(&state_)) {
    if (record.epoch > taking->epoch) return step_down(now, options_.times.suspicion);
  } else if (first && record.leader == self_ && !holds(Rule::new_epoch_after_restart)) {
    promise_ = record.epoch;
    take_over(record.epoch, now);
  } else if (first && (record.leader ? *record.leader : record.replicas.front()) == self_) {
    // It led before it was started anew, or is the one to begin. Rule 3: never the same epoch.
    std::get<Following>(state_).suspect_at = now;
  }
}

void Replica::swap(PartitionRecord record) {
  swap_ = PendingSwap{*record_, revision_, std::move(record), std::nullopt};
  ports_.compare_and_set(swap_->replaced, swap_->expected, swap_->record);
}

void Replica::on_swapped(Revision revision, Moment now) {
  if (!swap_) return;  // a watch was quicker
  on_record(PartitionRecord(swap_->record), revision, now);
}

/// What stands there may be the same request's earlier success.
void Replica::on_not_swapped(const PartitionRecord& current, Revision revision, Moment now) {
  if (swap_ && revision == swap_->expected && current.generation == swap_->replaced.generation &&
      current != swap_->replaced) {
    // There have been two records of this revision: the coordinator has gone back and then on.
    return halt_on(current, revision);
  }
  on_record(current, revision, now);
  // Older than what was to be replaced: an answer that was overtaken, or rule 15.
  const bool older = record_ && current.generation < record_->generation;
  if (swap_ && (older || revision < swap_->expected)) {
    swap_->retry_at = now + options_.times.swap_retry;
    read_record();
  }
}

void Replica::on_swap_unknown(Moment now) {
  if (swap_ && !holds(Rule::resolve_by_revision)) {
    return on_record(PartitionRecord(swap_->record), revision_ + 1, now);
  }
  if (swap_) swap_->retry_at = now + options_.times.swap_retry;
}

/// Records are never taken away: the coordinator has lost it, with all others. Or it had, and this
/// answer is late: the read that begins now, or that of the next try, will tell.
void Replica::on_record_missing(Moment now) {
  if (!swap_) return;
  swap_->retry_at = now + options_.times.swap_retry;
  read_record();
}

/// Who leads goes on; nobody stands before the records have been made anew, or are there again.
void Replica::on_record_gone(std::uint64_t number) {
  if (!reading_ || reading_->number != number) return;
  record_gone_ = true;
  swap_.reset();
  reading_.reset();
}

/// Rule 10: the same request again, until its outcome is seen. It may yet land at any time.
void Replica::retry_swap(Moment now) {
  if (!swap_ || !swap_->retry_at || now < *swap_->retry_at) return;
  if (!holds(Rule::repeat_requests)) return;
  swap_->retry_at.reset();
  ports_.compare_and_set(swap_->replaced, swap_->expected, swap_->record);
}

/// The record is what this replica asked for.
void Replica::won(const PartitionRecord& record, Moment now) {
  if (auto* const leading = std::get_if<Leading>(&state_)) {
    refresh_peers(*leading, now);
    if (leading->epoch == record.epoch) {
      // The end of a change of members (rule 9).
      if (!contains(record.replicas, self_)) step_down(now, options_.times.suspicion);
      return;
    }
  }
  // Not if it is of an earlier life: that one may have written in this epoch (rule 3).
  if (record.epoch <= std::max(promise_, promising_.value_or(Epoch(0)))) return;
  promise(record.epoch, self_, now);
}

void Replica::step_down(Moment now, Moment patience) {
  if (auto* const leading = std::get_if<Leading>(&state_)) {
    for (const PendingRead& read : leading->reads) ports_.read_failed(read.id);
  }
  ports_.step_down();
  writer_stopping_ = true;
  Following following;
  following.suspect_at = now + patience + jitter(options_.times.suspicion / 2);
  state_ = std::move(following);
}

// --- the log ---

void Replica::ask_log_to_cut(BatchNo to) {
  KEELSON_ASSERT(to >= committed_);  // rule 7
  operations_.push_back({++last_operation_, to, PendingOperation::Kind::change});
  ports_.cut(last_operation_, to);
}

void Replica::ask_log_to_append(BatchNo end, std::string batches) {
  operations_.push_back({++last_operation_, end, PendingOperation::Kind::change});
  ports_.append(last_operation_, std::move(batches));
}

void Replica::ask_log_to_take(log::RemovedPiece piece) {
  operations_.push_back({++last_operation_, log_.end().end, PendingOperation::Kind::receive});
  ports_.take_removed(last_operation_, std::move(piece));
}

/// What readers have seen here may be more than the log has of it for a while: as after a start.
void Replica::ask_log_to_begin(BatchNo start, std::string header) {
  KEELSON_ASSERT(start >= committed_);  // rule 7
  readable_ = false;
  operations_.push_back({++last_operation_, start, PendingOperation::Kind::begin});
  ports_.begin_at(last_operation_, std::move(header));
}

void Replica::on_log_done(LogOperation operation, Moment now) {
  PendingOperation done;
  while (!operations_.empty() && operations_.front().number <= operation) {
    done = operations_.front();
    operations_.pop_front();
  }
  // All before its beginning is committed.
  if (done.kind == PendingOperation::Kind::begin) committed_ = done.end;
  if (halted_) return;
  auto* const following = std::get_if<Following>(&state_);
  if (following && following->matched) {
    following->durable = done.end;
    publish_known(*following);
    acknowledge(*following);
  }
  if (!log_at_rest()) return;
  // The same leader, and nothing else to tell it first: on with what was asked for.
  if (following && following->asked_at && !following->matched && !fenced_) {
    if (done.kind == PendingOperation::Kind::receive) return fetch(*following, now);
    if (done.kind == PendingOperation::Kind::begin) following->asked_at.reset();
  }
  on_log_at_rest(now);
}

void Replica::on_log_failed(LogOperation operation, Moment now) {
  if (operations_.empty() || operation < operations_.front().number) return;  // with an earlier one
  operations_.clear();
  retry_log_at_ = now + options_.times.heartbeat;
  if (auto* const following = std::get_if<Following>(&state_)) {
    following->asked_at.reset();
    following->matched = false;
  }
}

void Replica::on_writer_stopped(Moment now) {
  writer_stopping_ = false;
  if (log_at_rest() && !halted_) on_log_at_rest(now);
}

void Replica::on_log_at_rest(Moment now) {
  if (std::holds_alternative<TakingOver>(state_)) return try_to_start(now);
  auto* const following = std::get_if<Following>(&state_);
  if (following == nullptr || !following->leader) return;
  if (fenced_) {
    fenced_ = false;
    ports_.send(*following->leader, Promised{promise_, log_.end()});
  } else if (!following->matched) {
    ask_to_follow(*following, now);
  }
}

/// How far this log and the one that ends with `tail`, of `to`, are the same; 0 when they differ in
/// what is committed there. Nothing when that cannot be told now, or when what is needed from there
/// on has been removed here, which `to` hears.
std::optional<BatchNo> Replica::common_with(const Member& to, const LogTail& tail, Epoch epoch,
                                            std::uint64_t number) {
  if (tail.from > log_.end().end) return BatchNo(0);
  const BatchNo start = log_.start();
  const auto theirs = since(tail, start);
  const auto own = log_.tail(std::max(start, tail.from));
  if (!own) {
    on_not_read(own.error());
    return std::nullopt;
  }
  // All before the start is committed: a log that shares the last batch of that shares all of it.
  const bool shares = theirs && theirs->epoch_before == own->epoch_before;
  if (tail.from < start && !shares) {
    if (!holds(Rule::tell_who_is_behind)) return tail.end;
    ports_.send(to, Behind{epoch, number, start});
    return std::nullopt;
  }
  return common_prefix(*own, *theirs).value_or(BatchNo(0));
}

void Replica::publish(BatchNo end) {
  committed_ = end;
  ports_.publish(end);
}

// --- connections and time ---

void Replica::on_connected(const Member& peer, Moment now) {
  connected_.insert(peer);
  if (halted_) return;
  if (auto* const following = std::get_if<Following>(&state_)) {
    if (following->leader == peer) {
      following->asked_at.reset();
      following->matched = false;
    }
  } else if (auto* const taking = std::get_if<TakingOver>(&state_)) {
    if (record_->has(peer) && !taking->promised.contains(peer)) fence(peer);
    try_to_start(now);
  } else if (auto& leading = std::get<Leading>(state_); leading.peers.contains(peer)) {
    leading.peers[peer].matched = false;
    heartbeat(leading, now);
  }
}

void Replica::on_disconnected(const Member& peer, Moment now) {
  connected_.erase(peer);
  if (halted_) return;
  if (auto* const following = std::get_if<Following>(&state_)) {
    if (following->leader != peer) return;
    following->asked_at.reset();
    following->matched = false;
    // Rule 14: a broken connection counts at once.
    following->suspect_at = std::min(following->suspect_at, now + jitter(options_.times.heartbeat));
  } else if (auto* const taking = std::get_if<TakingOver>(&state_)) {
    if (taking->source == peer) taking->source.reset();
    try_to_start(now);
  } else if (auto& leading = std::get<Leading>(state_); leading.peers.contains(peer)) {
    leading.peers[peer].matched = false;
  }
}

void Replica::on_tick(Moment now) {
  look_again(now);
  if (halted_) return;
  if (const auto damage = std::exchange(damage_, std::nullopt)) {
    return halt(damage->code, damage->context);
  }
  retry_swap(now);
  if (auto* const following = std::get_if<Following>(&state_)) {
    tick_following(*following, now);
  } else if (auto* const taking = std::get_if<TakingOver>(&state_)) {
    tick_taking_over(*taking, now);
  } else {
    tick_leading(std::get<Leading>(state_), now);
  }
}

void Replica::on_message(const Member& from, Message message, Moment now) {
  if (halted_) return;
  std::visit([&](auto& content) { on(from, std::move(content), now); }, message);
}

}  // namespace keelson::replication
