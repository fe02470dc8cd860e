// What the protocol asks of its node, and what the log tells the protocol.
#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/cluster/partition_replica.h"

namespace keelson::cluster {

using replication::Moment;
using replication::Replica;

namespace {

/// How long a linearizable read may take.
constexpr Moment kReadTime = std::chrono::seconds(2);
constexpr std::size_t kReadsMax = 4096;
/// Between two tries to store a promise.
constexpr Moment kPromiseRetry = std::chrono::seconds(1);
/// Of a segment that a follower far behind is sent at a time: less than its window, so that one is
/// on its way while another is written there.
constexpr std::uint64_t kRegionBytesMax = 4u << 20;

/// The part of a file that `message` goes out with, instead of the bytes.
std::optional<io::FileRegion> take_region(replication::Message& message) {
  if (auto* const append = std::get_if<replication::Append>(&message)) {
    return std::exchange(append->region, std::nullopt);
  }
  if (auto* const fetched = std::get_if<replication::Fetched>(&message)) {
    return std::exchange(fetched->region, std::nullopt);
  }
  return std::nullopt;
}

}  // namespace

bool put_together(replication::Message& message, std::string region) {
  std::string* bytes = nullptr;
  if (auto* const append = std::get_if<replication::Append>(&message)) bytes = &append->batches;
  if (auto* const fetched = std::get_if<replication::Fetched>(&message)) bytes = &fetched->bytes;
  if (bytes == nullptr || !bytes->empty()) return false;
  *bytes = std::move(region);
  return true;
}

// --- ReplicaPorts ---

void PartitionReplica::send(const Member& to, replication::Message message) {
  if (auto region = take_region(message)) {
    return ports_.send_file(to, replication::encode_message(message), *std::move(region));
  }
  ports_.send(to, replication::encode_message(message));
}

bool PartitionReplica::may_fill(const Member& to) const { return !ports_.congested(to); }

void PartitionReplica::store_promise(const replication::Promise& promise) {
  promise_wanted_ = promise.epoch;
  // Who is promised to be obeyed knows the record: it lies on that disk before anybody is fenced.
  keep_record();
  disk_->post([self = shared_from_this(), promise] {
    auto stored = self->promises_.store(promise);
    // What a failed sync has left cannot be known, now or after a restart of this process.
    if (!stored && stored.error().code != Errc::disk_full) {
      return self->environment_.end_process(stored.error());
    }
    self->run([promise, stored = std::move(stored)](PartitionReplica& on) {
      if (!stored) return on.on_promise_failed(promise, stored.error());
      on.on_promise_stored(promise);
    });
  });
}

void PartitionReplica::on_promise_stored(const replication::Promise& promise) {
  promise_failure_.reset();
  {
    const std::lock_guard lock(status_mutex_);
    status_.promised = promise;
  }
  replica_->on_promise_stored(promise.epoch, now());
  std::erase_if(pledges_, [&](Pledge& pledge) {
    if (pledge.epoch > promise.epoch) return false;
    pledge.done(pledge.before);
    return true;
  });
}

/// Nothing is promised then, and this node takes no part in that epoch before it is: the others
/// find a leader without it. A full disk, say, is so for a while only.
void PartitionReplica::on_promise_failed(const replication::Promise& promise, const Error& error) {
  if (!promise_failure_ || promise_failure_->code != error.code) {
    ports_.report("the promise cannot be stored: " + error.message());
  }
  promise_failure_ = error;
  on_write_failed(error);
  partition_->strand()->post_after(kPromiseRetry, [weak = weak_from_this(), promise] {
    const auto self = weak.lock();
    // A later one, if there is any, is on its way itself.
    if (self && self->replica_ && self->promise_wanted_ == promise.epoch) {
      self->store_promise(promise);
    }
  });
}

void PartitionReplica::compare_and_set(const replication::PartitionRecord& expected,
                                       Revision revision,
                                       const replication::PartitionRecord& record) {
  // A record has one text, so this is the one that was read.
  ports_.coordinator.compare_and_set(
      options_.record_key,
      replication::Record{replication::encode_partition_record(expected), revision},
      replication::encode_partition_record(record),
      [weak = weak_from_this()](Result<replication::Coordinator::Swapped> answer) {
        if (const auto self = weak.lock()) self->on_swap_answer(std::move(answer));
      });
}

void PartitionReplica::on_swap_answer(Result<replication::Coordinator::Swapped> answer) {
  run([answer = std::move(answer)](PartitionReplica& self) {
    // A request that has failed may be on its way all the same.
    if (!answer) return self.replica_->on_swap_unknown(self.now());
    if (!answer->current) return self.replica_->on_record_missing(self.now());
    const Revision revision = answer->current->revision;
    if (answer->swapped) return self.replica_->on_swapped(revision, self.now());
    const auto record = replication::decode_partition_record(answer->current->value);
    if (!record) {
      self.ports_.report(self.options_.record_key + " cannot be read: " + record.error().context);
      return self.replica_->on_swap_unknown(self.now());
    }
    self.replica_->on_not_swapped(*record, revision, self.now());
  });
}

void PartitionReplica::read_record(std::uint64_t number) {
  ports_.coordinator.get(
      options_.record_key,
      [weak = weak_from_this(), number](Result<std::optional<replication::Record>> answer) {
        const auto self = weak.lock();
        if (!self || !answer) return;
        if (!*answer) {
          return self->run([number](PartitionReplica& on) { on.on_record_gone(number); });
        }
        auto record = replication::decode_partition_record((*answer)->value);
        if (!record) return;
        self->run([number, record = *std::move(record),
                   revision = (*answer)->revision](PartitionReplica& on) {
          on.replica_->on_record_read(number, record, revision, on.now());
        });
      });
}

void PartitionReplica::on_record_gone(std::uint64_t number) {
  replica_->on_record_gone(number);
  if (!replica_->record_gone() || std::exchange(record_gone_told_, true)) return;
  ports_.report(
      "the coordinator has lost the record: nobody can be elected before it is there again, or "
      "made anew");
}

void PartitionReplica::append(replication::LogOperation operation, std::string batches) {
  if (held_) held_by_log_[operation] = held_;
  partition_->append_batches(operation, std::move(batches));
}

void PartitionReplica::cut(replication::LogOperation operation, BatchNo to) {
  partition_->cut(operation, to);
}

void PartitionReplica::take_removed(replication::LogOperation operation, log::RemovedPiece piece) {
  partition_->take_removed(operation, std::move(piece));
}

void PartitionReplica::begin_at(replication::LogOperation operation, std::string header) {
  if (!log_failure_) {
    ports_.report("the others have removed what would come next here: the log begins anew");
  }
  partition_->begin_at(operation, std::move(header));
}

void PartitionReplica::publish(BatchNo end) { partition_->publish(end); }

void PartitionReplica::start_epoch(Epoch epoch) { partition_->start_epoch(epoch); }

bool PartitionReplica::has_to_append() const { return partition_->has_to_append(); }

void PartitionReplica::serve(Epoch) { partition_->serve(); }

void PartitionReplica::pause_writing() { partition_->pause_writing(); }

void PartitionReplica::step_down() { partition_->step_down(); }

void PartitionReplica::read_ready(std::uint64_t id, BatchNo) {
  // What is committed here has been published before this.
  auto read = reads_.extract(id);
  if (read) read.mapped().done({});
}

void PartitionReplica::read_failed(std::uint64_t id) {
  auto read = reads_.extract(id);
  if (read) read.mapped().done(std::unexpected(refusal()));
}

void PartitionReplica::halt(Error reason) {
  ports_.report("the replica halts: " + reason.message());
  partition_->halt(reason);
  halted_ = std::move(reason);
}

void PartitionReplica::resume() {
  ports_.report(
      "the replica takes part again: the coordinator has its record, as it was or made anew");
  partition_->resume();
  halted_.reset();
}

// --- ReplicaLog ---

replication::LogEnd PartitionReplica::end() const {
  return {partition_->appended().last_epoch, partition_->appended().next_batch};
}

BatchNo PartitionReplica::committed() const { return partition_->log().published(); }

BatchNo PartitionReplica::start() const { return partition_->log().first_batch(); }

Result<replication::LogTail> PartitionReplica::tail(BatchNo from) const {
  return partition_->log().tail(from, partition_->appended().next_batch);
}

Result<replication::EncodedBatches> PartitionReplica::read(BatchNo from,
                                                           std::uint64_t bytes_max) const {
  return partition_->log().read_batches(from, partition_->appended().next_batch, bytes_max);
}

std::optional<replication::BatchRegion> PartitionReplica::region(BatchNo from) const {
  return partition_->log().region_of(from, partition_->appended().next_batch, kRegionBytesMax);
}

Result<log::Beginning> PartitionReplica::beginning(const log::InstallPlace& place) const {
  return partition_->log().beginning(place.segment, place.position, kRegionBytesMax);
}

log::InstallPlace PartitionReplica::install_place() const { return partition_->install_place(); }

// --- PartitionReplication ---

void PartitionReplica::on_appended(BatchNo end) {
  if (!replica_) return;
  replica_->on_appended(end, now());
  input_done();
}

void PartitionReplica::on_durable(BatchNo end) {
  if (!replica_) return;
  replica_->on_durable(end, now());
  input_done();
}

void PartitionReplica::on_not_written(const Error& error) {
  if (!replica_) return;
  on_write_failed(error);
  input_done();
}

void PartitionReplica::on_writer_stopped() {
  if (!replica_) return;
  replica_->on_writer_stopped(now());
  input_done();
}

void PartitionReplica::on_cut(const log::CutCopy& copy) {
  std::string what = "batches " + std::to_string(copy.first.value) + " to " +
                     std::to_string(copy.cut_end.value - 1) +
                     " are not in the leader's log and have been cut; kept in " + copy.file;
  if (copy.end < copy.cut_end) {
    what += " up to " + std::to_string(copy.end.value - 1) + ", the rest is too much";
  }
  ports_.report(what);
}

void PartitionReplica::on_log_done(std::uint64_t operation) {
  held_by_log_.erase(held_by_log_.begin(), held_by_log_.upper_bound(operation));
  if (!replica_) return;
  log_failure_.reset();
  replica_->on_log_done(operation, now());
  input_done();
}

void PartitionReplica::on_log_failed(std::uint64_t operation, const Error& error) {
  held_by_log_.clear();
  if (!replica_) return;
  if (!log_failure_ || log_failure_->code != error.code) {
    ports_.report("the leader's batches cannot be written here: " + error.message());
    log_failure_ = error;
  }
  on_write_failed(error);
  replica_->on_log_failed(operation, now());
  input_done();
}

void PartitionReplica::begin_read(Partition::Linearized done) {
  if (!replica_) return done(std::unexpected(refusal()));
  if (reads_.size() >= kReadsMax) {
    return done(fail(Errc::overloaded, "too many linearizable reads at a time"));
  }
  const std::uint64_t id = ++last_read_;
  reads_[id] = {std::move(done), now() + kReadTime};
  replica_->begin_read(id, now());
  input_done();
}

Error PartitionReplica::refusal() const {
  const ReplicaStatus known = status();
  if (known.leader && *known.leader != options_.self) {
    const auto address = ports_.address_of(*known.leader);
    if (address) return {Errc::not_leader, *address, {}};
  }
  return {Errc::not_enough_replicas,
          "partition " + std::to_string(partition_->id().value) +
              " has no leader at the moment; repeat later",
          {}};
}

}  // namespace keelson::cluster
