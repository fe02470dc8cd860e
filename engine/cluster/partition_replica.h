// A replica of a partition on a running node: the protocol between the log, the network, the
// coordinator and the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/environment.h"
#include "engine/base/scheduler.h"
#include "engine/cluster/last_records.h"
#include "engine/cluster/promise_store.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/member.h"
#include "engine/replication/message.h"
#include "engine/replication/replica.h"
#include "engine/store/log_partition.h"
#include "engine/store/partition_replication.h"

namespace keelson::cluster {

using replication::Member;
using replication::MemberList;
using replication::Revision;

/// A change of members that an operator has asked for, at the leader that has taken it. Gone when
/// it has succeeded, or another node leads.
struct MoveStatus {
  MemberList target;
  bool begun = false;           ///< the new members are fed, and the lists are being changed
  std::optional<Error> failed;  ///< it is over, and why; until the next one
};

/// What a replica is, for people and for who looks for the leader.
struct ReplicaStatus {
  replication::Replica::Role role = replication::Replica::Role::following;
  Epoch epoch;                    ///< the highest promised
  replication::Promise promised;  ///< all of it, durable
  std::optional<Member> leader;
  std::optional<replication::PartitionRecord> record;
  Revision revision;  ///< of `record`
  Epoch last_epoch;   ///< of the last batch here
  BatchNo appended;   ///< end of the log here
  BatchNo committed;  ///< as known here
  bool readable = false;
  std::optional<Error> halted;        ///< or cannot store its promise, and takes no part meanwhile
  std::optional<Epoch> pledged;       ///< obeys nobody before: see `Replica::pledged`
  bool without_record = false;        ///< see `Replica::without_record`
  bool no_room = false;               ///< the disk was full, and has not the room to lead yet
  std::map<Member, BatchNo> durable;  ///< of the others, new ones too; at the leader only
  std::optional<MoveStatus> move;
};

/// Puts what came behind `message` as a part of a file where it belongs. False when there is no
/// such place.
[[nodiscard]] bool put_together(replication::Message& message, std::string region);

/// Runs `replication::Replica` on the strand of its partition, and is its ports.
///
/// Inputs come from everywhere: messages from the network's thread, records from the coordinator's,
/// what became of writes from the partition's worker; all are brought to the strand. What another
/// node is sent goes out at once, from the strand.
///
/// Retention removes what every replica has: the leader holds it back to where the furthest behind
/// has come, within bounds, and tells the followers what it has kept, who remove no more than that.
/// A replica that needs what has been removed gets what is left of that, and then the rest.
///
/// Crash: the promise and the log are all that lasts; both are durable before anyone is told.
class PartitionReplica final : public replication::ReplicaPorts,
                               public replication::ReplicaLog,
                               public PartitionReplication,
                               public std::enable_shared_from_this<PartitionReplica> {
 public:
  struct Options {
    Member self;
    std::string record_key;  ///< in the coordinator
    /// Where the last record is kept, and of which partition; empty: nowhere.
    std::string folder;
    Uuid partition;
    std::optional<LastRecord> last;  ///< as it is kept there
    replication::ReplicaOptions protocol;
    /// Retention waits for a replica until it has been silent for so long …
    replication::Moment retention_waits_for = std::chrono::hours(1);
    /// … or lacks so many bytes of full segments. One that is left behind is given another
    /// beginning when it comes.
    std::uint64_t retention_waits_bytes = std::uint64_t{16} << 30;
    /// A node whose disk has been full leads no more, if another can, before it has so much room.
    std::uint64_t room_to_lead = 0;
    /// How long the preferred leader must have been there before it is given the lead.
    replication::Moment prefer_after = std::chrono::seconds(5);
  };
  /// What it needs of its node. Callable from any thread; must outlive it.
  struct Ports {
    replication::Coordinator& coordinator;
    /// Sends to the same partition's replica there; may be lost.
    std::function<void(const Member& to, const std::string& message)> send;
    /// The same with a part of a file behind the message.
    std::function<void(const Member& to, const std::string& message, io::FileRegion region)>
        send_file;
    /// Whether much already waits to be sent there.
    std::function<bool(const Member& to)> congested;
    /// Where clients reach that member; nothing when that is not known.
    std::function<std::optional<std::string>(const Member& member)> address_of;
    /// Something that an operator wants to know.
    std::function<void(const std::string& what)> report;
  };

  /// @param promises  of this partition's folder; `promise` is what it holds.
  /// @param disk      a worker for storing promises.
  PartitionReplica(Environment environment, std::shared_ptr<LogPartition> partition,
                   PromiseStore promises, const replication::Promise& promise,
                   std::shared_ptr<Strand> disk, Options options, Ports ports);
  ~PartitionReplica() override;

  /// Begins. Called once.
  void start();
  /// Leads no more, and takes part no more: `done` is called on the strand when nothing that the
  /// partition does comes here any more.
  void stop(Task done);

  // --- inputs, from any thread ---
  /// @param region  that came behind the message, as a part of a file.
  /// @param held    dropped when what came is no longer in memory: the log has it, or nobody does.
  void on_message(const Member& from, std::string message, std::string region = {},
                  std::shared_ptr<void> held = {});
  void on_connected(const Member& peer);
  void on_disconnected(const Member& peer);
  void on_record(const replication::PartitionRecord& record, Revision revision);
  /// Clients may reach some node elsewhere than before.
  void on_addresses_changed();

  // --- what may be asked, from any thread ---
  [[nodiscard]] ReplicaStatus status() const;
  /// Gives the partition other members: those that are new are fed first, then the lists change.
  /// `done` is called when that is accepted, or refused; `status` shows what becomes of it. It ends
  /// with the lead of this node, unless the lists are being changed by then; until then another one
  /// takes its place.
  /// @error not_leader, bad_request, overloaded, not_enough_replicas
  void move(MemberList target, std::function<void(Result<void>)> done);
  /// Asks `successor` to lead. @error not_leader, not_enough_replicas
  void hand_over(const Member& successor, std::function<void(Result<void>)> done);
  /// See `replication::Replica::force_lead`; `done` is called when it is asked of the coordinator.
  void force_lead(Epoch confirmed, std::function<void(Result<void>)> done);
  /// See `replication::Replica::pledge`; `done` is called when it is durable, with what was
  /// promised before. @error already_exists, closed, disk_full
  void pledge(Epoch epoch, std::function<void(Result<replication::Promise>)> done);

  [[nodiscard]] const std::shared_ptr<LogPartition>& partition() const { return partition_; }

 private:
  /// A change of members that an operator has asked for.
  struct Move {
    MemberList target;
    replication::Moment until{};
    bool begun = false;  ///< the record has been changed
  };

  // On the strand.
  template <class Input>
  void run(Input input);
  void input_done();
  void tick();
  void end_late_reads(replication::Moment now);
  void prefer_leader(replication::Moment now);
  void on_write_failed(const Error& error);
  void look_for_room(replication::Moment now);
  void hold_retention(replication::Moment now);
  [[nodiscard]] MemberList fed() const;
  [[nodiscard]] bool waited_for(const Member& member, BatchNo durable,
                                replication::Moment now) const;
  void on_kept(std::string_view message);
  void go_on_with_move(replication::Moment now);
  void end_move(const Result<void>& result);
  [[nodiscard]] bool caught_up(const Member& member) const;
  [[nodiscard]] std::optional<Member> known_leader() const;
  [[nodiscard]] replication::Moment now() const;
  void on_swap_answer(Result<replication::Coordinator::Swapped> answer);
  void on_promise_failed(const replication::Promise& promise, const Error& error);
  void on_promise_stored(const replication::Promise& promise);
  void on_record_gone(std::uint64_t number);
  void keep_record();

  // --- ReplicaPorts ---
  void send(const Member& to, replication::Message message) override;
  [[nodiscard]] bool may_fill(const Member& to) const override;
  void store_promise(const replication::Promise& promise) override;
  void compare_and_set(const replication::PartitionRecord& expected, Revision revision,
                       const replication::PartitionRecord& record) override;
  void read_record(std::uint64_t number) override;
  void append(replication::LogOperation operation, std::string batches) override;
  void cut(replication::LogOperation operation, BatchNo to) override;
  void take_removed(replication::LogOperation operation, log::RemovedPiece piece) override;
  void begin_at(replication::LogOperation operation, std::string header) override;
  void publish(BatchNo end) override;
  void start_epoch(Epoch epoch) override;
  [[nodiscard]] bool has_to_append() const override;
  void serve(Epoch epoch) override;
  void pause_writing() override;
  void step_down() override;
  void read_ready(std::uint64_t id, BatchNo end) override;
  void read_failed(std::uint64_t id) override;
  void halt(Error reason) override;
  void resume() override;

  // --- ReplicaLog ---
  [[nodiscard]] replication::LogEnd end() const override;
  [[nodiscard]] BatchNo committed() const override;
  [[nodiscard]] BatchNo start() const override;
  [[nodiscard]] Result<replication::LogTail> tail(BatchNo from) const override;
  [[nodiscard]] Result<replication::EncodedBatches> read(BatchNo from,
                                                         std::uint64_t bytes_max) const override;
  [[nodiscard]] std::optional<replication::BatchRegion> region(BatchNo from) const override;
  [[nodiscard]] Result<log::Beginning> beginning(const log::InstallPlace& place) const override;
  [[nodiscard]] log::InstallPlace install_place() const override;

  // --- PartitionReplication ---
  void on_appended(BatchNo end) override;
  void on_durable(BatchNo end) override;
  void on_not_written(const Error& error) override;
  void on_writer_stopped() override;
  void on_cut(const log::CutCopy& copy) override;
  void on_log_done(std::uint64_t operation) override;
  void on_log_failed(std::uint64_t operation, const Error& error) override;
  void begin_read(Partition::Linearized done) override;
  [[nodiscard]] Error refusal() const override;

  Environment environment_;
  const std::shared_ptr<LogPartition> partition_;
  PromiseStore promises_;  ///< the disk worker's
  const std::shared_ptr<Strand> disk_;
  const Options options_;
  const Ports ports_;
  std::unique_ptr<replication::Replica> replica_;  ///< nothing once it has been stopped
  struct Read {
    Partition::Linearized done;
    replication::Moment until{};
  };
  std::map<std::uint64_t, Read> reads_;
  std::uint64_t last_read_ = 0;
  std::optional<Move> move_;
  std::optional<MoveStatus> failed_move_;  ///< the last one
  std::optional<Error> halted_;
  bool record_gone_told_ = false;
  std::optional<LastRecord> kept_;  ///< on disk, or on its way
  Epoch promise_wanted_;            ///< the last one that was to be stored
  struct Pledge {
    Epoch epoch;
    replication::Promise before;
    std::function<void(Result<replication::Promise>)> done;
  };
  std::vector<Pledge> pledges_;           ///< not durable yet
  std::optional<Error> promise_failure_;  ///< of the last try
  std::shared_ptr<void> held_;            ///< of the message that is being handled
  std::map<replication::LogOperation, std::shared_ptr<void>> held_by_log_;
  std::optional<Error> log_failure_;  ///< reported, and not to be reported again
  replication::Moment preferred_since_{};
  bool no_room_ = false;
  replication::Moment refused_at_{};  ///< the last write for which there was none
  replication::Moment room_looked_at_{};
  std::size_t asked_to_lead_ = 0;  ///< of the other members, when there was no room
  replication::Moment retention_held_at_{};
  std::set<Member> left_behind_;       ///< by retention, and reported
  std::optional<Member> leader_told_;  ///< to the partition

  mutable std::mutex status_mutex_;
  ReplicaStatus status_;
};

/// Gives the replica an input, on the strand, unless it has been stopped.
template <class Input>
void PartitionReplica::run(Input input) {
  partition_->strand()->post([weak = weak_from_this(), input = std::move(input)]() mutable {
    const auto self = weak.lock();
    if (!self || !self->replica_) return;
    input(*self);
    self->input_done();
  });
}

}  // namespace keelson::cluster
