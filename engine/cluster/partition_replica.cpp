#include "engine/cluster/partition_replica.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/coding.h"

namespace keelson::cluster {

using replication::Moment;
using replication::Replica;

namespace {

constexpr Moment kTick = std::chrono::milliseconds(10);
/// How long new members may take to be fed, after which a move is given up.
constexpr Moment kMoveTime = std::chrono::hours(6);
/// New members that lack no more than this are taken in: the rest comes while they are.
constexpr std::uint64_t kCaughtUpBatches = 64;
constexpr Moment kHoldRetention = std::chrono::seconds(1);
constexpr Moment kKeepRetry = std::chrono::seconds(10);
constexpr Moment kLookForRoom = std::chrono::milliseconds(500);
/// There is room when so long nothing has been refused, whatever the disk says of itself: it may
/// not know of a quota.
constexpr Moment kNothingRefused = std::chrono::seconds(5);
/// As which retention is held back.
constexpr const char* kRetentionReader = "replicas";
/// The kind of a message that is not of the protocol: from which offset on the leader has events.
constexpr char kKept = '\xf0';

std::string kept_message(Offset start) {
  std::string message(1, kKept);
  append(message, start.value);
  return message;
}

}  // namespace

PartitionReplica::PartitionReplica(Environment environment, std::shared_ptr<LogPartition> partition,
                                   PromiseStore promises, const replication::Promise& promise,
                                   std::shared_ptr<Strand> disk, Options options, Ports ports)
    : environment_(environment),
      partition_(std::move(partition)),
      promises_(std::move(promises)),
      disk_(std::move(disk)),
      options_(std::move(options)),
      ports_(std::move(ports)) {
  replica_ = std::make_unique<Replica>(options_.self, options_.protocol, *this, *this,
                                       environment_.random, promise, now());
  kept_ = options_.last;
  if (options_.last) {
    replica_->remember(options_.last->record, options_.last->revision);
    status_.record = options_.last->record;
    status_.revision = options_.last->revision;
  }
  status_.epoch = promise.epoch;
  status_.promised = promise;
}

PartitionReplica::~PartitionReplica() = default;

Moment PartitionReplica::now() const { return environment_.clock.monotonic(); }

void PartitionReplica::start() {
  partition_->keep_for(kRetentionReader, Offset(0));  // until it is known what others need
  run([](PartitionReplica& self) { self.partition_->replicate(&self); });
  tick();
}

void PartitionReplica::tick() {
  partition_->strand()->post_after(kTick, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->replica_) return;
    const Moment now = self->now();
    self->replica_->on_tick(now);
    self->prefer_leader(now);
    self->look_for_room(now);
    self->hold_retention(now);
    self->go_on_with_move(now);
    self->end_late_reads(now);
    self->input_done();
    self->tick();
  });
}

void PartitionReplica::end_late_reads(Moment now) {
  for (auto read = reads_.begin(); read != reads_.end() && read->second.until <= now;) {
    read->second.done(fail(Errc::timeout, "no majority has answered in time"));
    read = reads_.erase(read);
  }
}

void PartitionReplica::stop(Task done) {
  partition_->strand()->post([self = shared_from_this(), done = std::move(done)]() mutable {
    if (!self->replica_) return done();
    // One that takes over may have led before, and have what waits to be written.
    const bool writes = self->replica_->role() != Replica::Role::following;
    self->replica_.reset();
    self->move_.reset();
    for (auto& pledge : std::exchange(self->pledges_, {})) {
      pledge.done(fail(Errc::closed, "the node is shutting down"));
    }
    for (auto& [id, read] : std::exchange(self->reads_, {})) {
      read.done(fail(Errc::closed, "the node is shutting down"));
    }
    if (writes) self->partition_->step_down();
    self->partition_->replicate(nullptr);
    done();
  });
}

// --- inputs ---

void PartitionReplica::on_message(const Member& from, std::string message, std::string region,
                                  std::shared_ptr<void> held) {
  run([from, bytes = std::move(message), region = std::move(region),
       held = std::move(held)](PartitionReplica& self) mutable {
    if (bytes.starts_with(kKept)) return self.on_kept(bytes);
    auto decoded = replication::decode_message(bytes);
    if (!decoded) {
      return self.ports_.report("a message of node " + std::to_string(from.node.value) +
                                " cannot be read: " + decoded.error().context);
    }
    if (!region.empty() && !put_together(*decoded, std::move(region))) return;
    // It could write nothing: whoever asks asks another, or leads on.
    if (self.no_room_ && std::holds_alternative<replication::Succeed>(*decoded)) return;
    self.held_ = std::move(held);
    self.replica_->on_message(from, *std::move(decoded), self.now());
    self.held_.reset();
  });
}

