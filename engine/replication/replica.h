// One replica of a partition: the protocol that makes many logs one.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/member.h"
#include "engine/replication/message.h"
#include "engine/replication/partition_record.h"
#include "engine/replication/promise.h"
#include "engine/replication/replica_log.h"
#include "engine/replication/replica_state.h"

namespace keelson::replication {

/// How patient a replica is. None of these can harm a log: they trade quick failover for calm.
struct ReplicaTimes {
  Moment heartbeat = std::chrono::milliseconds(100);
  /// Without a word from the leader it is suspected; with jitter up to a half more.
  Moment suspicion = std::chrono::seconds(1);
  /// How long answers to a probe are waited for.
  Moment probe = std::chrono::milliseconds(150);
  /// A leader that has not reached a majority, or not synced a batch, for this long steps aside.
  Moment majority_lost = std::chrono::seconds(1);
  /// A new leader that has not begun its epoch after this long lets others try.
  Moment take_over = std::chrono::seconds(5);
  /// How long the old members wait for new ones that do not answer, before they take back the
  /// change.
  Moment abandon_change = std::chrono::seconds(10);
  /// Between two tries of the same compare-and-set whose answer was lost.
  Moment swap_retry = std::chrono::milliseconds(200);
  /// Between two looks whether the record that was gone, or had gone back, is there again.
  Moment look_again = std::chrono::seconds(1);
};

struct ReplicaOptions {
  ReplicaTimes times;
  std::uint64_t append_bytes_max = 1u << 20;   ///< of batches in one message
  std::uint64_t window_bytes_max = 16u << 20;  ///< sent to a follower and not known to be durable
};

/// What a replica asks of the node it runs on. None of these calls the replica back before it
/// returns.
class ReplicaPorts {
 public:
  virtual ~ReplicaPorts() = default;

  /// May be lost.
  virtual void send(const Member& to, Message message) = 0;
  /// Whether more of the log may be sent there than one message at a time: not while much waits to
  /// go, of other partitions too.
  [[nodiscard]] virtual bool may_fill(const Member&) const { return true; }
  /// To be made durable; then `on_promise_stored`.
  virtual void store_promise(const Promise& promise) = 0;
  /// Then `on_swapped`, `on_not_swapped` or `on_swap_unknown`.
  /// @param expected  the record, and its revision, that `record` is to replace.
  virtual void compare_and_set(const PartitionRecord& expected, Revision revision,
                               const PartitionRecord& record) = 0;
  /// A linearizable read, begun after this call; then `on_record_read` with its number, if it
  /// succeeds.
  virtual void read_record(std::uint64_t number) = 0;

  /// Appends batches of the leader and makes them durable; then `on_log_done`, or `on_log_failed`.
  virtual void append(LogOperation operation, std::string batches) = 0;
  /// Removes all batches from `to` on, durably; then the same.
  virtual void cut(LogOperation operation, BatchNo to) = 0;
  /// Takes a piece of another beginning; then the same. The log stays what it is.
  virtual void take_removed(LogOperation operation, log::RemovedPiece piece) = 0;
  /// Gives the log that beginning, durably; then the same. Readers see nothing before the replica
  /// is `readable` again.
  virtual void begin_at(LogOperation operation, std::string header) = 0;
  /// All before `end` is committed: readers may see it, and who waits for it is answered.
  virtual void publish(BatchNo end) = 0;

  /// Appends the control batch that starts `epoch`; from here on this node writes the log itself,
  /// and says so with `on_appended` and `on_durable`. What was appended may be at the followers
  /// before it is durable here: if it cannot be kept, nothing takes its place in this epoch.
  virtual void start_epoch(Epoch epoch) = 0;
  /// Whether this node, leading, has something to append that is not appended yet.
  [[nodiscard]] virtual bool has_to_append() const = 0;
  /// The epoch has begun: commands may be decided and answered.
  virtual void serve(Epoch epoch) = 0;
  /// Nothing more is appended until the next `start_epoch`, and what waits to be committed goes on
  /// waiting. Then `on_writer_stopped`, when the log is at rest and durable.
  virtual void pause_writing() = 0;
  /// The same, for good: this node leads no more, and the outcome of what waits is unknown to it.
  virtual void step_down() = 0;

