#include "engine/store/log_partition.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/store/commit_checks.h"
#include "engine/store/group_offset.h"
#include "engine/store/partition_hash.h"

namespace keelson {

namespace {

/// Between two steps of maintenance, so that what they write leaves most of the disk's time to the
/// log.
constexpr std::chrono::milliseconds kMaintenancePause{1};
/// How often retention by age is looked at when nothing is written.
constexpr std::chrono::nanoseconds kRetentionCheckMin = std::chrono::milliseconds(250);
constexpr std::chrono::nanoseconds kRetentionCheckMax = std::chrono::minutes(1);
/// After retention has failed: to find out may have taken reading a segment.
constexpr std::chrono::microseconds kRetentionRetry = std::chrono::minutes(1);

/// A control batch to follow all that `log` has; all of it must be published.
log::BatchDraft control_batch(const log::PartitionLog& log, Epoch epoch, TimeUs now) {
  log::BatchDraft draft;
  draft.kind = log::BatchKind::control;
  draft.epoch = epoch;
  draft.base_offset = log.end();
  draft.time = std::max(now, log.last_time());
  return draft;
}

/// Appends the control batch that starts `epoch`, so that no two runs write in one epoch.
Result<BatchNo> start_epoch(log::PartitionLog& log, Epoch epoch, TimeUs now) {
  return log.append(control_batch(log, epoch, now));
}

void answer(StagedCommit& commit, Result<CommitOutcome> outcome) {
  if (commit.repeated.empty() && commit.refused.empty()) {
    return commit.completion(std::move(outcome));
  }
  Result<CommitOutcome> again = outcome;
  if (again) again->replayed = true;
  commit.completion(std::move(outcome));
  for (auto& completion : commit.repeated) completion(again);
  for (auto& [completion, refusal] : commit.refused) {
    completion(std::unexpected(again ? std::move(refusal) : again.error()));
  }
}

}  // namespace

/// The partition as the next commit finds it.
class LogPartition::StagedView final : public Staging {
 public:
  StagedView(const LogPartition& partition, TimeUs time) : partition_(partition), time_(time) {}

  Result<Version> version(std::string_view stream) const override {
    return partition_.staged_version(stream);
  }

  Result<void> read(std::string_view stream, Version from,
                    const EventVisitor& visit) const override {
    bool stopped = false;
    const EventVisitor watching = [&](const EventView& event) {
      stopped = !visit(event);
      return !stopped;
    };
    StreamRange committed;
    committed.from = from;
    KEELSON_TRY(partition_.read_stream(stream, committed, watching));
    if (!stopped) partition_.staging_.read(stream, from, watching);
    return {};
  }

  TimeUs time() const override { return time_; }

