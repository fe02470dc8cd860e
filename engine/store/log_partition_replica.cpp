// A partition as one of several replicas: writing when it leads, following when it does not.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/log/incoming_batches.h"
#include "engine/store/log_partition.h"

namespace keelson {

namespace {

/// What a follower appends at a time, and makes durable together.
constexpr std::size_t kFollowBytesMax = 8u << 20;
/// How long a question about a time waits for a majority.
constexpr std::chrono::seconds kMarkTime{2};

}  // namespace

std::shared_ptr<LogPartition> LogPartition::open_replica(Environment environment,
                                                         std::unique_ptr<log::PartitionLog> log,
                                                         LogPartitionOptions options,
                                                         std::shared_ptr<Strand> maintenance) {
  options.replica = true;
  auto partition = std::shared_ptr<LogPartition>(
      new LogPartition(environment, std::move(log), options, std::move(maintenance)));
  partition->appended_ = partition->log_->appended();
  partition->install_place_ = partition->log_->install_place();
  partition->ask_for_mark_ = [weak = partition->weak_from_this(), strand = partition->strand_] {
    strand->post([weak] {
      if (const auto self = weak.lock()) self->mark_time();
    });
  };
  partition->upkeep_->start();
  return partition;
}

Error LogPartition::refusal() const {
  if (const auto good = check_here({this}); !good) return good.error();
  if (replication_ != nullptr) return replication_->refusal();
  if (const auto good = not_halted(); !good) return good.error();
  return {Errc::not_enough_replicas, "this replica has not joined its cluster yet", {}};
}

Result<void> LogPartition::readable() const {
  const bool shows = readable_.load(std::memory_order_acquire);
  if (shows && has_replica()) return {};
  KEELSON_TRY(check_here({this}));
  if (shows) return {};  // it has come back
  KEELSON_TRY(not_halted());
  return fail(Errc::not_caught_up, "partition " + std::to_string(id().value) +
                                       " has not met its leader since this node was started");
}

Result<void> LogPartition::not_halted() const {
  const std::lock_guard lock(halted_mutex_);
  if (halted_) return std::unexpected(*halted_);
  return {};
}

Result<void> LogPartition::health() const {
  KEELSON_TRY(not_halted());
  return health_->now();
}

void LogPartition::halt(const Error& reason) {
  {
    const std::lock_guard lock(halted_mutex_);
    halted_ = reason;
  }
  readable_later_ = false;
  readable_ = false;
}

void LogPartition::resume() {
  const std::lock_guard lock(halted_mutex_);
  halted_.reset();
}

void LogPartition::set_readable() {
  readable_later_ = publish_later_.has_value();
  if (readable_later_ || readable_.exchange(true)) return;
  waiters_->advance(log_->end());
}

void LogPartition::set_leader(std::optional<std::string> address) {
  const std::lock_guard lock(leader_mutex_);
  leader_ = std::move(address);
}

std::optional<std::string> LogPartition::leader() const {
  const std::lock_guard lock(leader_mutex_);
  return leader_;
}

void LogPartition::linearize(Linearized done) const {
  if (!replica_) return done({});
  strand_->dispatch([self = shared_from_this(), done = std::move(done)]() mutable {
    if (self->replication_ == nullptr) return done(std::unexpected(self->refusal()));
    self->replication_->begin_read(std::move(done));
  });
}

/// The next leader may have a clock that is behind, but gives no time before that of the last batch
/// committed. So a batch with a later time settles it, and a leader writes one when it is asked to.
Result<void> LogPartition::settle_committed(TimeUs time) const {
  const auto settled = [&] { return published_time_.load() > time.value; };
  if (settled()) return {};
  if (!serving_) {
    if (auto address = leader()) return fail(Errc::not_leader, *std::move(address));
    return fail(Errc::not_enough_replicas, "the partition has no leader at the moment");
  }
  ask_for_mark_();
  std::unique_lock lock(marks_mutex_);
  if (marked_.wait_for(lock, kMarkTime, settled)) return {};
  return fail(Errc::timeout, "no majority has confirmed the time asked for");
}

void LogPartition::mark_time() {
  if (!serving_ || closing_) return;
  staging_.stage_mark(environment_.clock.now());
  start_writer();
}

// --- leading ---

void LogPartition::start_epoch(Epoch epoch) {
  const TimeUs now = environment_.clock.now();
  // What has waited since `pause_writing` keeps its times.
  const bool fresh = staging_.empty();
  log::BatchDraft draft;
  draft.kind = log::BatchKind::control;
  draft.epoch = epoch;
  draft.base_offset = appended_.end;
  draft.time = fresh ? std::max(now, appended_.last_time) : appended_.last_time;
  if (fresh) staging_.continue_from(appended_.end, draft.time);
  writer_->post([self = shared_from_this(), term = term_, draft = std::move(draft)]() mutable {
    self->write_epoch_start(term, std::move(draft));
  });
}

void LogPartition::write_epoch_start(std::uint64_t term, log::BatchDraft draft) {
  auto batch_no = log_->append(draft);
  if (batch_no) {
    epoch_ = draft.epoch;
    epoch_started_ = true;
    strand_->post([self = shared_from_this(), term, appended = log_->appended()] {
      self->on_appended(term, appended, false);
    });
  }
  // After a failed append as well: it may have been a sync that failed.
  if (auto synced = make_durable(); !synced) return;
  strand_->dispatch([self = shared_from_this(), term, batch_no = std::move(batch_no)] {
    if (term != self->term_ || self->replication_ == nullptr) return;
    // Without it nothing is written: the others will find another leader.
    if (!batch_no) {
      self->discard(batch_no.error(), self->uncommitted_.size());
      return self->replication_->on_not_written(batch_no.error());
    }
    self->staging_.let_write();
    self->start_writer();
    self->replication_->on_durable(*batch_no + 1);
  });
}

void LogPartition::on_appended(std::uint64_t term, const log::LogPoint& appended, bool staged) {
  appended_ = appended;
  if (term != term_) return;
  if (staged) uncommitted_.push_back(appended.next_batch - 1);
  if (replication_ != nullptr) replication_->on_appended(appended.next_batch);
}

void LogPartition::publish(BatchNo end) {
  if (cutting_) {
    publish_later_ = end;
    return;
  }
  log_->publish(end - 1);
  TimeUs time{published_time_};
  if (end == appended_.next_batch) time = appended_.last_time;
  while (!uncommitted_.empty() && uncommitted_.front() < end) {
    uncommitted_.pop_front();
    const std::unique_ptr<StagedBatch> batch = staging_.finish_writing();
    time = std::max(time, batch->time);
    for (auto& commit : batch->commits) answer(commit, std::move(commit.outcome));
  }
  {
    const std::lock_guard lock(marks_mutex_);
    published_time_ = time.value;
  }
  marked_.notify_all();
  if (readable_.load(std::memory_order_relaxed)) waiters_->advance(log_->end());
  upkeep_->look();
  maybe_closed();
}

void LogPartition::pause_writing() { stop_writer(); }

void LogPartition::step_down() {
  serving_ = false;
  ++term_;
  staging_.hold_writer();
  const std::size_t taken = staging_.taken();
  auto batches = staging_.discard(0);
  uncommitted_.clear();
  if (on_discard_) on_discard_();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const Error error =
        i < taken ? Error{Errc::outcome_unknown, "this node has stopped leading the partition", {}}
                  : refusal();
    for (auto& commit : batches[i]->commits) answer(commit, std::unexpected(error));
  }
  stop_writer();
  maybe_closed();
}

