// Feeding followers and committing: rules 6, 8, 9, 13 and 14.
#include <algorithm>

#include "engine/replication/replica.h"
#include "engine/replication/rules.h"

namespace keelson::replication {

namespace {

/// Where no follower is: one that thinks itself matched asks again.
constexpr BatchNo kUnmatched{UINT64_MAX};

}  // namespace

void Replica::lead(Epoch epoch, Moment now) {
  Leading leading;
  leading.epoch = epoch;
  leading.start = log_.end().end;
  leading.appended = leading.durable = leading.start;
  leading.since = leading.synced_at = now;
  state_ = std::move(leading);
  auto& entered = std::get<Leading>(state_);
  refresh_peers(entered, now);
  ports_.start_epoch(epoch);
  heartbeat(entered, now);
}

void Replica::refresh_peers(Leading& leading, Moment now) {
  MemberList wanted = others();
  for (const Member& learner : leading.learners) {
    if (learner != self_ && !contains(wanted, learner)) wanted.push_back(learner);
  }
  std::erase_if(leading.peers, [&](const auto& peer) { return !contains(wanted, peer.first); });
  for (const Member& member : wanted) {
    if (leading.peers.try_emplace(member).second) leading.peers[member].heard = now;
  }
}

void Replica::tick_leading(Leading& leading, Moment now) {
  const ReplicaTimes& times = options_.times;
  const bool reaches_majority = agreed([&](const Member& member) {
    if (member == self_) return true;
    const auto peer = leading.peers.find(member);
    return peer != leading.peers.end() && now - peer->second.heard <= times.majority_lost;
  });
  // A disk that hangs may take nothing, or keep nothing of what it has taken.
  const bool idle = leading.durable == leading.appended && !ports_.has_to_append();
  if (idle) leading.synced_at = now;
  const bool syncs = now - leading.synced_at <= times.majority_lost;
  const bool begins = leading.started || now - leading.since <= times.take_over;
  const bool aside = (!reaches_majority && holds(Rule::aside_without_majority)) ||
                     (!syncs && holds(Rule::aside_without_disk));
  if (aside || !begins) return step_down(now, times.suspicion);
  if (now - leading.heartbeat_at >= times.heartbeat) heartbeat(leading, now);
  finish_change(now);
}

void Replica::heartbeat(Leading& leading, Moment now) {
  leading.heartbeat_at = now;
  ++leading.round;
  for (auto& [member, peer] : leading.peers) {
    if (!connected(member)) continue;
    send_commit(leading, member, peer);
    feed(leading, member, peer);
  }
}

/// Sends what the follower has not got, as far as the window allows.
void Replica::feed(Leading& leading, const Member& member, Peer& peer) {
  if (!peer.matched || !connected(member)) return;
  const BatchNo end = log_.end().end;
  while (peer.next < end && peer.window_bytes < options_.window_bytes_max) {
    // What is on its way will be answered, and then it goes on.
    if (peer.window_bytes != 0 && !ports_.may_fill(member)) break;
    Append append{leading.epoch, leading.round, committed_, leading.started, peer.next, {}, {}};
    std::uint64_t bytes = 0;
    if (auto region = log_.region(peer.next)) {
      append.end = region->end;
      bytes = region->file.length;
      append.region = std::move(region->file);
    } else {
      auto batches = log_.read(peer.next, options_.append_bytes_max);
      if (!batches) {
        // Of what is removed it will be told when it asks again; what is not readable may become
        // so.
        if (batches.error().code == Errc::below_start) peer.matched = false;
        return on_not_read(batches.error());
      }
      append.end = batches->end;
      bytes = batches->bytes.size();
      append.batches = std::move(batches->bytes);
    }
    peer.next = append.end;
    peer.window_bytes += bytes;
    peer.sent.emplace_back(append.end, bytes);
    peer.commit_sent = committed_;
    ports_.send(member, std::move(append));
  }
  // While batches flow they carry the commit index; the last one goes by itself.
  if (peer.next == end && committed_ == end && peer.commit_sent < committed_) {
    send_commit(leading, member, peer);
  }
}

/// Without batches; it says where the next ones will begin, so that a lost one is missed.
void Replica::send_commit(Leading& leading, const Member& member, Peer& peer) {
  peer.commit_sent = committed_;
  const BatchNo next = peer.matched ? peer.next : kUnmatched;
  ports_.send(member,
              Append{leading.epoch, leading.round, committed_, leading.started, next, next, {}});
}

void Replica::on(const Member& from, const Follow& follow, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || follow.epoch != leading->epoch || !leading->peers.contains(from))
    return;
  Peer& peer = leading->peers[from];
  peer.heard = now;
  auto common = common_with(from, follow.tail, follow.epoch, follow.number);
  if (!holds(Rule::match_by_epochs)) common = std::min(follow.tail.end, log_.end().end);
  peer.matched = common.has_value();
  if (!common) return;
  peer.next = *common;
  peer.sent.clear();
  peer.window_bytes = 0;
  ports_.send(from, Matched{leading->epoch, follow.number, *common});
  feed(*leading, from, peer);
}