 private:
  const LogPartition& partition_;
  TimeUs time_;
};

Result<std::shared_ptr<LogPartition>> LogPartition::open(Environment environment,
                                                         std::unique_ptr<log::PartitionLog> log,
                                                         LogPartitionOptions options,
                                                         std::shared_ptr<Strand> maintenance) {
  const Epoch epoch = log->last_epoch() + 1;
  const auto started = start_epoch(*log, epoch, environment.clock.now());
  // After a failed append as well: it may have been a sync that failed.
  KEELSON_TRY(log->sync());
  // A full disk refuses what is to be written, and nothing else. If it could not even take away
  // what it had written of it, that is done before the next batch.
  const bool refused = !started && (started.error().code == Errc::disk_full ||
                                    started.error().code == Errc::outcome_unknown);
  if (!started && !refused) return std::unexpected(started.error());
  if (started) log->publish(*started);
  auto partition = std::shared_ptr<LogPartition>(
      new LogPartition(environment, std::move(log), options, epoch, std::move(maintenance)));
  partition->epoch_started_ = started.has_value();
  partition->strand_->dispatch([partition] {
    partition->maintain();
    partition->wait_for_age();
  });
  return partition;
}

LogPartition::LogPartition(Environment environment, std::unique_ptr<log::PartitionLog> log,
                           LogPartitionOptions options, Epoch epoch,
                           std::shared_ptr<Strand> maintenance)
    : environment_(environment),
      options_(options),
      epoch_(epoch),
      log_(std::move(log)),
      staging_({options.id, log_->end(), log_->last_time(), options.batch_bytes_max}, times_),
      maintenance_health_(options.on_maintenance_change),
      strand_(environment.scheduler.make_strand("partition")),
      writer_(environment.scheduler.make_worker("write-" + std::to_string(options.id.value))),
      maintenance_(std::move(maintenance)) {
  waiters_->advance(log_->end());
}

void LogPartition::set_discard_listener(std::function<void()> on_discard) {
  on_discard_ = std::move(on_discard);
}

void LogPartition::execute(std::optional<CommandStamp> stamp, Decide decide,
                           Completion completion) {
  strand_->dispatch([self = shared_from_this(), stamp = std::move(stamp),
                     decide = std::move(decide), completion = std::move(completion)]() mutable {
    self->stage(std::move(stamp), std::move(decide), std::move(completion));
    self->staging_.drop_unused_time();
    self->start_writer();
  });
}

Result<void> LogPartition::admit() const {
  if (closing_) return fail(Errc::closed, "the partition is shutting down");
  if (staging_.bytes() >= options_.pending_bytes_max) {
    return fail(Errc::overloaded, "partition " + std::to_string(id().value) + " has " +
                                      std::to_string(staging_.bytes()) +
                                      " bytes waiting to be written; repeat later");
  }
  return {};
}

void LogPartition::stage(std::optional<CommandStamp> stamp, Decide decide, Completion completion) {
  if (auto admitted = admit(); !admitted) return completion(std::unexpected(admitted.error()));
  if (stamp) {
    if (auto good = check_stamp(*stamp, options_.limits); !good) {
      return completion(std::unexpected(good.error()));
    }
    if (StagedCommit* first = staging_.find(*stamp)) {
      if (first->stamp->fingerprint != stamp->fingerprint) {
        return completion(idempotency_mismatch(*stamp));
      }
      first->repeated.push_back(std::move(completion));
      return;
    }
    auto known = find_outcome(*stamp);
    if (!known) return completion(std::unexpected(known.error()));
    if (*known) return completion(std::move(**known));
  }
  const TimeUs time = staging_.next_time(environment_.clock.now());
  auto commit = decide(StagedView(*this, time));
  if (!commit) return refuse(std::move(commit).error(), std::move(completion));
  auto written = check(*commit);
  if (!written) return refuse(std::move(written).error(), std::move(completion));
  StagedCommit& staged =
      staging_.stage(*std::move(commit), std::move(stamp), *std::move(written), time);
  staged.completion = std::move(completion);
}

void LogPartition::refuse(Error error, Completion completion) {
  StagedCommit* const reason =
      error.versions ? staging_.last_writer(error.versions->stream) : nullptr;
  if (reason == nullptr) return completion(std::unexpected(std::move(error)));
  reason->refused.emplace_back(std::move(completion), std::move(error));
}

Result<std::vector<CommitOutcome::Written>> LogPartition::check(const Commit& commit) const {
  KEELSON_TRY(check_commit(commit, options_.limits));
  const auto check_stream = [this](const std::string& stream,
                                   const ExpectedVersion& expected) -> Result<Version> {
    if (partition_of(stream, options_.partitions) != options_.id) {
      return fail(Errc::bad_request, "stream '" + stream + "' lies in another partition");
    }
    KEELSON_TRY_ASSIGN(const Version current, staged_version(stream));
    if (!expected.met_by(current)) return version_conflict(stream, expected, current);
    return current;
  };
  for (const auto& condition : commit.checks) {
    KEELSON_TRY(check_stream(condition.stream, condition.expected));
  }
  std::vector<CommitOutcome::Written> written;
  written.reserve(commit.writes.size());
  for (const auto& write : commit.writes) {
    KEELSON_TRY_ASSIGN(const Version current, check_stream(write.stream, write.expected));
    written.push_back({write.stream, current + 1, current + 1, Offset()});
  }
  return written;
}

Result<Version> LogPartition::staged_version(std::string_view stream) const {
  if (const auto staged = staging_.version(stream)) return *staged;
  return log_->stream_version(stream, log_->end());
}

void LogPartition::start_writer() {
  if (!staging_.wants_writer()) return;
  writer_->post([self = shared_from_this()] { self->write_batches(); });
}

void LogPartition::write_batches() {
  log::BatchBody body;
  while (auto draft = staging_.next_to_write(std::move(body))) {
    draft->epoch = epoch_;
    Result<BatchNo> written = write(*draft);
    body = std::move(draft->body);
    const bool failed = !written;
    strand_->dispatch([self = shared_from_this(), written = std::move(written)]() mutable {
      self->on_written(std::move(written));
    });
    if (failed) return;
  }
}

Result<BatchNo> LogPartition::append(const log::BatchDraft& draft) {
  if (!epoch_started_) {
    // Not at the time of `draft`: should that not be written, the next one may be given less.
    KEELSON_TRY(start_epoch(*log_, epoch_, log_->last_time()));
    epoch_started_ = true;
  }
  return log_->append(draft);
}

Result<BatchNo> LogPartition::write(const log::BatchDraft& draft) {
  auto batch_no = append(draft);
  // After a failed append as well: it may have been a sync that failed.
  if (!batch_no || options_.durability == Durability::fsync) KEELSON_TRY(make_durable());
  return batch_no;
}

/// A failed fdatasync is never retried: the kernel may have dropped the pages and report success
/// next time. What was acknowledged is on disk; what was not is decided by the next start.
Result<void> LogPartition::make_durable() {
  auto synced = log_->sync();
  if (!synced) environment_.end_process(synced.error());
  return synced;
}

Result<BatchNo> LogPartition::write_witness(TimeUs now) {
  // First what it is to testify to.
  if (options_.durability == Durability::os) KEELSON_TRY(make_durable());
  auto batch_no = log_->append(control_batch(*log_, epoch_, now));
  KEELSON_TRY(make_durable());
  return batch_no;
}

void LogPartition::on_written(Result<BatchNo> written) {
  if (!written) return discard(written.error());
  witnessed_ = false;
  log_->publish(*written);
  const std::unique_ptr<StagedBatch> batch = staging_.finish_writing();
  for (auto& commit : batch->commits) answer(commit, std::move(commit.outcome));
  waiters_->advance(log_->end());
  maintain();
  maybe_closed();
}

bool LogPartition::retention_due(TimeUs now) const {
  return retaining_ && now >= retention_not_before_ && log_->retention_due(now);
}

void LogPartition::maintain() {
  compress();
  if (closing_ || maintaining_) return;
  const TimeUs now = environment_.clock.now();
  const bool retain = retention_due(now);
  if (!retain && !log_->maintenance_due()) return;
  maintaining_ = true;
  maintenance_->post([self = shared_from_this(), now, retain] {
    // What fails here is tried again after a later batch, or by the append that needs it.
    // Retention first: it makes room for the rest.
    const bool retained = !retain || self->retain(now);
    const bool done = self->maintain_segments();
    self->strand_->dispatch([self, done, retained, now] {
      if (!retained) self->retention_not_before_ = now + kRetentionRetry.count();
      self->on_maintained(done);
    });
  });
}

bool LogPartition::retain(TimeUs now) {
  return maintenance_health_.note(Maintenance::retention, health_->noted(log_->retain(now)));
}

bool LogPartition::maintain_segments() {
  const Result<void> done = log_->maintain();
  // It goes in steps, of which the one that fails may come after others that do not.
  if (done && log_->maintenance_due()) return true;
  return maintenance_health_.note(Maintenance::segments, done);
}

void LogPartition::on_maintained(bool done) {
  const bool more = log_->maintenance_due() || retention_due(environment_.clock.now());
  if (!done || closing_ || !more) {
    maintaining_ = false;
    compress();
    return;
  }
  strand_->post_after(kMaintenancePause, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->maintaining_ = false;
    self->maintain();
  });
}

