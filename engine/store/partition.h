// One totally ordered log and the single writer in front of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/environment.h"
#include "engine/base/result.h"
#include "engine/base/scheduler.h"
#include "engine/store/commit.h"
#include "engine/store/event.h"
#include "engine/store/maintenance.h"
#include "engine/store/options.h"
#include "engine/store/whereabouts.h"

namespace keelson {

/// Called for each event; false stops the reading. The view is valid during the call only.
using EventVisitor = std::function<bool(const EventView&)>;

/// Which events of a stream to read.
struct StreamRange {
  enum class Direction { forward, backward };
  Version from{1};  ///< first version wanted (backward: the highest; clamped to the last)
  std::uint64_t limit = UINT64_MAX;
  Direction direction = Direction::forward;
  Offset before{UINT64_MAX};  ///< only events with offset < before: the stream as of an offset
  /// Whether `command_id` of each event is wanted. It lies apart from the event, in its commit:
  /// without it a stream is read quicker.
  bool command_ids = true;
};

/// The partition as its next commit will find it: committed events and those staged before them.
/// Valid during a `Decide` call only, on the partition's strand.
class Staging {
 public:
  virtual ~Staging() = default;
  /// Version of `stream` with staged events counted; 0 when there is none.
  [[nodiscard]] virtual Result<Version> version(std::string_view stream) const = 0;
  /// Reads `stream` forward from `from`, staged events included.
  [[nodiscard]] virtual Result<void> read(std::string_view stream, Version from,
                                          const EventVisitor& visit) const = 0;
  /// The commit time the events will carry.
  [[nodiscard]] virtual TimeUs time() const = 0;
};

/// A one-shot wake-up; dropping it cancels. Once the destructor has returned the task is not
/// running and will not run, unless the task itself drops it.
class Registration {
 public:
  virtual ~Registration() = default;
};

/// Reads committed events in offset order. Not thread-safe; may outlive retention of what it
/// reads, but not the store.
class Cursor {
 public:
  virtual ~Cursor() = default;
  /// The next committed event, or nothing at the committed end (call again later). The view is
  /// valid until the next call. Each batch's checksum is verified as it is entered.
  /// @error below_start  retention has removed it. @error corruption  context names file and byte.
  [[nodiscard]] virtual Result<std::optional<EventView>> next() = 0;
  /// Offset of the event `next` will return.
  [[nodiscard]] virtual Offset offset() const = 0;
};

/// Owns one log: checks, stages, writes, makes durable, commits, and serves reads.
///
/// Writing runs on the partition's strand; batches are written and synced by one worker while the
/// next is gathered (group commit). Reading is safe from any thread, sees committed events only and
/// never blocks the writer. After a crash the log holds every acknowledged commit, each once, and
/// possibly some that were in flight.
class Partition {
 public:
  /// Called once, on the partition's strand: keep it short.
  using Completion = std::move_only_function<void(Result<CommitOutcome>)>;
  /// Decides on the strand what to commit, seeing everything staged before. An error cancels the
  /// command and is not remembered.
  using Decide = std::move_only_function<Result<Commit>(const Staging&)>;

  virtual ~Partition() = default;

  [[nodiscard]] virtual PartitionId id() const = 0;
  /// Whether the log is whole as far as is known. @error what is wrong with it, for the operator:
  /// `corruption` or `unsupported_format`, naming file and byte.
  [[nodiscard]] virtual Result<void> health() const { return {}; }
  /// Whether what is read here never goes back behind what has been read before. A replica that was
  /// started anew has to meet its leader first; until then all reading but by cursors fails so, and
  /// cursors wait. @error not_caught_up
  /// @error not_leader, not_enough_replicas  it is not here: as `check_here`.
  [[nodiscard]] virtual Result<void> readable() const { return {}; }
  /// Whether more may have been committed than is known here: not where it is led, or alone.
  [[nodiscard]] virtual bool may_lag() const { return false; }
  /// Where clients reach the node that leads it, as far as is known; nothing where there is one
  /// node.
  [[nodiscard]] virtual std::optional<std::string> leader() const { return std::nullopt; }
  [[nodiscard]] virtual Whereabouts whereabouts() const { return {}; }
  /// How the work in the background goes. See `StoreOptions::on_maintenance_change`.
  [[nodiscard]] virtual MaintenanceStatus maintenance(Maintenance) const { return {}; }

  /// First offset that retention has kept.
  [[nodiscard]] virtual Offset start() const = 0;
  /// End of the committed events: the next event's offset.
  [[nodiscard]] virtual Offset end() const = 0;