  /// The read `id` may be answered from what is before `end`.
  virtual void read_ready(std::uint64_t id, BatchNo end) = 0;
  /// It may not: this replica leads no more.
  virtual void read_failed(std::uint64_t id) = 0;

  /// This replica's log contradicts the cluster's, or the coordinator has forgotten: it takes part
  /// no more until an operator has looked.
  virtual void halt(Error reason) = 0;
  /// It does again: the coordinator's records have been made anew, or are as they were.
  virtual void resume() = 0;
};

/// Runs the rules of docs/replication.md for one partition on one node; numbers of rules in the
/// code are of that page.
///
/// A pure step machine: each call is an input at the time `now`, and what it leads to is asked of
/// `ReplicaPorts`. It knows no threads, sockets, disks or clocks. Belongs to the partition's
/// strand.
///
/// Invariants: the promise is durable before anything is done in its epoch (rule 2); the log is
/// never cut below what is committed (7); a batch is committed only when a majority of every list
/// holds it durably, and a batch of the leader's own epoch is among those (8).
///
/// Crash: the promise and the log are all that it has; everything else is learnt again.
class Replica {
 public:
  enum class Role {
    following,    ///< or looking for a leader
    taking_over,  ///< leads by the record; collects promises and perhaps copies a greater log
    starting,     ///< has written the start of its epoch, which is not committed yet
    leading,
  };

  /// @param log      all of it durable (rule 4).
  /// @param promise  as it was stored; of epoch 0: none.
  Replica(Member self, ReplicaOptions options, ReplicaPorts& ports, const ReplicaLog& log,
          Random& random, Promise promise, Moment now);

  /// The record as this replica saw it in an earlier life: nothing older is believed. Before any
  /// input.
  void remember(const PartitionRecord& record, Revision revision);

  // --- inputs ---
  /// To be called every few milliseconds.
  void on_tick(Moment now);
  void on_message(const Member& from, Message message, Moment now);
  /// Nothing sent on an older connection arrives any more.
  void on_connected(const Member& peer, Moment now);
  void on_disconnected(const Member& peer, Moment now);
  /// As watched: may be old, or seen before.
  void on_record(const PartitionRecord& record, Revision revision, Moment now);
  /// @param number  of `read_record`.
  void on_record_read(std::uint64_t number, const PartitionRecord& record, Revision revision,
                      Moment now);
  void on_swapped(Revision revision, Moment now);
  /// @param current  what stood in the way.
  void on_not_swapped(const PartitionRecord& current, Revision revision, Moment now);
  void on_swap_unknown(Moment now);
  /// The coordinator, asked to change the record, had none.
  void on_record_missing(Moment now);
  /// The read `number` found none.
  void on_record_gone(std::uint64_t number);
  void on_promise_stored(Epoch epoch, Moment now);
  void on_log_done(LogOperation operation, Moment now);
  /// Whatever was asked of the log after `operation`, until now, is not done either. All that the
  /// log holds is durable.
  void on_log_failed(LogOperation operation, Moment now);
  /// This node, leading, has appended batches up to `end`, or made them durable.
  void on_appended(BatchNo end, Moment now);
  void on_durable(BatchNo end, Moment now);
  void on_writer_stopped(Moment now);

  /// Begins a linearizable read (rule 13): `read_ready` or `read_failed` with `id` follows. Only
  /// at the leader.
  void begin_read(std::uint64_t id, Moment now);
  /// Changes the members of the partition (rule 9): add, remove or replace any number. New ones
  /// should be `catch_up`ped first.
  /// @error not_leader
  /// @error bad_request          `target` cannot be a list of members: see `check_members`.
  /// @error not_enough_replicas  no majority of `target` has the leader's log yet.
  /// @error overloaded           another change is under way.
  [[nodiscard]] Result<void> change_members(const MemberList& target, Moment now);
  /// Sends the log to members that do not count yet; replaces those of an earlier call.
  void catch_up(MemberList learners, Moment now);
  /// Asks `successor` to lead instead, if it has all of the log.
  /// @error not_leader, not_enough_replicas
  [[nodiscard]] Result<void> hand_over(const Member& successor, Moment now);
  /// Makes this replica the leader and the only one, of the log that it has (rule 16): an
  /// operator's act when a majority is gone for good. What was acknowledged and is not in this log
  /// is lost.
  /// @param confirmed  epoch of the record, as the operator saw it.
  /// @error already_exists  the record is of another epoch: context says which.
  /// @error bad_request     a majority is connected: nothing need be lost. Or it is no member.
  /// @error overloaded      it is not at rest; repeat.
  /// @error halted          its log contradicts the cluster's.
  [[nodiscard]] Result<void> force_lead(Epoch confirmed);
  /// Promises `epoch`, which nobody leads, so that no leader of an earlier one goes on with this
  /// replica: an operator makes the coordinator's records anew. Durable once `promise()` is as
  /// high. Also when it has halted.
  /// @error already_exists  it has promised as much: context says what.
  [[nodiscard]] Result<void> pledge(Epoch epoch, Moment now);