void LogPartition::compress() {
  if (closing_ || compressing_ || !options_.compression || !log_->compression_due()) return;
  compressing_ = true;
  options_.compression->post([self = shared_from_this()] {
    // What fails is tried again when the next segment is full: it only takes more room.
    const bool done = self->maintenance_health_.note(Maintenance::compression,
                                                     self->health_->noted(self->log_->compress()));
    self->strand_->dispatch([self, done] {
      self->compressing_ = false;
      if (done) self->compress();
    });
  });
}

/// Events grow old although nothing is written.
void LogPartition::wait_for_age() {
  const std::chrono::seconds age = options_.retention.age;
  if (closing_ || waiting_for_age_ || age.count() == 0) return;
  waiting_for_age_ = true;
  const auto wait =
      std::clamp<std::chrono::nanoseconds>(age / 4, kRetentionCheckMin, kRetentionCheckMax);
  strand_->post_after(wait, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->waiting_for_age_ = false;
    self->maintain();
    self->wait_for_age();
  });
}

void LogPartition::set_retention(const log::Retention& retention) {
  strand_->dispatch([self = shared_from_this(), retention] {
    self->options_.retention = retention;
    self->log_->set_retention(retention);
    self->look_at_retention_again();
    self->maintain();
    self->wait_for_age();
  });
}