void PartitionReplica::on_connected(const Member& peer) {
  run([peer](PartitionReplica& self) { self.replica_->on_connected(peer, self.now()); });
}

void PartitionReplica::on_disconnected(const Member& peer) {
  run([peer](PartitionReplica& self) { self.replica_->on_disconnected(peer, self.now()); });
}

void PartitionReplica::on_record(const replication::PartitionRecord& record, Revision revision) {
  run([record, revision](PartitionReplica& self) {
    self.replica_->on_record(record, revision, self.now());
  });
}

void PartitionReplica::on_addresses_changed() {
  run([](PartitionReplica& self) { self.leader_told_.reset(); });
}

/// What others may want to know, after each input.
void PartitionReplica::input_done() {
  if (!replica_) return;
  if (record_gone_told_ && !replica_->record_gone()) {
    record_gone_told_ = false;
    ports_.report("the coordinator has the record again");
  }
  if (replica_->readable()) partition_->set_readable();
  const auto leader = known_leader();
  if (leader != leader_told_) {
    const bool leads = leader == options_.self && replica_->role() != Replica::Role::leading;
    const auto address = leader && !leads ? ports_.address_of(*leader) : std::nullopt;
    partition_->set_leader(address);
    if (address || !leader) leader_told_ = leader;
  }
  keep_record();
  const std::lock_guard lock(status_mutex_);
  status_.role = replica_->role();
  status_.epoch = replica_->promise();
  status_.leader = leader;
  if (status_.record != replica_->record() || status_.revision != replica_->revision()) {
    status_.record = replica_->record();
    status_.revision = replica_->revision();
  }
  status_.last_epoch = partition_->appended().last_epoch;
  status_.appended = partition_->appended().next_batch;
  status_.committed = partition_->log().published();
  status_.readable = replica_->readable();
  status_.halted = halted_ ? halted_ : promise_failure_;
  status_.pledged = replica_->pledged();
  status_.without_record = replica_->without_record();
  status_.no_room = no_room_;
  if (status_.role == Replica::Role::following) failed_move_.reset();
  status_.move = move_ ? MoveStatus{move_->target, move_->begun, {}} : failed_move_;
  status_.durable.clear();
  if (status_.role != Replica::Role::leading || !status_.record) return;
  for (const Member& member : fed()) status_.durable[member] = replica_->durable_at(member);
}

/// Who is no replica hears no leader, nor does who has pledged itself: they go by the record.
std::optional<Member> PartitionReplica::known_leader() const {
  const auto& record = replica_->record();
  const bool hears_nobody = record && (!record->has(options_.self) || replica_->pledged());
  if (!hears_nobody) return replica_->leader();
  return record->leader == options_.self ? std::nullopt : record->leader;
}

ReplicaStatus PartitionReplica::status() const {
  const std::lock_guard lock(status_mutex_);
  return status_;
}

// --- what an operator or a client asks ---

void PartitionReplica::move(MemberList target, std::function<void(Result<void>)> done) {
  partition_->strand()->post(
      [self = shared_from_this(), target = std::move(target), done = std::move(done)]() mutable {
        if (!self->replica_ || self->replica_->role() != Replica::Role::leading) {
          return done(std::unexpected(self->refusal()));
        }
        if (auto good = replication::check_members(target); !good) return done(std::move(good));
        const auto& record = *self->replica_->record();
        if (record.changing() || (self->move_ && self->move_->begun)) {
          return done(fail(Errc::overloaded, "another move is under way"));
        }
        // Whoever an earlier one waits for may never come: that disk may be gone by now.
        self->end_move(fail(Errc::not_enough_replicas,
                            "the members had not been changed when another move was asked for"));
        MemberList learners = target;
        std::erase_if(learners, [&](const Member& member) { return record.has(member); });
        self->replica_->catch_up(std::move(learners), self->now());
        self->move_ = Move{std::move(target), self->now() + kMoveTime};
        self->failed_move_.reset();
        self->input_done();
        done({});
      });
}

