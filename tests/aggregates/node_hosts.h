// Hosts of several nodes over one log: each partition is led by one of them, as the test says, and
// every node has all of it at once.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/step_carrier.h"
#include "tests/aggregates/reacting.h"
#include "tests/support/test_store.h"

namespace keelson::test {

/// Who leads which partition. Thread-safe.
class Leads {
 public:
  static constexpr int kNobody = -1;

  explicit Leads(std::vector<int> leaders) {
    for (const int leader : leaders) leaders_.push_back(std::make_unique<std::atomic<int>>(leader));
  }
  [[nodiscard]] int of(PartitionId partition) const { return leaders_.at(partition.value)->load(); }
  void give(PartitionId partition, int node) { leaders_.at(partition.value)->store(node); }

 private:
  std::vector<std::unique_ptr<std::atomic<int>>> leaders_;
};

/// A partition as a node sees it that leads it or does not.
class NodePartition final : public Partition {
 public:
  NodePartition(Partition& real, const Leads& leads, int node)
      : real_(real), leads_(leads), node_(node) {}

  [[nodiscard]] PartitionId id() const override { return real_.id(); }
  [[nodiscard]] bool may_lag() const override { return leads_.of(id()) != node_; }
  [[nodiscard]] Offset start() const override { return real_.start(); }
  [[nodiscard]] Offset end() const override { return real_.end(); }
  void execute(std::optional<CommandStamp> stamp, Decide decide, Completion completion) override {
    if (may_lag()) return completion(fail(Errc::not_leader, "another"));
    real_.execute(std::move(stamp), std::move(decide), std::move(completion));
  }
  [[nodiscard]] Result<std::optional<CommitOutcome>> find_outcome(
      const CommandStamp& stamp) const override {
    return real_.find_outcome(stamp);
  }
  void set_discard_listener(std::function<void()>) override {}
  [[nodiscard]] Result<std::unique_ptr<Cursor>> read(Offset from) const override {
    return real_.read(from);
  }
  [[nodiscard]] Result<void> read_stream(std::string_view stream, const StreamRange& range,
                                         const EventVisitor& visit) const override {
    return real_.read_stream(stream, range, visit);
  }
  [[nodiscard]] Result<Version> stream_version(std::string_view stream,
                                               Offset before) const override {
    return real_.stream_version(stream, before);
  }
  [[nodiscard]] Result<Offset> end_at(TimeUs time) const override { return real_.end_at(time); }
  [[nodiscard]] std::unique_ptr<Registration> when_past(Offset offset, Task task) const override {
    return real_.when_past(offset, std::move(task));
  }
  void commit_group_offset(std::string group, Offset next, Completion completion) override {
    if (may_lag()) return completion(fail(Errc::not_leader, "another"));
    real_.commit_group_offset(std::move(group), next, std::move(completion));
  }
  [[nodiscard]] Result<std::optional<Offset>> group_offset(std::string_view group) const override {
    return real_.group_offset(group);
  }
  void keep_for(const std::string&, Offset) override {}

 private:
  Partition& real_;
  const Leads& leads_;
  const int node_;
};

class NodeTopic final : public Topic {
 public:
  NodeTopic(Topic& real, const Leads& leads, int node) : real_(real) {
    for (std::uint32_t p = 0; p < real.partition_count(); ++p) {
      partitions_.push_back(
          std::make_unique<NodePartition>(real.partition(PartitionId(p)), leads, node));
    }
  }
  [[nodiscard]] const std::string& name() const override { return real_.name(); }
  [[nodiscard]] TopicOptions options() const override { return real_.options(); }
  [[nodiscard]] const Uuid& id() const override { return real_.id(); }
  [[nodiscard]] std::size_t partition_count() const override { return partitions_.size(); }
  [[nodiscard]] Partition& partition(PartitionId id) override { return *partitions_.at(id.value); }

 private:
  Topic& real_;
  std::vector<std::unique_ptr<NodePartition>> partitions_;
};

/// What lies between the nodes: it may lose questions and answers, and repeat questions.
class Wire {
 public:
  explicit Wire(const Leads& leads) : leads_(leads) {}

  /// Of a hundred, how many of each.
  void misbehave(unsigned lost, unsigned repeated) {
    const std::lock_guard lock(mutex_);
    lost_ = lost;
    repeated_ = repeated;
  }