void Replica::on(const Member& from, const Fetch& fetch, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || fetch.epoch != leading->epoch || !leading->peers.contains(from)) return;
  leading->peers[from].heard = now;
  auto found = log_.beginning({fetch.segment, fetch.position});
  if (!found) return on_not_read(found.error());
  if (!found->removed) {
    return ports_.send(
        from, Begin{leading->epoch, fetch.number, fetch.segment, std::move(found->header)});
  }
  log::RemovedPiece& piece = *found->removed;
  ports_.send(from, Fetched{leading->epoch, fetch.number, piece.segment, piece.position,
                            piece.file_bytes, std::move(piece.bytes), std::move(piece.region)});
}

void Replica::on(const Member& from, const Ack& ack, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || (ack.epoch != leading->epoch && holds(Rule::ignore_lower_answers))) {
    return;
  }
  const auto found = leading->peers.find(from);
  if (found == leading->peers.end()) return;
  Peer& peer = found->second;
  peer.heard = now;
  peer.round = std::max(peer.round, ack.round);
  peer.durable = std::max(peer.durable, ack.durable);
  while (!peer.sent.empty() && peer.sent.front().first <= peer.durable) {
    peer.window_bytes -= peer.sent.front().second;
    peer.sent.pop_front();
  }
  advance_commit(*leading, now);
  if (auto* const still = std::get_if<Leading>(&state_)) {
    answer_reads(*still);
    feed(*still, from, still->peers[from]);
  }
}

void Replica::on_appended(BatchNo end, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr) return;
  const bool idle = leading->durable == std::exchange(leading->appended, end);
  if (idle) leading->synced_at = now;  // until now nothing waited for the disk
  for (auto& [member, peer] : leading->peers) feed(*leading, member, peer);
}

void Replica::on_durable(BatchNo end, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr) return;
  leading->durable = std::max(leading->durable, end);
  leading->synced_at = now;
  advance_commit(*leading, now);
}

BatchNo Replica::durable_at(const Member& peer) const {
  const auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr) return BatchNo(0);
  if (peer == self_) return leading->durable;
  const auto found = leading->peers.find(peer);
  return found == leading->peers.end() ? BatchNo(0) : found->second.durable;
}

std::optional<Moment> Replica::heard_at(const Member& peer) const {
  const auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr) return std::nullopt;
  const auto found = leading->peers.find(peer);
  return found == leading->peers.end() ? std::nullopt : std::optional(found->second.heard);
}

BatchNo Replica::durable_on_majority(const Leading&, const MemberList& list) const {
  std::vector<BatchNo> ends;
  for (const Member& member : list) ends.push_back(durable_at(member));
  const auto middle = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2);
  std::ranges::nth_element(ends, middle, std::greater<>());
  return *middle;
}