/// What failed may have nothing to do any more.
void LogPartition::look_at_retention_again() {
  if (closing_ || !maintenance(Maintenance::retention).failing) return;
  retention_not_before_ = TimeUs(0);
  maintenance_->post([self = shared_from_this(), now = environment_.clock.now()] {
    if (!self->log_->retention_due(now)) {
      self->maintenance_health_.note(Maintenance::retention, {});
    }
  });
}

void LogPartition::start_retention() {
  strand_->dispatch([self = shared_from_this()] {
    self->retaining_ = true;
    self->maintain();
  });
}

void LogPartition::keep_for(const std::string& reader, Offset next) {
  {
    const std::lock_guard lock(readers_mutex_);
    readers_[reader] = next;
    const auto place_of = [](const auto& known) { return known.second; };
    log_->keep_from(std::ranges::min_element(readers_, {}, place_of)->second);
  }
  // What has waited for this goes now: there may be no next batch.
  if (!log_->retention_due(environment_.clock.now())) return;
  strand_->dispatch([self = shared_from_this()] { self->maintain(); });
}

void LogPartition::discard(const Error& error) {
  // The next append would turn the remains of this one into zeros: let it be that of the witness.
  if (error.code == Errc::outcome_unknown) witnessed_ = false;
  auto batches = staging_.discard(log_->end());
  if (on_discard_) on_discard_();
  for (auto& batch : batches) {
    for (auto& commit : batch->commits) answer(commit, std::unexpected(error));
  }
  maybe_closed();
}

void LogPartition::commit_group_offset(std::string group, Offset next, Completion completion) {
  strand_->dispatch([self = shared_from_this(), group = std::move(group), next,
                     completion = std::move(completion)]() mutable {
    if (auto admitted = self->admit(); !admitted) {
      return completion(std::unexpected(admitted.error()));
    }
    if (auto good = check_group(group, self->options_.limits); !good) {
      return completion(std::unexpected(good.error()));
    }
    if (next > self->staging_.end()) {
      return completion(fail(Errc::beyond_end, "group offset " + std::to_string(next.value) +
                                                   " is past the end of the partition"));
    }
    const TimeUs time = self->staging_.next_time(self->environment_.clock.now());
    self->staging_.stage_group_offset(group, next, time).completion = std::move(completion);
    self->start_writer();
  });
}

void LogPartition::close(Task done) {
  strand_->dispatch([self = shared_from_this(), done = std::move(done)]() mutable {
    KEELSON_ASSERT(!self->closing_);
    self->closing_ = true;
    self->on_closed_ = std::move(done);
    self->maybe_closed();
  });
}

void LogPartition::when_idle(Task done) {
  Task last = std::move(done);
  if (options_.compression) {
    last = [compression = options_.compression, done = std::move(last)]() mutable {
      compression->post(std::move(done));
    };
  }
  writer_->post([maintenance = maintenance_, done = std::move(last)]() mutable {
    maintenance->post(std::move(done));
  });
}

void LogPartition::maybe_closed() {
  if (!closing_ || !on_closed_ || !staging_.empty()) return;
  Task done = std::exchange(on_closed_, nullptr);
  if (witnessed_) return done();
  writer_->post([self = shared_from_this(), now = environment_.clock.now(),
                 done = std::move(done)]() mutable {
    // Without one (a full disk) all that was acknowledged is there all the same.
    auto written = self->write_witness(now);
    self->strand_->dispatch([self, written = std::move(written), done = std::move(done)]() mutable {
      if (written) self->log_->publish(*written);
      done();
    });
  });
}

}  // namespace keelson
