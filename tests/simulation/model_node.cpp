#include "tests/simulation/model_node.h"

#include <algorithm>
#include <utility>

#include "engine/replication/rules.h"

namespace keelson::simulation {

using namespace std::chrono_literals;

std::uint64_t ModelNode::RandomNumbers::next() { return cluster_.random(UINT64_MAX); }

ModelNode::ModelNode(ReplicaCluster& of, std::size_t its_number)
    : cluster(of), number(its_number), numbers_(of) {
  self.node = replication::NodeId(static_cast<std::uint32_t>(its_number));
  self.data.bytes[0] = std::byte(its_number);
}

void ModelNode::start(Moment now) {
  ++life;
  up = true;
  paused = slow = hangs = false;
  deferred.clear();
  held_by_disk_.clear();
  writing_ = serving_ = stopping_ = syncing_ = cutting_ = false;
  queue_.clear();
  waiting_.clear();
  reads_.clear();
  disk_free_ = now;
  // Rule 4: what is read back is durable before it counts. What readers saw is not remembered.
  if (replication::holds(replication::Rule::sync_found_tail)) log.durable = log.batches.size();
  log.published = log.removed;
  replication::ReplicaOptions options;
  options.append_bytes_max = 4 * sizeof(ModelBatch);
  options.window_bytes_max = 16 * sizeof(ModelBatch);
  options.times.abandon_change = 2s;
  replica =
      std::make_unique<replication::Replica>(self, options, *this, log, numbers_, promised, now);
  kept_ = last;
  if (last) replica->remember(last->record, last->revision);
}

void ModelNode::stop() {
  up = false;
  ++life;
  replica.reset();
  std::multimap<std::size_t, std::function<void(bool)>> waiting;
  waiting.swap(waiting_);
  for (auto& [batch, done] : waiting) done(false);
}

/// What was not synced is lost from some batch on, or was never cut.
void ModelNode::lose_power() {
  if (cutting_ && cluster.chance(0.5)) {
    log.batches = before_cut_;
  } else if (log.batches.size() > log.durable) {
    log.batches.resize(log.durable + cluster.random(log.batches.size() - log.durable + 1));
  }
  log.durable = log.batches.size();
  cutting_ = false;
}

void ModelNode::send(const Member& to, replication::Message message) {
  const std::size_t peer = to.node.value;
  if (cluster.nodes_[peer]->self == to) cluster.send(number, peer, std::move(message));
}

void ModelNode::on_disk(std::function<void()> done) {
  if (hangs) return held_by_disk_.push_back(std::move(done));
  const Moment takes = slow ? cluster.delay(20'000, 900'000) : cluster.delay(50, 2'000);
  disk_free_ = std::max(disk_free_, cluster.now_) + takes;
  cluster.after(disk_free_ - cluster.now_,
                [this, its_life = life, done = std::move(done)]() mutable {
                  cluster.on_node(number, its_life, std::move(done));
                });
}

void ModelNode::stop_hanging() {
  hangs = false;
  for (auto& done : std::exchange(held_by_disk_, {})) on_disk(std::move(done));
}

void ModelNode::store_promise(const replication::Promise& what) {
  keep_record();
  const Epoch epoch = what.epoch;
  storing_ = true;
  being_stored_ = epoch;
  being_promised_ = what;
  on_disk([this, epoch, what] {
    if (being_stored_ == epoch) storing_ = false;
    if (epoch >= promise) promised = what;
    promise = std::max(promise, epoch);
    replica->on_promise_stored(epoch, cluster.now_);
  });
}

void ModelNode::keep_record() {
  if (!replica || !replica->record()) return;
  const keelson::cluster::LastRecord now{*replica->record(), replica->revision()};
  if (kept_ == now) return;
  kept_ = now;
  on_disk([this, now] { last = now; });
}

void ModelNode::compare_and_set(const PartitionRecord& expected, Revision revision,
                                const PartitionRecord& record) {
  cluster.compare_and_set(number, expected, revision, record);
}

void ModelNode::read_record(std::uint64_t read) { cluster.read_record(number, read); }

/// Now and then: then all that is left in the log is durable.
bool ModelNode::log_fails(replication::LogOperation operation) {
  if (!cluster.faulty_ || !cluster.chance(cluster.faults_.log_failure)) return false;
  ++log_failures_;
  const std::size_t unsynced = log.batches.size() - log.durable;
  log.batches.resize(log.durable + cluster.random(unsynced + 1));
  log.durable = log.batches.size();
  cutting_ = false;
  replica->on_log_failed(operation, cluster.now_);
  return true;
}

void ModelNode::append(replication::LogOperation operation, std::string bytes) {
  on_disk([this, operation, bytes = std::move(bytes), failures = log_failures_] {
    if (failures != log_failures_) return;
    // It was in the page cache for some time, which a crash of the process leaves.
    for (const ModelBatch& batch : ModelLog::decode(bytes)) log.batches.push_back(batch);
    on_disk([this, operation, failures, end = log.batches.size()] {
      if (failures != log_failures_ || log_fails(operation)) return;
      log.durable = std::max(log.durable, std::min(end, log.batches.size()));
      replica->on_log_done(operation, cluster.now_);
    });
  });
}

void ModelNode::cut(replication::LogOperation operation, BatchNo to) {
  on_disk([this, operation, to, failures = log_failures_] {
    if (failures != log_failures_ || log_fails(operation)) return;
    if (to.value < log.published) return cluster.fail("a published batch is cut");
    for (std::size_t i = to.value; i < log.batches.size() && i < cluster.truth_.size(); ++i) {
      if (log.batches[i] == cluster.truth_[i]) return cluster.fail("a committed batch is cut");
    }
    cutting_ = true;
    before_cut_ = log.batches;
    log.batches.resize(std::min(log.batches.size(), static_cast<std::size_t>(to.value)));
    log.durable = std::min(log.durable, log.batches.size());
    on_disk([this, operation, failures] {
      if (failures != log_failures_) return;
      cutting_ = false;
      replica->on_log_done(operation, cluster.now_);
    });
  });
}

void ModelNode::take_removed(replication::LogOperation operation,
                             keelson::log::RemovedPiece piece) {
  on_disk([this, operation, piece = std::move(piece), failures = log_failures_] {
    if (failures != log_failures_ || log_fails(operation)) return;
    if (piece.segment == log.install_place().segment) {
      for (const ModelBatch& batch : ModelLog::decode(piece.bytes)) log.fetched.push_back(batch);
    }
    replica->on_log_done(operation, cluster.now_);
  });
}

void ModelNode::begin_at(replication::LogOperation operation, std::string header) {
  on_disk([this, operation, header = std::move(header), failures = log_failures_] {
    if (failures != log_failures_ || log_fails(operation)) return;
    const std::size_t start = log.install_place().segment.value;
    if (header != "begins at " + std::to_string(start)) {
      return replica->on_log_failed(operation, cluster.now_);
    }
    if (start < log.published) return cluster.fail("a log begins above what is published");
    for (std::size_t i = start; i < log.batches.size() && i < cluster.truth_.size(); ++i) {
      if (log.batches[i] == cluster.truth_[i]) {
        return cluster.fail("a committed batch goes with another beginning");
      }
    }
    log.batches.resize(log.removed);
    for (const ModelBatch& batch : std::exchange(log.fetched, {})) log.batches.push_back(batch);
    const std::size_t from = log.published;
    log.removed = log.durable = log.published = start;
    cluster.check_published(number, from, start);
    ++cluster.beginnings_;
    replica->on_log_done(operation, cluster.now_);
  });
}

void ModelNode::publish(BatchNo end) {
  if (end.value > log.durable) return cluster.fail("what is not durable here is published here");
  const std::size_t from = log.published;
  log.published = end.value;
  cluster.check_published(number, from, end.value);
  while (!waiting_.empty() && waiting_.begin()->first < end.value) {
    auto done = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    done(true);
  }
}

void ModelNode::start_epoch(Epoch epoch) {
  const auto [begun, first] = cluster.begun_.try_emplace(epoch, number, life);
  if (!first) cluster.fail("an epoch has begun twice");
  cluster.log("node " + std::to_string(number) + " starts epoch " + std::to_string(epoch.value) +
              " at " + std::to_string(log.batches.size()));
  writing_ = true;
  epoch_ = epoch;
  // What waited while the writer paused comes one batch later.
  decltype(waiting_) waiting;
  for (auto& [batch, done] : waiting_) {
    waiting.emplace(batch + (batch >= log.batches.size() ? 1 : 0), std::move(done));
  }
  waiting_.swap(waiting);
  queue_.push_front(0);
  write();
}

void ModelNode::serve(Epoch) { serving_ = true; }

void ModelNode::write() {
  if (!writing_ || stopping_ || syncing_ || queue_.empty()) return;
  // One batch a command; the first one is the start of the epoch.
  const std::size_t some = queue_.front() == 0 ? 1 : std::min<std::size_t>(queue_.size(), 3);
  for (std::size_t i = 0; i < some; ++i) {
    const auto [was, first] =
        cluster.written_.try_emplace({epoch_, log.batches.size()}, queue_.front());
    if (!first && was->second != queue_.front()) {
      cluster.fail("an epoch has written the same batch twice, differently");
    }
    log.batches.push_back({epoch_, queue_.front()});
    queue_.pop_front();
  }
  syncing_ = true;
  on_disk([this, end = log.batches.size()] {
    syncing_ = false;
    log.durable = std::max(log.durable, end);
    if (writing_) replica->on_durable(BatchNo(end), cluster.now_);
    if (stopping_) return stopped();
    write();
  });
  replica->on_appended(BatchNo(log.batches.size()), cluster.now_);
}

void ModelNode::pause_writing() {
  stopping_ = true;
  serving_ = false;
  if (!syncing_) {
    cluster.after(
        {}, [this, its_life = life] { cluster.on_node(number, its_life, [this] { stopped(); }); });
  }
}

void ModelNode::step_down() {
  queue_.clear();
  // Unknown to those who wait: not before the call is over.
  cluster.after({}, [waiting = std::move(waiting_)]() {
    for (const auto& [batch, done] : waiting) done(false);
  });
  waiting_.clear();
  pause_writing();
}

void ModelNode::stopped() {
  if (!stopping_) return;
  stopping_ = writing_ = false;
  replica->on_writer_stopped(cluster.now_);
}

void ModelNode::execute(std::uint64_t command, std::function<void(bool)> done) {
  if (!serving_) return done(false);
  const auto known = std::ranges::find(log.batches, command, &ModelBatch::command);
  if (known != log.batches.end()) {
    const auto at = static_cast<std::size_t>(known - log.batches.begin());
    if (at < log.published) return done(true);
    waiting_.emplace(at, std::move(done));
    return;
  }
  if (std::ranges::find(queue_, command) != queue_.end()) return done(false);
  waiting_.emplace(log.batches.size() + queue_.size(), std::move(done));
  queue_.push_back(command);
  write();
}

void ModelNode::read(std::function<void(std::optional<std::size_t>)> done) {
  reads_[++last_read_] = std::move(done);
  replica->begin_read(last_read_, cluster.now_);
}

void ModelNode::read_ready(std::uint64_t id, BatchNo end) {
  const auto read = reads_.extract(id);
  if (read) read.mapped()(end.value);
}

void ModelNode::read_failed(std::uint64_t id) {
  const auto read = reads_.extract(id);
  if (read) read.mapped()(std::nullopt);
}

void ModelNode::halt(Error reason) { cluster.fail("a replica halts: " + reason.message()); }

}  // namespace keelson::simulation
