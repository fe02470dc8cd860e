// Applies the events of one partition to the read model of one projection.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/scheduler.h"
#include "engine/store/partition.h"
#include "projections/progress.h"
#include "projections/read_model.h"

namespace keelson::projections {

struct ApplierOptions {
  std::uint32_t transaction_events_max = 10'000;
  std::chrono::nanoseconds transaction_time_max = std::chrono::milliseconds(200);
};

/// Runs on its worker strand: reads the partition's log from the checkpoint on, many events to a
/// transaction, until the committed end; the partition wakes it when there is more. A transaction
/// is short enough for other appliers of the same worker to have their turn.
///
/// An event that fails takes its transaction back. The events before it are then applied again and
/// committed, so that the read model holds exactly what came before it, and the applier stays
/// there, visibly, until it is opened anew. Others go on. (A savepoint for each event would do the
/// same, and would cost every event that does not fail.) Trouble with the disk is not the event's
/// fault: the applier tries again.
///
/// Retention waits for it (`Partition::keep_for`), or a read model that is made, or behind, while
/// much is written would find its next event gone. Not for one that is halted: it would fill the
/// disk for a table that can be made again.
///
/// It owns the read model from its opening on, and tries that again as well: a server starts on a
/// full disk, and has its read models when there is room. Until then there is nothing to ask, and
/// its state says so; a read model that is open stays open.
class Applier : public std::enable_shared_from_this<Applier> {
 public:
  struct State {
    std::optional<Offset> halted_at;
    std::string error;
    /// Why there is no read model to ask: it could not be opened yet, or its log is damaged.
    std::optional<Error> unreadable;
  };

  /// Opens the read model on this thread. What may pass is no error here, and neither is damage of
  /// the log, which halts the applier: `state` shows both.
  /// All that `source` points to, `clock`, `progress` and `worker` must outlive it.
  /// @error what cannot be helped by waiting, such as tables that SQLite refuses.
  [[nodiscard]] static Result<std::shared_ptr<Applier>> open(ReadModel::Source source,
                                                             ApplierOptions options,
                                                             const Clock& clock, Progress& progress,
                                                             Strand& worker);
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  void start();
  /// No event is begun after it. What runs ends before the worker does.
  void stop();

  [[nodiscard]] State state() const;
  /// What the read model begins with: the log's start when it was made.
  [[nodiscard]] Offset floor() const { return Offset(floor_); }

 private:
  enum class Next { more, wait, halt, retry };
  struct Failure {
    Offset offset;
    Error error;
  };
  struct Applied {
    bool caught_up = false;
    std::optional<Failure> failure;  ///< and nothing was applied
  };

  Applier(ReadModel::Source source, ApplierOptions options, const Clock& clock, Progress& progress,
          Strand& worker);

  void pump();
  [[nodiscard]] Next step();
  /// Goes on with the read model that was opened, or with why there is none.
  [[nodiscard]] Next begin_with(Result<ReadModel::Opened> opened);
  [[nodiscard]] Next begin_later();
  /// One transaction over events below `before`. @error the log or the disk, not an event.
  [[nodiscard]] Result<Applied> apply(Offset before);
  [[nodiscard]] Result<Applied> fill_transaction(Offset before);
  [[nodiscard]] Next halt_before(Failure failure);
  /// The log or the disk failed, or opening did.
  [[nodiscard]] Next troubled(const Error& error);
  void set_state(State state);
  void set_running();
  void wake_when_more();
  void post_pump();
  /// Events from `next` on are needed.
  void keep(Offset next);

  const ReadModel::Source source_;
  Partition& partition_;
  const ApplierOptions options_;
  const Clock& clock_;
  Progress& progress_;
  Strand& worker_;
  std::unique_ptr<ReadModel> model_;  ///< nullptr while the state is `unreadable`
  bool unchecked_ = false;            ///< see `ReadModel::Opened`
  std::unique_ptr<Cursor> cursor_;

  std::atomic<std::uint64_t> floor_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  State state_;                            ///< under mutex_
  std::unique_ptr<Registration> wake_up_;  ///< under mutex_; dropped outside of it
};

}  // namespace keelson::projections