  // --- what it knows ---
  [[nodiscard]] Role role() const;
  /// The highest epoch it has promised to obey, durably.
  [[nodiscard]] Epoch promise() const { return promise_; }
  /// All of it, as it was last asked to be stored.
  [[nodiscard]] const Promise& promised() const { return promised_; }
  /// Of the epoch promised, once it was heard; it may be silent by now.
  [[nodiscard]] std::optional<Member> leader() const;
  /// Whether readers may be served from this replica: what they see never goes back.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] const std::optional<PartitionRecord>& record() const { return record_; }
  [[nodiscard]] Revision revision() const { return revision_; }
  /// How far `peer` is known to be durable in this epoch; at the leader only.
  [[nodiscard]] BatchNo durable_at(const Member& peer) const;
  /// When `peer`, which is fed, was last heard; not before this node began to lead. At the leader
  /// only.
  [[nodiscard]] std::optional<Moment> heard_at(const Member& peer) const;
  [[nodiscard]] bool halted() const { return halted_; }
  /// What it has pledged, when nothing of that is known to have come into the record yet.
  [[nodiscard]] std::optional<Epoch> pledged() const;
  /// Whether the coordinator has lost the record.
  [[nodiscard]] bool record_gone() const { return record_gone_; }
  /// Whether it has, or had gone back so that this replica has halted (rule 15).
  [[nodiscard]] bool without_record() const { return record_gone_ || gone_back_; }

 private:
  // replica.cpp: what all roles share.
  [[nodiscard]] bool admit(const Member& from, Epoch epoch, Moment now);
  void promise(Epoch epoch, const Member& claimant, Moment now);
  void store_promise(Epoch epoch, std::optional<Member> claimant);
  /// @param at_least  the epoch that it must have reached.
  void read_record(Epoch at_least);
  void read_record() { read_record(Epoch(0)); }
  void swap(PartitionRecord record);
  void retry_swap(Moment now);
  void won(const PartitionRecord& record, Moment now);
  /// @param patience  for how long not to stand.
  void step_down(Moment now, Moment patience);
  void halt(Errc code, std::string why);
  void on_unreadable(const Error& error, Moment now);
  void on_not_read(const Error& error);
  void halt_on(const PartitionRecord& record, Revision revision);
  void look_again(Moment now);
  [[nodiscard]] bool follows_from_known(const PartitionRecord& record, Revision revision) const;
  void take_part_again(Moment now);
  void ask_log_to_cut(BatchNo to);
  void ask_log_to_append(BatchNo end, std::string batches);
  void ask_log_to_take(log::RemovedPiece piece);
  void ask_log_to_begin(BatchNo start, std::string header);
  void on_log_at_rest(Moment now);
  void publish(BatchNo end);
  [[nodiscard]] std::optional<BatchNo> common_with(const Member& to, const LogTail& tail,
                                                   Epoch epoch, std::uint64_t number);
  [[nodiscard]] bool connected(const Member& peer) const { return connected_.contains(peer); }
  /// Nothing is being done to the log: all of it is durable.
  [[nodiscard]] bool log_at_rest() const { return operations_.empty() && !writer_stopping_; }
  [[nodiscard]] Moment jitter(Moment most);
  [[nodiscard]] MemberList others() const;
  /// Whether `holds` for a majority of each list of the record.
  [[nodiscard]] bool agreed(const std::function<bool(const Member&)>& holds) const;