void PartitionReplica::hand_over(const Member& successor, std::function<void(Result<void>)> done) {
  partition_->strand()->post([self = shared_from_this(), successor, done = std::move(done)] {
    if (!self->replica_ || self->replica_->role() != Replica::Role::leading) {
      return done(std::unexpected(self->refusal()));
    }
    done(self->replica_->hand_over(successor, self->now()));
  });
}

void PartitionReplica::force_lead(Epoch confirmed, std::function<void(Result<void>)> done) {
  partition_->strand()->post([self = shared_from_this(), confirmed, done = std::move(done)] {
    if (!self->replica_) return done(fail(Errc::closed, "the replica has stopped"));
    const auto forced = self->replica_->force_lead(confirmed);
    if (forced) {
      self->ports_.report("leads by force from the epoch after " + std::to_string(confirmed.value) +
                          " on, as the only replica: an operator has said so");
    }
    self->input_done();
    done(forced);
  });
}

void PartitionReplica::pledge(Epoch epoch, std::function<void(Result<replication::Promise>)> done) {
  partition_->strand()->post([self = shared_from_this(), epoch, done = std::move(done)]() mutable {
    if (!self->replica_) return done(fail(Errc::closed, "the replica has stopped"));
    replication::Promise before = self->replica_->promised();
    if (auto pledged = self->replica_->pledge(epoch, self->now()); !pledged) {
      return done(std::unexpected(std::move(pledged).error()));
    }
    self->ports_.report("obeys no leader before epoch " + std::to_string(epoch.value) +
                        ": an operator makes the records anew");
    self->pledges_.push_back({epoch, std::move(before), std::move(done)});
    self->input_done();
  });
}

/// So that it can be made anew when the coordinator has lost it.
void PartitionReplica::keep_record() {
  if (options_.folder.empty() || !replica_->record()) return;
  LastRecord last{*replica_->record(), replica_->revision()};
  if (kept_ == last) return;
  kept_ = last;
  disk_->post([self = shared_from_this(), last = std::move(last)] {
    const auto kept = store_last_record(self->environment_.files, self->options_.folder,
                                        self->options_.partition, last);
    if (kept) return;
    self->ports_.report("the last record cannot be kept: " + kept.error().message());
    // As of a promise.
    if (kept.error().code != Errc::disk_full) self->environment_.end_process(kept.error());
    self->partition_->strand()->post_after(kKeepRetry, [weak = self->weak_from_this()] {
      const auto still = weak.lock();
      if (still && still->replica_) still->kept_.reset();  // the next input keeps it again
    });
  });
}

bool PartitionReplica::caught_up(const Member& member) const {
  if (member == options_.self) return true;
  return replica_->durable_at(member) + kCaughtUpBatches >= partition_->appended().next_batch;
}

void PartitionReplica::go_on_with_move(Moment now) {
  if (!move_) return;
  const auto& record = *replica_->record();
  if (move_->begun && record.replicas == move_->target && !record.changing()) {
    return end_move({});
  }
  if (replica_->role() != Replica::Role::leading) {
    // The change goes on without this node, when it has begun.
    if (move_->begun && replica_->role() != Replica::Role::following) return;
    return end_move(fail(Errc::not_leader, move_->begun
                                               ? "this node leads no more; who does finishes it"
                                               : "this node leads no more"));
  }
  if (now >= move_->until) return end_move(fail(Errc::timeout, "the new members are not fed"));
  if (move_->begun || record.changing()) return;
  // Those that are there already need not be: it may be for a dead one that this is done.
  for (const Member& member : move_->target) {
    if (!record.has(member) && !caught_up(member)) return;
  }
  const auto changed = replica_->change_members(move_->target, now);
  if (changed) {
    move_->begun = true;
  } else if (changed.error().code == Errc::bad_request) {
    end_move(changed);
  }
}

void PartitionReplica::end_move(const Result<void>& result) {
  if (!move_) return;
  if (!result) {
    failed_move_ = MoveStatus{std::move(move_->target), move_->begun, result.error()};
    ports_.report("the move has failed: " + result.error().message());
  }
  move_.reset();
  if (replica_) replica_->catch_up({}, now());
}

