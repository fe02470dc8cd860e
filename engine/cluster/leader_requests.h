// Questions to whichever node leads a partition.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "engine/base/environment.h"
#include "engine/base/result.h"
#include "engine/base/scheduler.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/replication/member.h"

namespace keelson::cluster {

/// Asks the node that leads a partition, and answers what other nodes ask of this one. What is
/// asked is opaque here. It goes over the cluster's transport, so that nobody but its nodes can
/// ask.
///
/// A question is sent once, to the leader that is known here, and is lost with its connection; who
/// has asked asks again. The number of a question, which the answer repeats, begins at random: an
/// answer that was meant for an earlier life of this node finds nobody.
///
/// Thread-safe; answers are given on any thread, questions on the transport's.
class LeaderRequests : public std::enable_shared_from_this<LeaderRequests> {
 public:
  struct Ports {
    /// As far as is known; nothing where this node is it.
    std::function<std::optional<replication::Member>(const PartitionKey&)> leader_of;
    /// @error closed, overloaded, too_large  nothing was sent.
    std::function<Result<void>(const PartitionKey&, const replication::Member&,
                               const std::string& message)>
        send;
  };
  static constexpr std::size_t kAskedMax = 8192;  ///< that wait for an answer
  static constexpr std::chrono::seconds kAnswerTime{5};

  LeaderRequests(Environment environment, Ports ports);

  using Answer = std::move_only_function<void(Result<std::string>)>;
  /// Calls `answer` once, within `kAnswerTime` or a little more, perhaps at once.
  /// @error not_enough_replicas  no other node is known to lead it, or it is not connected, or it
  ///                             answers no questions.
  /// @error overloaded           too many wait, here or at the connection. @error too_large
  /// @error timeout, outcome_unknown  what became of it is not known. @error closed
  void ask(const PartitionKey& partition, const std::string& question, Answer answer);

  using Answering =
      std::function<void(const PartitionKey& partition, std::string question, Answer answer)>;
  /// How this node answers; nullptr: not at all. It must not block. On return no call of an earlier
  /// one is under way.
  void set_answering(Answering answering);

  /// Answers all who wait with `closed`.
  void give_up();
  /// The same, and nothing is sent from here on, nor being sent on return.
  void close();

  /// Whether a message between nodes belongs here.
  [[nodiscard]] static bool is_one(std::string_view message);
  void on_message(const replication::Member& from, const PartitionKey& partition,
                  std::string_view message);
  void on_disconnected(const replication::Member& peer);

 private:
  struct Asked {
    replication::Member whom;
    std::chrono::nanoseconds until;
    Answer answer;
  };

  void on_question(const replication::Member& from, const PartitionKey& partition,
                   std::uint64_t number, std::string_view question);
  [[nodiscard]] Result<void> send(const PartitionKey& partition, const replication::Member& to,
                                  const std::string& message);
  void end(const std::function<bool(const Asked&)>& which, const Error& error);
  void tick_later();

  Environment environment_;
  const Ports ports_;
  const std::shared_ptr<Strand> strand_;  ///< of the clock

  std::mutex answering_mutex_;  ///< held while it is called
  Answering answering_;

  std::mutex mutex_;  ///< of what follows
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t last_number_;
  bool ticking_ = false;

  std::shared_mutex sending_mutex_;  ///< shared by those who send
  bool closed_ = false;
};

}  // namespace keelson::cluster