  /// Runs one command exactly once. If `stamp`'s id is known, `decide` is not called and the first
  /// outcome is returned as a replay; if it is in flight, this call waits for that outcome.
  /// Completes when the commit is durable by the topic's durability. What `decide` gave and breaks
  /// a limit completes before anything else is decided.
  /// Callable from any thread; order of calls from one thread is kept.
  /// @error version_conflict      an expectation or check fails on the staged state; nothing
  /// written. Answered when that state is durable, and a majority has confirmed since that no other
  /// node leads; with the error of what was staged if it is not.
  /// @error idempotency_mismatch  the id was used with another fingerprint.
  /// @error too_large, overloaded, disk_full, closed, corruption  nothing is written.
  /// @error outcome_unknown       leadership was lost in flight; repeat with the same stamp.
  virtual void execute(std::optional<CommandStamp> stamp, Decide decide, Completion completion) = 0;

  /// One call of `execute`.
  struct Execution {
    std::optional<CommandStamp> stamp;
    Decide decide;
    Completion completion;
  };
  /// Calls `execute` for each, in their order. The strand is taken once for all of them: other
  /// commands wait meanwhile, so give a few dozen at a time.
  virtual void execute_all(std::vector<Execution> all) {
    for (Execution& one : all) {
      execute(std::move(one.stamp), std::move(one.decide), std::move(one.completion));
    }
  }

  /// The outcome remembered for `stamp`, or nothing. Committed outcomes only.
  /// @error idempotency_mismatch  the id was used with another fingerprint.
  [[nodiscard]] virtual Result<std::optional<CommitOutcome>> find_outcome(
      const CommandStamp& stamp) const = 0;

  /// Calls `on_discard` on the strand whenever staged commits failed and were taken back: a cache
  /// of staged state must be dropped. Set once, before the first `execute`.
  virtual void set_discard_listener(std::function<void()> on_discard) = 0;

  /// @error beyond_end  `from` > end(). @error below_start  `from` < start().
  [[nodiscard]] virtual Result<std::unique_ptr<Cursor>> read(Offset from) const = 0;

  /// Reads committed events of one stream by its index. A stream that does not exist has none. What
  /// `visit` was shown counts only if no error comes back: a part that the disk cannot read may
  /// have shown as zeros.
  [[nodiscard]] virtual Result<void> read_stream(std::string_view stream, const StreamRange& range,
                                                 const EventVisitor& visit) const = 0;

  /// Committed version of `stream` as of all events with offset < `before`; 0 when there is none.
  [[nodiscard]] virtual Result<Version> stream_version(
      std::string_view stream, Offset before = Offset(UINT64_MAX)) const = 0;

  /// First offset whose event was committed after `time`: events [start, result) are the state at
  /// `time`. By binary search over commit times. The answer to a time is the same for ever: waits
  /// for what is being written with an earlier time, and later commits are given later times. Not
  /// on the partition's strand.
  /// @error beyond_end  `time` is not over yet.
  [[nodiscard]] virtual Result<Offset> end_at(TimeUs time) const = 0;

  /// Calls `task` once, on no particular thread, as soon as end() > `offset`; at once if it is.
  /// Also when the partition leaves this node.
  [[nodiscard]] virtual std::unique_ptr<Registration> when_past(Offset offset, Task task) const = 0;

  using Linearized = std::move_only_function<void(Result<void>)>;
  /// Calls `done`, on no particular thread, when whatever had been acknowledged anywhere before
  /// this call can be read here. A node that is alone has that at once.
  /// @error not_leader, not_enough_replicas, timeout, overloaded
  virtual void linearize(Linearized done) const { done({}); }

  /// Durably remembers how far the consumer group `group` has come: all below `next` is done.
  virtual void commit_group_offset(std::string group, Offset next, Completion completion) = 0;
  /// The remembered offset of `group`; nothing before its first commit.
  /// @error below_start  it was remembered, and retention has removed what it was.
  [[nodiscard]] virtual Result<std::optional<Offset>> group_offset(
      std::string_view group) const = 0;

  /// Holds retention back for `reader`, which has yet to read the events from `next` on: they stay,
  /// and so does the offset of a consumer group that has come no further. For as long as the store
  /// is open, and until the next call for the same reader; before `Store::start_retention`, or what
  /// is needed may be gone. From any thread.
  virtual void keep_for(const std::string& reader, Offset next) = 0;
};

}  // namespace keelson