void LogPartition::stop_writer() {
  staging_.hold_writer();
  // After all that the writer has taken.
  writer_->post([self = shared_from_this()] {
    if (auto synced = self->make_durable(); !synced) return;
    self->strand_->dispatch([self, appended = self->log_->appended()] {
      self->appended_ = appended;
      if (self->replication_ != nullptr) self->replication_->on_writer_stopped();
    });
  });
}

// --- following ---

void LogPartition::append_batches(std::uint64_t operation, std::string batches) {
  follower_work_.push_back({operation, std::move(batches), std::nullopt});
  follow();
}

void LogPartition::cut(std::uint64_t operation, BatchNo to) {
  follower_work_.push_back({operation, {}, to});
  follow();
}

void LogPartition::take_removed(std::uint64_t operation, log::RemovedPiece piece) {
  follower_work_.push_back({operation, {}, {}, std::move(piece)});
  follow();
}

void LogPartition::begin_at(std::uint64_t operation, std::string header) {
  readable_later_ = false;
  readable_ = false;
  follower_work_.push_back({operation, {}, {}, {}, std::move(header)});
  follow();
}

/// While the worker writes what has been verified, the verifier hashes what comes next: both take a
/// processor about as long. What is little goes to the worker as it is: it is there sooner.
void LogPartition::follow() {
  if (!following_) give_writer(take_work());
  verify_ahead();
}

