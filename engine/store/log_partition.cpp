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

/// A batch of this part of the largest is worth a write of its own.
constexpr std::uint32_t kLargeBatchShare = 4;

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
Result<BatchNo> append_epoch_start(log::PartitionLog& log, Epoch epoch, TimeUs now) {
  return log.append(control_batch(log, epoch, now));
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
  const auto started = append_epoch_start(*log, epoch, environment.clock.now());
  // After a failed append as well: it may have been a sync that failed.
  KEELSON_TRY(log->sync());
  // A full disk refuses what is to be written, and nothing else. If it could not even take away
  // what it had written of it, that is done before the next batch.
  const bool refused = !started && (started.error().code == Errc::disk_full ||
                                    started.error().code == Errc::outcome_unknown);
  if (!started && !refused) return std::unexpected(started.error());
  if (started) log->publish(*started);
  auto partition = std::shared_ptr<LogPartition>(
      new LogPartition(environment, std::move(log), options, std::move(maintenance)));
  partition->epoch_ = epoch;
  partition->epoch_started_ = started.has_value();
  partition->upkeep_->start();
  return partition;
}

LogPartition::LogPartition(Environment environment, std::unique_ptr<log::PartitionLog> log,
                           const LogPartitionOptions& options, std::shared_ptr<Strand> maintenance)
    : environment_(environment),
      options_(options),
      log_(std::move(log)),
      staging_({options.id, log_->end(), log_->last_time(), options.batch_bytes_max}, times_),
      strand_(environment.scheduler.make_strand("partition")),
      writer_(environment.scheduler.make_worker("write-" + std::to_string(options.id.value))),
      upkeep_(std::make_shared<PartitionUpkeep>(
          environment.clock, log_, health_, options.retention,
          PartitionUpkeep::Workers{strand_, std::move(maintenance), options.compression},
          options.on_maintenance_change)),
      replica_(options.replica),
      readable_(!options.replica) {
  if (readable_) waiters_->advance(log_->end());
}

/// On the strand: a replica may lead, and step down, before anybody has come to listen.
void LogPartition::set_discard_listener(std::function<void()> on_discard) {
  strand_->dispatch([self = shared_from_this(), on_discard = std::move(on_discard)]() mutable {
    self->on_discard_ = std::move(on_discard);
  });
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

void LogPartition::execute_all(std::vector<Execution> all) {
  strand_->dispatch([self = shared_from_this(), all = std::move(all)]() mutable {
    for (Execution& one : all) {
      self->stage(std::move(one.stamp), std::move(one.decide), std::move(one.completion));
    }
    self->staging_.drop_unused_time();
    self->start_writer();
  });
}

Result<void> LogPartition::admit() const {
  if (closing_) return fail(Errc::closed, "the partition is shutting down");
  if (replica_ && !serving_) return std::unexpected(refusal());
  if (staging_.bytes() >= options_.pending_bytes_max) {
    return fail(Errc::overloaded, "partition " + std::to_string(id().value) + " has " +
                                      std::to_string(staging_.bytes()) +
                                      " bytes waiting to be written; repeat later");
  }
  return {};
}

void LogPartition::stage(std::optional<CommandStamp> stamp, Decide decide, Completion completion) {
  if (auto admitted = admit(); !admitted) {
    // What has been decided is known to every replica.
    auto known = replica_ && stamp ? find_outcome(*stamp) : std::nullopt;
    if (known && *known) return completion(std::move(**known));
    return completion(std::unexpected(admitted.error()));
  }
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
  if (reason == nullptr && replica_ && error.code == Errc::version_conflict) {
    return replication_->begin_read([error = std::move(error), completion = std::move(completion)](
                                        Result<void> still_leads) mutable {
      if (!still_leads) error = std::move(still_leads).error();
      if (error.code == Errc::timeout) error.code = Errc::not_enough_replicas;
      completion(std::unexpected(std::move(error)));
    });
  }
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
  writer_->post([self = shared_from_this(), term = term_] { self->write_batches(term); });
}

void LogPartition::write_batches(std::uint64_t term) {
  log::BatchBody body;
  while (auto draft = staging_.next_to_write(std::move(body))) {
    draft->epoch = epoch_;
    Result<BatchNo> written = write(term, *draft);
    body = std::move(draft->body);
    const bool failed = !written;
    Task answers = [self = shared_from_this(), term, written = std::move(written)]() mutable {
      self->on_written(term, std::move(written));
    };
    // What answers take, and the commits they make callers come back with, a large batch does not
    // wait for; small ones are better gathered into one.
    if (staging_.waiting_bytes() >= options_.batch_bytes_max / kLargeBatchShare) {
      strand_->post(std::move(answers));
    } else {
      strand_->dispatch(std::move(answers));
    }
    if (failed) return;
  }
}

Result<BatchNo> LogPartition::append(const log::BatchDraft& draft) {
  if (!epoch_started_) {
    // Not at the time of `draft`: should that not be written, the next one may be given less.
    KEELSON_TRY(append_epoch_start(*log_, epoch_, log_->last_time()));
    epoch_started_ = true;
  }
  return log_->append(draft);
}

Result<BatchNo> LogPartition::write(std::uint64_t term, const log::BatchDraft& draft) {
  auto batch_no = append(draft);
  if (replica_ && batch_no) {
    // Before it is durable here: the other replicas make it so at the same time.
    strand_->post([self = shared_from_this(), term, appended = log_->appended()] {
      self->on_appended(term, appended, true);
    });
  }
  // After a failed append as well: it may have been a sync that failed. What a majority is to have
  // must be durable at each of them.
  const bool synced = replica_ || options_.durability == Durability::fsync;
  if (!batch_no || synced) KEELSON_TRY(make_durable());
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

void LogPartition::on_written(std::uint64_t term, Result<BatchNo> written) {
  if (!written) {
    staging_.writer_gave_up();
    if (term != term_) return;  // nobody waits for it any more
    discard(written.error(), uncommitted_.size());
    if (replication_ != nullptr) replication_->on_not_written(written.error());
    return;
  }
  if (replica_) {
    if (term == term_ && replication_ != nullptr) replication_->on_durable(*written + 1);
    return;
  }
  witnessed_ = false;
  log_->publish(*written);
  const std::unique_ptr<StagedBatch> batch = staging_.finish_writing();
  for (auto& commit : batch->commits) answer(commit, std::move(commit.outcome));
  waiters_->advance(log_->end());
  upkeep_->look();
  maybe_closed();
}

/// A write has failed: those before it, of which there are `kept`, may yet be committed.
void LogPartition::discard(const Error& error, std::size_t kept) {
  // The next append would turn the remains of this one into zeros: let it be that of the witness.
  if (error.code == Errc::outcome_unknown) witnessed_ = replica_;
  auto batches = staging_.discard(kept);
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
    self->upkeep_->stop();
    self->on_closed_ = std::move(done);
    self->maybe_closed();
  });
}

void LogPartition::when_idle(Task done) {
  strand_->dispatch([self = shared_from_this(), done = std::move(done)]() mutable {
    Task others = [writer = self->writer_, upkeep = self->upkeep_,
                   done = std::move(done)]() mutable {
      writer->post([upkeep = std::move(upkeep), done = std::move(done)]() mutable {
        upkeep->when_idle(std::move(done));
      });
    };
    self->verifier_ ? self->verifier_->post(std::move(others)) : others();
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
