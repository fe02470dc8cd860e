// One replica that is told what the others say, written out, on a node that does what it is told.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/replication/replica.h"
#include "tests/simulation/model_log.h"

namespace keelson::simulation {

using namespace keelson::replication;
using namespace std::chrono_literals;

inline const Member kSelf{NodeId(1), {}};
inline const Member kSecond{NodeId(2), {}};
inline const Member kThird{NodeId(3), {}};
inline const Member kFourth{NodeId(4), {}};
inline const Member kFifth{NodeId(5), {}};

class SameNumbers final : public Random {
 public:
  std::uint64_t next() override { return 0; }
};

/// A replica whose node does what it is told, and remembers what was sent.
class Scripted final : public ReplicaPorts {
 public:
  explicit Scripted(std::vector<ModelBatch> batches, const Promise& promise) {
    log.batches = std::move(batches);
    log.durable = log.batches.size();
    replica.emplace(kSelf, ReplicaOptions{}, *this, log, numbers_, promise, now);
    for (const Member& peer : {kSecond, kThird, kFourth, kFifth}) replica->on_connected(peer, now);
  }

  void receive(const Member& from, Message message) { replica->on_message(from, message, now); }
  void see(Epoch epoch, const Member& leader, std::uint64_t revision) {
    replica->on_record({epoch, leader, {kSelf, kSecond, kThird}, {}}, Revision(revision), now);
  }
  /// Does what was asked of the disk.
  void run_disk() {
    while (!disk_.empty()) {
      auto task = std::move(disk_.front());
      disk_.erase(disk_.begin());
      task();
    }
  }
  /// Hears nobody for some time, and nobody else does.
  void stand() {
    now += 10s;
    replica->on_tick(now);
    for (const Member& peer : {kSecond, kThird}) {
      receive(peer, ProbeAnswer{last<Probe>(peer)->round, {}, false});
    }
    replica->on_tick(now);
  }
  /// Stands, and wins.
  void take_over(Epoch epoch) {
    see(epoch - 1, kThird, 1);
    stand();
    REQUIRE(swapped);
    replica->on_swapped(Revision(2), now);
    run_disk();
  }
  /// And begins its epoch with the promise of `kSecond`.
  void lead(Epoch epoch) {
    take_over(epoch);
    receive(kSecond, Promised{epoch, {}});
    run_disk();
  }
  /// Leads epoch 2, and has asked for two other members, one of whom has all of its log.
  void change_members() {
    lead(Epoch(2));
    receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
    replica->catch_up({kFourth, kFifth}, now);
    receive(kFourth, Ack{Epoch(2), 1, BatchNo(2)});
    REQUIRE(replica->change_members({kSelf, kFourth, kFifth}, now));
    replica->on_swapped(Revision(3), now);
  }
  /// Follows `kSecond`, whose log has all of this one.
  void follow(Epoch epoch) {
    receive(kSecond, Fence{epoch});
    run_disk();
    receive(kSecond, Append{epoch, 1, {}, true, {}, {}, {}});
    REQUIRE(last<Follow>(kSecond));
    const Follow asked = *last<Follow>(kSecond);
    receive(kSecond, Matched{epoch, asked.number, asked.tail.end});
  }
  /// What was asked of the disk fails.
  void lose_disk() { disk_.clear(); }
  /// The last message of that kind to `to`.
  template <class Content>
  std::optional<Content> last(const Member& to) const {
    for (auto i = sent.rbegin(); i != sent.rend(); ++i) {
      const auto* const content = std::get_if<Content>(&i->second);
      if (i->first == to && content != nullptr) return *content;
    }
    return std::nullopt;
  }

  void send(const Member& to, Message message) override { sent.emplace_back(to, message); }
  bool may_fill(const Member&) const override { return !congested; }
  void store_promise(const Promise& promise) override {
    stored = promise;
    disk_.push_back([this, epoch = promise.epoch] { replica->on_promise_stored(epoch, now); });
  }
  void compare_and_set(const PartitionRecord&, Revision, const PartitionRecord& record) override {
    swapped = record;
  }
  void read_record(std::uint64_t number) override {
    reading = number;
    ++readings;
  }
  void append(LogOperation operation, std::string bytes) override {
    disk_.push_back([this, operation, bytes = std::move(bytes)] {
      for (const ModelBatch& batch : ModelLog::decode(bytes)) log.batches.push_back(batch);
      replica->on_log_done(operation, now);
    });
  }
  void cut(LogOperation operation, BatchNo to) override {
    disk_.push_back([this, operation, to] {
      log.batches.resize(to.value);
      replica->on_log_done(operation, now);
    });
  }
  void take_removed(LogOperation operation, log::RemovedPiece piece) override {
    disk_.push_back([this, operation, piece = std::move(piece)] {
      for (const ModelBatch& batch : ModelLog::decode(piece.bytes)) log.fetched.push_back(batch);
      replica->on_log_done(operation, now);
    });
  }
  void begin_at(LogOperation operation, std::string) override {
    disk_.push_back([this, operation] {
      log.batches.resize(log.removed);
      for (const ModelBatch& batch : log.fetched) log.batches.push_back(batch);
      log.fetched.clear();
      log.removed = log.durable = log.published = log.batches.size();
      replica->on_log_done(operation, now);
    });
  }
  void publish(BatchNo end) override { log.published = end.value; }
  void start_epoch(Epoch epoch) override {
    disk_.push_back([this, epoch] {
      log.batches.push_back({epoch, 0});
      replica->on_appended(BatchNo(log.batches.size()), now);
      replica->on_durable(BatchNo(log.batches.size()), now);
    });
  }
  bool has_to_append() const override { return writing; }
  void serve(Epoch) override {}
  void pause_writing() override { replica_stops(); }
  void step_down() override { replica_stops(); }
  void read_ready(std::uint64_t id, BatchNo) override { answered = id; }
  void read_failed(std::uint64_t) override {}
  void halt(Error reason) override {
    if (!may_halt) FAIL(reason.message());
  }
  void resume() override { resumed = true; }

  Moment now = 100s;
  ModelLog log;
  std::optional<Replica> replica;
  std::vector<std::pair<Member, Message>> sent;
  std::optional<PartitionRecord> swapped;
  std::uint64_t reading = 0;
  std::uint64_t readings = 0;  ///< so many have been asked for
  std::uint64_t answered = 0;  ///< the last read
  bool may_halt = false;
  bool congested = false;
  bool writing = false;  ///< and the disk does not take it
  bool resumed = false;
  std::optional<Promise> stored;  ///< the last that was to be

 private:
  void replica_stops() {
    disk_.push_back([this] { replica->on_writer_stopped(now); });
  }

  SameNumbers numbers_;
  std::vector<std::function<void()>> disk_;
};

}  // namespace keelson::simulation