/// As many batches as have come meanwhile, which are synced together, or one other thing to do.
/// Nothing when there is something to be verified first.
std::vector<LogPartition::FollowerWork> LogPartition::take_work() {
  std::vector<FollowerWork> work;
  const auto take = [&] {
    work.push_back(std::move(follower_work_.front()));
    follower_work_.pop_front();
  };
  if (verified_ > 0) {
    for (std::size_t bytes = 0; verified_ > 0; --verified_) {
      const auto& verified = follower_work_.front().verified;
      if (verified) bytes += (*verified)->bytes.size();
      if (!work.empty() && (!verified || bytes > kFollowBytesMax)) break;
      take();
    }
  } else if (!verifying_ && !follower_work_.empty()) {
    const auto other = std::ranges::find_if(follower_work_,
                                            [](const FollowerWork& one) { return !one.appends(); });
    std::size_t bytes = 0;
    for (auto one = follower_work_.begin(); one != other; ++one) bytes += one->batches.size();
    if (bytes >= options_.verify_ahead_bytes) return work;
    const auto count = std::max<std::ptrdiff_t>(1, other - follower_work_.begin());
    for (std::ptrdiff_t i = 0; i < count; ++i) take();
  }
  return work;
}

void LogPartition::give_writer(std::vector<FollowerWork> work) {
  if (work.empty()) return;
  following_ = true;
  cutting_ = work.front().cut_to || work.front().begin_at;
  writer_->post([self = shared_from_this(), work = std::move(work)]() mutable {
    auto result = self->follow(work);
    FollowerState state{self->log_->appended(), self->log_->install_place(), {}};
    if (result && !work.front().appends()) state.cut_copy = self->log_->last_cut();
    self->strand_->dispatch([self, work = std::move(work), result = std::move(result), state] {
      self->on_followed(work, result, state);
    });
  });
}

void LogPartition::verify_ahead() {
  if (verifying_ || verified_ == follower_work_.size()) return;
  if (following_ && last_verified_ == nullptr) return;  // it is not known yet what comes before
  if (verified_ > 0 && !follower_work_[verified_ - 1].verified) return;
  FollowerWork& next = follower_work_[verified_];
  if (!next.appends()) return;
  if (verifier_ == nullptr) {
    verifier_ = environment_.scheduler.make_worker("verify-" + std::to_string(id().value));
  }
  verifying_ = true;
  verifier_->post([self = shared_from_this(), pass = verifying_pass_,
                   batches = std::move(next.batches), before = last_verified_]() mutable {
    auto verified = self->log_->verify_batches(std::move(batches), before.get());
    self->strand_->dispatch([self, pass, verified = std::move(verified)]() mutable {
      self->on_verified(pass, std::move(verified));
    });
  });
}

void LogPartition::on_verified(std::uint64_t pass, Result<log::Incoming> verified) {
  verifying_ = false;
  if (pass == verifying_pass_) {
    if (verified) last_verified_ = *verified;
    follower_work_[verified_++].verified = std::move(verified);
  }
  if (replication_ != nullptr) follow();
}

Result<void> LogPartition::follow(std::vector<FollowerWork>& work) {
  const FollowerWork& first = work.front();
  auto result = first.cut_to     ? log_->cut(*first.cut_to)
                : first.removed  ? log_->take_removed(*first.removed)
                : first.begin_at ? log_->begin_at(*first.begin_at)
                                 : append_followed(work);
  // It may have been a sync that failed; and what is left must be durable before it counts.
  if (!result) KEELSON_TRY(make_durable());
  return result;
}

Result<void> LogPartition::append_followed(std::vector<FollowerWork>& work) {
  std::vector<log::Incoming> batches;
  for (FollowerWork& one : work) {
    KEELSON_TRY_ASSIGN(log::Incoming verified, one.verified);
    if (verified == nullptr) {
      KEELSON_TRY_ASSIGN(verified,
                         log_->verify_batches(std::move(one.batches),
                                              batches.empty() ? nullptr : batches.back().get()));
    }
    batches.push_back(std::move(verified));
  }
  return log_->append_batches(batches);
}

void LogPartition::on_followed(const std::vector<FollowerWork>& work, const Result<void>& result,
                               const FollowerState& state) {
  following_ = cutting_ = false;
  appended_ = state.appended;
  install_place_ = state.install_place;
  if (const auto end = std::exchange(publish_later_, std::nullopt)) publish(*end);
  if (std::exchange(readable_later_, false)) set_readable();
  if (!result) {
    follower_work_.clear();
    verified_ = 0;
    ++verifying_pass_;
  }
  // What comes next follows what is appended, unless something that is verified waits.
  if (verified_ == 0 && (!verifying_ || !result)) last_verified_ = nullptr;
  if (replication_ == nullptr) return;
  if (!result) return replication_->on_log_failed(work.front().operation, result.error());
  if (state.cut_copy) replication_->on_cut(*state.cut_copy);
  for (const FollowerWork& one : work) replication_->on_log_done(one.operation);
  follow();
}

}  // namespace keelson