  void carry(PartitionId target, std::string step, aggregates::StepCarrier::Answer answer) {
    const std::lock_guard lock(mutex_);
    ++carried;
    const auto there = takes_.find(leads_.of(target));
    if (there == takes_.end()) {
      return answer(fail(Errc::not_enough_replicas, "nobody leads it"));
    }
    if (random_() % 100 < lost_) return answer(fail(Errc::timeout, "the question is lost"));
    if (random_() % 100 < repeated_) there->second(step, [](const Result<std::string>&) {});
    if (random_() % 100 < lost_) {
      there->second(step, [](const Result<std::string>&) {});
      return answer(fail(Errc::outcome_unknown, "the answer is lost"));
    }
    there->second(std::move(step), std::move(answer));
  }

  void serve(int node, aggregates::StepCarrier::Take take) {
    const std::lock_guard lock(mutex_);
    if (take) {
      takes_[node] = std::move(take);
    } else {
      takes_.erase(node);
    }
  }

  std::atomic<int> carried = 0;

 private:
  const Leads& leads_;
  std::mutex mutex_;  ///< of what follows; held while a step is handed over
  std::map<int, aggregates::StepCarrier::Take> takes_;
  unsigned lost_ = 0;
  unsigned repeated_ = 0;
  std::mt19937 random_{1};
};

/// One node's end of it.
class WireEnd final : public aggregates::StepCarrier {
 public:
  WireEnd(Wire& wire, int node) : wire_(wire), node_(node) {}
  void carry(PartitionId target, std::string step, Answer answer) override {
    wire_.carry(target, std::move(step), std::move(answer));
  }
  void serve(Take take) override { wire_.serve(node_, std::move(take)); }
  void give_up() override {}

 private:
  Wire& wire_;
  const int node_;
};

/// The nodes' hosts.
class NodeHosts {
 public:
  using Registry = std::shared_ptr<const AggregateRegistry>;
  using Reactions = std::shared_ptr<const ReactionRegistry>;

  /// @param leaders  of each partition.
  NodeHosts(const std::vector<Registry>& registries, const Reactions& reactions,
            const std::vector<int>& leaders)
      : leads(leaders),
        wire(leads),
        topic_(store_.topic("test", static_cast<std::uint32_t>(leaders.size()))) {
    for (int node = 0; node < static_cast<int>(registries.size()); ++node) {
      topics_.push_back(std::make_unique<NodeTopic>(topic_, leads, node));
      HostOptions options;
      options.steps = std::make_shared<WireEnd>(wire, node);
      auto opened =
          AggregateHost::open(store_.environment(), *topics_.back(),
                              registries.at(static_cast<std::size_t>(node)), reactions, options);
      if (!opened) FAIL(opened.error().message());
      hosts_.push_back(*std::move(opened));
    }
  }

  [[nodiscard]] AggregateHost& operator[](int node) {
    return *hosts_.at(static_cast<std::size_t>(node));
  }
  [[nodiscard]] int count() const { return static_cast<int>(hosts_.size()); }
  [[nodiscard]] Topic& topic() { return topic_; }
  void start_reactions() {
    for (const auto& host : hosts_) host->start_reactions();
  }

  [[nodiscard]] PartitionId home_of(const CommandCall& call) const {
    return topic_.partition_of(call.type + "-" + call.id);
  }

  /// At the node that leads.
  [[nodiscard]] Result<CommandReply> execute(CommandCall call) {
    std::promise<Result<CommandReply>> promise;
    (*this)[leads.of(home_of(call))].execute(
        std::move(call),
        [&promise](Result<CommandReply> reply) { promise.set_value(std::move(reply)); });
    return promise.get_future().get();
  }

  [[nodiscard]] nlohmann::json state(std::string_view type, std::string_view id) {
    const auto loaded = hosts_.front()->load(type, id, {});
    if (!loaded) FAIL(loaded.error().message());
    return nlohmann::json::parse(loaded->state);
  }

  /// Nothing left to do in the partitions that are led.
  [[nodiscard]] bool settled() {
    const Position before = topic_.end();
    return caught_up() && topic_.end() == before && caught_up();
  }

  Leads leads;
  Wire wire;

 private:
  [[nodiscard]] bool caught_up() {
    for (int node = 0; node < count(); ++node) {
      for (const ReactionStatus& status : (*this)[node].reactions()) {
        if (status.halted) FAIL(status.error);
        if (leads.of(status.partition) != node) continue;
        if (status.standing_by || status.lag != 0) return false;
      }
    }
    return true;
  }

  TestStore store_;
  Topic& topic_;
  std::vector<std::unique_ptr<NodeTopic>> topics_;
  std::vector<std::unique_ptr<AggregateHost>> hosts_;
};

}  // namespace keelson::test
