// Making a topic of a cluster: its record, then those of its partitions.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/scheduler.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/cluster_records.h"
#include "engine/cluster/cluster_view.h"
#include "engine/replication/coordinator.h"

namespace keelson::cluster {

struct TopicRequest {
  std::string name;
  TopicOptions options;
  std::size_t replication_factor = 1;
  /// How long to wait for as many nodes as that: when a cluster starts they appear one by one.
  std::chrono::nanoseconds nodes_wait{0};
};

class TopicCreation;

/// What the steps of making a topic ask of the directory. What is given runs later, on its strand,
/// and not any more when the directory is gone.
class CreationPorts {
 public:
  virtual ~CreationPorts() = default;

  using Read = std::move_only_function<void(Result<std::optional<replication::Record>>)>;
  using Swap = std::move_only_function<void(Result<replication::Coordinator::Swapped>)>;
  virtual void get(const std::string& key, Read done) = 0;
  virtual void swap(const std::string& key, std::optional<replication::Record> expected,
                    std::string value, Swap done) = 0;
  virtual void after(std::chrono::nanoseconds delay, Task task) = 0;
  /// A record that was read or written.
  virtual void adopt(const std::string& key, const replication::Record& record) = 0;
  /// Before it is answered.
  virtual void on_over(const TopicCreation& creation) = 0;
  [[nodiscard]] virtual const ClusterView& view() const = 0;
  [[nodiscard]] virtual Uuid make_uuid() = 0;
};

/// Writes those records of a topic's partitions that are not there, as the topic's record says they
/// begin. Whoever sees a topic may do so, any number at a time: each is written from nothing or not
/// at all. Tries again what has an unknown outcome, until it is dropped.
class PartitionsCompletion : public std::enable_shared_from_this<PartitionsCompletion> {
 public:
  /// @param done  all records are there; or an error that will not pass.
  PartitionsCompletion(CreationPorts& ports, TopicPlacement placement,
                       std::chrono::nanoseconds retry,
                       std::move_only_function<void(Result<void>)> done);
  void start() { go_on(); }

 private:
  void go_on();
  void write(PartitionId partition);
  void end(Result<void> result);

  CreationPorts& ports_;
  const TopicPlacement placement_;
  const std::chrono::nanoseconds retry_;
  std::move_only_function<void(Result<void>)> done_;  ///< empty once it was called
  std::uint32_t next_ = 0;
  std::uint32_t in_flight_ = 0;
};

/// Makes one topic, or finds that it is there. Its record is written first, from nothing; so of two
/// that make one name at a time one wins, and both complete what the winner has written. A crash
/// leaves nothing, or a topic that others complete.
class TopicCreation : public std::enable_shared_from_this<TopicCreation> {
 public:
  struct Times {
    std::chrono::nanoseconds patience;
    std::chrono::nanoseconds retry;
  };
  using Done = std::move_only_function<void(Result<KnownTopic>)>;
  TopicCreation(CreationPorts& ports, TopicRequest request, Times times, Done done)
      : ports_(ports), request_(std::move(request)), times_(times), done_(std::move(done)) {}

  void start();
  /// @error closed
  void abandon();

 private:
  [[nodiscard]] bool over() const { return !done_; }
  void look();
  void look_later();
  void on_record(const replication::Record& record);
  void on_record_gone();
  void make();
  void on_exists(TopicPlacement placement, const replication::Record& record);
  void write(std::optional<replication::Record> expected, TopicPlacement placement);
  void complete(TopicPlacement placement);
  void on_deadline();
  void end_in_doubt();
  void end(Result<KnownTopic> result);
  [[nodiscard]] std::string key() const { return ports_.view().keys().of(TopicKey{request_.name}); }

  CreationPorts& ports_;
  const TopicRequest request_;
  const Times times_;
  Done done_;  ///< empty once it was called
  /// What is asked to be written from nothing, again and again until the outcome is known.
  std::optional<TopicPlacement> made_;
  std::chrono::nanoseconds waited_{0};  ///< for nodes
  bool in_doubt_ = false;               ///< a change of the topic's record has an unknown outcome
  std::shared_ptr<PartitionsCompletion> completion_;
};

}  // namespace keelson::cluster