  // replica_stand.cpp: suspecting a leader, and standing in its place.
  void tick_following(Following& following, Moment now);
  void begin_probe(Following& following, Moment now);
  void end_probe(Following& following, Moment now);
  [[nodiscard]] bool hears_leader(Moment now) const;
  void stand();
  void abandon_change();
  void stand_for(PartitionRecord next);
  void on(const Member& from, const Probe& probe, Moment now);
  void on(const Member& from, const ProbeAnswer& answer, Moment now);
  void on(const Member& from, const Succeed& succeed, Moment now);

  // replica_take_over.cpp: fencing a majority and taking its greatest log.
  void take_over(Epoch epoch, Moment now);
  void tick_taking_over(TakingOver& taking, Moment now);
  void fence(const Member& member);
  void try_to_start(Moment now);
  void pull(TakingOver& taking, Moment now);
  void on(const Member& from, const Fence& fence, Moment now);
  void on(const Member& from, const Promised& promised, Moment now);
  void on(const Member& from, const Refused& refused, Moment now);
  void on(const Member& from, const Pull& pull, Moment now);
  void on(const Member& from, const Pulled& pulled, Moment now);

  // replica_follow.cpp: taking the leader's log.
  void hear(const Member& leader, Moment now);
  void ask_to_follow(Following& following, Moment now);
  void acknowledge(const Following& following);
  void publish_known(Following& following);
  [[nodiscard]] Following* asked(const Member& from, Epoch epoch, std::uint64_t number, Moment now);
  void fetch(Following& following, Moment now);
  void on(const Member& from, const Matched& matched, Moment now);
  void on(const Member& from, Append append, Moment now);
  void on(const Member& from, const Behind& behind, Moment now);
  void on(const Member& from, Fetched fetched, Moment now);
  void on(const Member& from, const Begin& begin, Moment now);

  // replica_lead.cpp: feeding followers, and committing.
  void lead(Epoch epoch, Moment now);
  void tick_leading(Leading& leading, Moment now);
  void heartbeat(Leading& leading, Moment now);
  void refresh_peers(Leading& leading, Moment now);
  void feed(Leading& leading, const Member& member, Peer& peer);
  void send_commit(Leading& leading, const Member& member, Peer& peer);
  void advance_commit(Leading& leading, Moment now);
  void answer_reads(Leading& leading);
  [[nodiscard]] BatchNo durable_on_majority(const Leading& leading, const MemberList& list) const;
  void finish_change(Moment now);
  void on(const Member& from, const Follow& follow, Moment now);
  void on(const Member& from, const Fetch& fetch, Moment now);
  void on(const Member& from, const Ack& ack, Moment now);

  const Member self_;
  const ReplicaOptions options_;
  ReplicaPorts& ports_;
  const ReplicaLog& log_;
  Random& random_;

  Epoch promise_;                   ///< durable
  std::optional<Epoch> promising_;  ///< on its way to the disk
  std::optional<Member> claimant_;  ///< who leads that epoch; nothing: nobody
  Promise promised_;                ///< the last one, durable or on its way
  bool fenced_ = false;             ///< the leader waits for `Promised`
  std::set<Member> refusing_;       ///< of the epoch that this one leads: promised a higher one
  std::optional<PartitionRecord> record_;
  Revision revision_;         ///< of `record_`
  bool remembered_ = false;   ///< it is of an earlier life, and has not been seen in this one
  bool record_gone_ = false;  ///< the coordinator has lost it
  bool gone_back_ = false;    ///< halted since the coordinator has gone back (rule 15)
  Epoch gone_back_before_;    ///< that epoch, which somebody has obeyed
  Moment look_again_at_{};    ///< for the record, when it is gone or has gone back
  std::optional<PendingSwap> swap_;
  std::optional<RecordReading> reading_;  ///< the last one
  std::set<Member> connected_;
  BatchNo committed_;
  LogOperation last_operation_ = 0;
  std::deque<PendingOperation> operations_;
  bool writer_stopping_ = false;
  bool readable_ = false;
  bool halted_ = false;
  std::uint64_t requests_ = 0;   ///< the last one's number
  Moment retry_log_at_{};        ///< after the log refused
  std::optional<Error> damage_;  ///< met in what others asked for; at the next tick it halts
  MemberList shut_out_;          ///< by `force_lead`: to be fenced though they do not count
  std::variant<Following, TakingOver, Leading> state_;
};

}  // namespace keelson::replication