/// The first of the list leads when it can: so leaders are spread as replicas are.
void PartitionReplica::prefer_leader(Moment now) {
  const auto& record = replica_->record();
  if (replica_->role() != Replica::Role::leading || record->replicas.front() == options_.self) {
    preferred_since_ = now;
    return;
  }
  const Member& preferred = record->replicas.front();
  const bool there = !move_ && !no_room_ && !record->changing() && caught_up(preferred);
  if (!there) preferred_since_ = now;
  const bool whole = replica_->durable_at(preferred) >= partition_->appended().next_batch;
  if (!there || !whole || now - preferred_since_ < options_.prefer_after) return;
  preferred_since_ = now;
  [[maybe_unused]] const auto asked = replica_->hand_over(preferred, now);
}

void PartitionReplica::on_write_failed(const Error& error) {
  const bool has_room = environment_.files.room_at(options_.folder) >= options_.room_to_lead;
  // A write that may have left something behind does not say why it failed.
  const bool unclear = error.code == Errc::outcome_unknown;
  if (error.code != Errc::disk_full && !(unclear && !has_room)) return;
  refused_at_ = now();
  if (std::exchange(no_room_, true)) return;
  ports_.report("the disk is full: " + error.message());
  room_looked_at_ = {};
}

/// While there is none another node leads, if one can: which of them have room they know
/// themselves, so each is asked in turn.
void PartitionReplica::look_for_room(Moment now) {
  if (!no_room_ || now - room_looked_at_ < kLookForRoom) return;
  room_looked_at_ = now;
  const bool quiet = now - refused_at_ >= kNothingRefused;
  if (quiet && environment_.files.room_at(options_.folder) >= options_.room_to_lead) {
    no_room_ = false;
    return ports_.report("the disk has room again");
  }
  if (replica_->role() != Replica::Role::leading) return;
  MemberList others = replica_->record()->replicas;
  std::erase(others, options_.self);
  for (std::size_t tries = 0; tries < others.size(); ++tries) {
    if (replica_->hand_over(others[asked_to_lead_++ % others.size()], now)) return;
  }
}

/// All that are fed here, but this node.
MemberList PartitionReplica::fed() const {
  MemberList members = replica_->record()->members();
  if (move_) members.insert(members.end(), move_->target.begin(), move_->target.end());
  std::erase(members, options_.self);
  return members;
}

/// Whether retention may not remove what `member` lacks, which has all before `durable`.
bool PartitionReplica::waited_for(const Member& member, BatchNo durable, Moment now) const {
  const auto heard = replica_->heard_at(member);
  return heard && now - *heard <= options_.retention_waits_for &&
         partition_->log().bytes_from(durable) <= options_.retention_waits_bytes;
}

void PartitionReplica::hold_retention(Moment now) {
  if (replica_->role() != Replica::Role::leading || now - retention_held_at_ < kHoldRetention) {
    return;
  }
  retention_held_at_ = now;
  const BatchNo start = partition_->log().first_batch();
  BatchNo needed = partition_->appended().next_batch;
  for (const Member& member : fed()) {
    // What is removed already it gets otherwise.
    const BatchNo durable = std::max(replica_->durable_at(member), start);
    if (waited_for(member, durable, now)) {
      needed = std::min(needed, durable);
      left_behind_.erase(member);
    } else if (durable < partition_->appended().next_batch && left_behind_.insert(member).second) {
      ports_.report("retention does not wait for node " + std::to_string(member.node.value) +
                    " any more, which lacks all from batch " + std::to_string(durable.value) +
                    " on");
    }
  }
  Offset keep = partition_->appended().end;
  if (needed < partition_->appended().next_batch) {
    const auto offset = partition_->log().offset_of(needed);
    if (!offset) return;  // not readable; or removed just now, and it is done again in a second
    keep = *offset;
  }
  partition_->keep_for(kRetentionReader, keep);
  const std::string kept = kept_message(partition_->start());
  for (const Member& member : replica_->record()->members()) {
    if (member != options_.self) ports_.send(member, kept);
  }
}

/// What an older leader has removed every replica had by then, or need not.
void PartitionReplica::on_kept(std::string_view message) {
  if (message.size() != 1 + sizeof(Offset::value)) return;
  partition_->keep_for(kRetentionReader, Offset(get<std::uint64_t>(message, 1)));
}

}  // namespace keelson::cluster