/// Rule 8. What an earlier epoch left is committed through the start of this one above it.
void Replica::advance_commit(Leading& leading, Moment now) {
  BatchNo end = durable_on_majority(leading, record_->replicas);
  if (record_->changing() && holds(Rule::both_majorities))
    end = std::min(end, durable_on_majority(leading, record_->old_replicas));
  if (!holds(Rule::commit_by_majority)) end = leading.durable;
  // What readers see here is durable here: a read model is never ahead of its log.
  end = std::min(end, leading.durable);
  if ((end <= leading.start && holds(Rule::commit_own_epoch)) || end <= committed_) return;
  publish(end);
  if (!leading.started && end > leading.start) {
    leading.started = readable_ = true;
    ports_.serve(leading.epoch);
    finish_change(now);
  }
  for (auto& [member, peer] : leading.peers) feed(leading, member, peer);
}

// --- reads (rule 13) ---

void Replica::begin_read(std::uint64_t id, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || (!leading->started && holds(Rule::read_after_start))) {
    return ports_.read_failed(id);
  }
  if (!holds(Rule::read_after_round)) return ports_.read_ready(id, committed_);
  const bool under_way = !leading->reads.empty();
  leading->reads.push_back({id, leading->round + 1, committed_});
  if (!under_way) heartbeat(*leading, now);
  answer_reads(*leading);
}

void Replica::answer_reads(Leading& leading) {
  while (!leading.reads.empty()) {
    const PendingRead& read = leading.reads.front();
    const bool still_leads = agreed([&](const Member& member) {
      return member == self_ || leading.peers.at(member).round >= read.round;
    });
    if (!still_leads || leading.round < read.round) break;
    ports_.read_ready(read.id, read.commit);
    leading.reads.pop_front();
  }
  // Those that came meanwhile need a round that began after them.
  if (!leading.reads.empty() && leading.reads.front().round > leading.round) {
    heartbeat(leading, leading.heartbeat_at);
  }
}

// --- changing members (rule 9) ---

void Replica::catch_up(MemberList learners, Moment now) {
  auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr) return;
  leading->learners = std::move(learners);
  refresh_peers(*leading, now);
  heartbeat(*leading, now);
}

Result<void> Replica::change_members(const MemberList& target, Moment) {
  const auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || !leading->started) return fail(Errc::not_leader, "");
  KEELSON_TRY(check_members(target));
  if (record_->changing() || swap_ || promising_) {
    return fail(Errc::overloaded, "another change of members is under way");
  }
  const bool reached =
      majority(target, [&](const Member& member) { return durable_at(member) > leading->start; });
  if (!reached && holds(Rule::caught_up_majority)) {
    return fail(Errc::not_enough_replicas,
                "no majority of the new members has the leader's log yet");
  }
  PartitionRecord next = *record_;
  ++next.epoch;
  next.old_replicas = std::exchange(next.replicas, target);
  swap(std::move(next));
  return {};
}

/// Until the record says so, both majorities stay required.
void Replica::finish_change(Moment) {
  const auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || !leading->started || !record_->changing() || swap_) return;
  // The epoch before the change goes on until the promise to the next one is durable.
  if (record_->epoch != leading->epoch && holds(Rule::finish_after_start)) return;
  PartitionRecord next = *record_;
  next.old_replicas.clear();
  swap(std::move(next));
}

Result<void> Replica::hand_over(const Member& successor, Moment) {
  const auto* const leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || !leading->started) return fail(Errc::not_leader, "");
  if (!record_->has(successor) || !connected(successor) || durable_at(successor) < committed_) {
    return fail(Errc::not_enough_replicas, "the successor has not got all of the log yet");
  }
  ports_.send(successor, Succeed{leading->epoch});
  return {};
}

}  // namespace keelson::replication
