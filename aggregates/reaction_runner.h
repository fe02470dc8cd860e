// Runs reactions: reads a partition in order, takes the steps, remembers how far it has come.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/reaction.h"
#include "aggregates/step_taker.h"
#include "engine/base/environment.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

/// One reaction on one partition: the events of that partition are its causes, its steps go to
/// aggregates of any partition.
///
/// Every step is a command with the id `<reaction>:<partition>:<offset>:<place>` of the principal
/// `$reaction/<reaction>`, where the place is `0`, `1`, … among the steps of the event and `0.0`, …
/// among those that follow step 0. The partition of the target remembers its outcome. What this
/// object remembers, in the consumer group `$reaction/<reaction>` of the partition it reads, is
/// only from where to begin: all causes below are done with all their steps. It is written every
/// kCommitEvery events, when there is nothing to do, and on stopping.
///
/// Crash: the causes from there on are taken up again. Their steps come out the same, have the same
/// ids and get their first outcomes again, so what was done is not done twice, and what was not is.
///
/// In a cluster the reaction runs at the node that leads the partition of the causes; at the others
/// it stands by, and looks now and then whether this node leads by now. A leader that follows
/// another begins where the log says that the one before had come; what both of them take is taken
/// once. A step goes to whichever node leads the target's partition: see `StepTaker`.
///
/// Order: the first steps of causes go to one aggregate in the order of the causes; a step to an
/// aggregate waits for the outcome of the step before it to the same one. Different aggregates do
/// not wait for each other: up to kStepsActiveMax steps are in flight or wait for one that is.
///
/// Trouble: what can pass (overload, a full disk, a change of leader, no descriptors left) is tried
/// again, a command with the same id, for as long as it takes, and shown meanwhile. It is taken for
/// trouble of the target's partition: one step tries for all that address it, and those to other
/// partitions go on, until kCausesMax causes are open. Of steps to that partition that are met
/// meanwhile only the place is kept; they are made again, from their events, when their time comes.
/// What cannot pass (an event that cannot be read, a step to no aggregate, an exception) halts the
/// reaction at that cause, visibly; nothing is passed over.
///
/// Confined to its strand, but for `status`, `start` and `stop`.
class ReactionRunner : public std::enable_shared_from_this<ReactionRunner> {
 public:
  static constexpr std::size_t kStepsActiveMax = 256;  ///< to partitions that take them
  static constexpr std::size_t kUnparkedMax = 64;      ///< to one of them, while others wait
  static constexpr std::size_t kStepsHeldMax = 4096;   ///< to others, which are in memory
  static constexpr std::size_t kCausesMax = 100'000;   ///< that are not done with
  static constexpr std::size_t kStepsMax = 1024;       ///< of one cause, with all that follows them
  static constexpr std::size_t kDepthMax = 32;         ///< of steps that follow one another
  static constexpr std::uint64_t kCommitEvery = 1000;
  static constexpr int kEventsPerTurn = 256;  ///< then others on the strand have theirs
  static constexpr std::chrono::milliseconds kIdle{200};
  static constexpr std::chrono::milliseconds kRetryMin{10};
  static constexpr std::chrono::milliseconds kRetryMax{1000};
  static constexpr std::chrono::milliseconds kLogged{1000};  ///< waits from here on
  static constexpr std::chrono::milliseconds kLook{100};     ///< at whether this node leads by now
  static constexpr int kLooksBetweenPlaces = 10;  ///< at where the node that leads has come

  ReactionRunner(std::shared_ptr<const ReactionType> reaction,
                 std::shared_ptr<const AggregateType> source, Partition& partition,
                 std::shared_ptr<StepTaker> taker);

  void start(std::shared_ptr<Strand> strand);
  /// Lets what is in flight finish, remembers the place and calls `stopped`.
  void stop(Task stopped);

  [[nodiscard]] ReactionStatus status() const;

 private:
  static constexpr const char* kReading = "";  ///< no partition's number

  /// A step with its place among those of its cause.
  struct PlacedStep {
    Offset cause;
    std::string place;
    Step step;
  };
  /// Steps to one aggregate, in order; there is at least one.
  struct Target {
    PartitionId home;
    bool sent = false;  ///< the first of them, and not answered yet
    std::deque<PlacedStep> steps;
  };
  /// A first step that has not been made yet.
  struct Parked {
    Offset cause;
    std::size_t number;  ///< among the steps of the cause
  };
  /// A partition that takes no steps now (who leads it is not known or not reached, say), or that
  /// some are still parked for since it did not.
  struct Away {
    std::string probe;  ///< the target whose step is tried again, for all; empty: it takes steps
    std::chrono::milliseconds backoff{kRetryMin};
    std::deque<Parked> parked;       ///< in the order of their causes
    std::unique_ptr<Cursor> cursor;  ///< which reads those again
  };
  /// An event whose steps are not all done.
  struct OpenCause {
    std::size_t open = 0;   ///< steps waiting or in flight
    std::size_t taken = 0;  ///< steps so far
  };

  /// Where to begin; once, each time that this node comes to lead.
  [[nodiscard]] Result<void> find_place();
  void open();
  /// This node does not lead, or no more: forgets all that is open, which is taken up where it
  /// leads.
  void stand_by();
  void look();
  void look_later();
  /// A halted one stands by when this node ceases to lead, and tries again when it leads again.
  void look_when_halted();
  void on_read_error(const Error& error);
  void turn();
  void take_turn_later();
  void wait_for_events();
  [[nodiscard]] Result<void> react_to(const EventView& event);
  [[nodiscard]] Result<void> add_steps(Offset cause, const std::string& place, const Steps& steps);
  void add_step(PlacedStep placed);
  void send(const std::string& name);
  void on_reply(const std::string& name, Result<StepOutcome> reply);
  void on_outcome(const std::string& name, const StepOutcome& outcome);
  void on_error(const std::string& name, const Error& error);
  void try_again(PartitionId home);
  /// What is ready for `home` can go there again.
  void send_ready(PartitionId home);
  /// Makes the steps that are parked for `home`, as many as there is room for.
  void unpark(PartitionId home);
  [[nodiscard]] Result<void> unpark_first(Away& away);
  /// Whether the next event may be looked at.
  [[nodiscard]] bool has_room() const;
  /// Shows what holds up `where` and says how long to wait before the next attempt.
  std::chrono::milliseconds wait_out(std::chrono::milliseconds& backoff, const std::string& where,
                                     const std::string& what, const Error& error);
  void passed(const std::string& where);
  void remember();
  void on_remembered(Offset done, bool good);
  void remembered_at(Offset done);
  void see_what_leader_remembers();
  void remember_when_idle();
  void halt(Offset at, const std::string& why);
  void maybe_stopped();
  void publish();

  [[nodiscard]] bool running() const { return error_.empty() && !stopping_; }
  /// All causes below are done.
  [[nodiscard]] Offset done() const { return causes_.empty() ? next_ : causes_.begin()->first; }
  [[nodiscard]] StepCommand command_of(const PlacedStep& step) const;

  std::shared_ptr<const ReactionType> reaction_;
  std::shared_ptr<const AggregateType> source_;
  Partition& partition_;
  std::shared_ptr<StepTaker> taker_;
  std::string principal_;  ///< and name of the consumer group
  std::shared_ptr<Strand> strand_;

  std::unique_ptr<Cursor> cursor_;
  std::unique_ptr<Registration> waiting_;
  Offset next_;        ///< the next event to look at
  Offset remembered_;  ///< durably
  std::map<Offset, OpenCause> causes_;
  std::unordered_map<std::string, Target> targets_;  ///< by name
  std::size_t steps_ = 0;                            ///< all of them
  std::map<PartitionId, std::size_t> steps_to_;
  std::map<PartitionId, Away> away_;
  /// What may pass and has not, by partition; kReading: by the log.
  std::map<std::string, std::string> delayed_;
  std::chrono::milliseconds read_backoff_{kRetryMin};
  std::size_t sent_ = 0;
  std::uint64_t lead_ = 0;  ///< counts the times that this node has ceased to lead
  bool standing_by_ = false;
  int looks_ = 0;
  bool place_found_ = false;
  bool turn_posted_ = false;
  bool remembering_ = false;
  bool idle_timer_set_ = false;
  bool stopping_ = false;
  bool remembered_at_last_ = false;
  std::string error_;
  Task stopped_;

  mutable std::mutex status_mutex_;
  ReactionStatus status_;
};

}  // namespace keelson::aggregates
