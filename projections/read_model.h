// The read model of one projection in one partition: a SQLite file.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/base/environment.h"
#include "engine/base/random.h"
#include "engine/base/types.h"
#include "engine/store/partition.h"
#include "projections/handler_tables.h"
#include "projections/offset_function.h"
#include "projections/rules.h"
#include "projections/sqlite_database.h"
#include "projections/write_gate.h"

namespace keelson::projections {

/// The last event applied, to recognise the log it came from.
struct AppliedEvent {
  std::string stream;
  Version version;
  TimeUs time;
};

/// How far a read model has come.
struct Checkpoint {
  Offset floor;  ///< the oldest `next` whose state can be asked for
  Offset next;   ///< all events below are applied
  std::optional<AppliedEvent> last;
};

/// Owns the writing connection. The file holds the tables, their history and the checkpoint, so one
/// transaction moves all three: an event is applied exactly once.
///
/// WAL, so that readers and the writer do not wait for each other. `synchronous` is NORMAL: a
/// commit is not synced, and a power failure may take the last ones back, tables and checkpoint
/// together; what they held is applied again, because the log is the truth and this file a copy. It
/// cannot corrupt the file, as OFF could. A crash of the process alone loses nothing.
///
/// A file of another projection, version, topic, partition, schema, or of a log that is not the one
/// at hand is removed and built anew, and the log says why; but never while the events' log is
/// damaged, as it may be all that is left of what was there. Used by one thread at a time.
class ReadModel {
 public:
  /// What a read model is of, and where it lies. All that is pointed to must outlive it.
  struct Source {
    io::FileSystem* files;
    std::string path;  ///< of the file; its folder is made when it is missing
    std::shared_ptr<const Rules> rules;
    Uuid topic;
    Partition* partition;
    std::size_t cache_kib;  ///< pages kept in memory, in KiB
  };

  struct Opened {
    std::unique_ptr<ReadModel> model;  ///< nullptr with `log_damage`
    /// The log cannot be read: there is nothing to go on from, nor to build anew from. A file that
    /// is there has been left as it is.
    std::optional<Error> log_damage;
    Offset applied;  ///< with `log_damage`: how far a file that is there had come
    /// The log cannot be read yet, so that what has been applied could not be held against it. What
    /// the model shows had been committed; to be opened again before anything is applied.
    bool unchecked = false;
  };

  /// Opens the file, or makes it. May be called again after an error, which leaves no connection
  /// and no half-made file behind.
  /// @error disk_full, io_error, overloaded  it may open later.
  [[nodiscard]] static Result<Opened> open(const Source& source);
  ReadModel(const ReadModel&) = delete;
  ReadModel& operator=(const ReadModel&) = delete;

  [[nodiscard]] const Checkpoint& checkpoint() const { return checkpoint_; }

  /// Whether nothing has been applied.
  [[nodiscard]] bool empty() const {
    return !checkpoint_.last && checkpoint_.next == checkpoint_.floor;
  }
  /// Begins at `start` instead; only while it is empty.
  [[nodiscard]] Result<void> begin_at(Offset start);

  [[nodiscard]] Result<void> begin();
  /// Applies one event inside the transaction.
  [[nodiscard]] Result<void> apply(const EventView& event);
  /// Ends the transaction with the checkpoint moved past `last`, an event at `next - 1`.
  /// @error disk_full, io_error  nothing of the transaction happened.
  [[nodiscard]] Result<void> commit(Offset next, AppliedEvent last);
  /// Takes back everything since `begin`.
  void rollback();

  /// Moves committed pages from the write-ahead log into the file, so that the log stays small.
  /// Waits for readers only when it has become large.
  void checkpoint_wal();

 private:
  explicit ReadModel(const Source& source)
      : path_(source.path), rules_(source.rules), cache_kib_(source.cache_kib) {}

  /// Why the file that is there cannot be used, or nothing when it can.
  [[nodiscard]] Result<std::optional<std::string>> load(const std::string& identity);
  [[nodiscard]] Result<void> create(const std::string& identity, Offset start);
  [[nodiscard]] Result<void> connect();

  std::string path_;
  std::shared_ptr<const Rules> rules_;
  std::size_t cache_kib_;
  Checkpoint checkpoint_;
  EventOffset event_offset_;  ///< before the connection, which points to it
  int wal_pages_ = 0;         ///< likewise
  std::unique_ptr<Database> database_;
  std::unique_ptr<WriteGate> gate_;
  std::unique_ptr<HandlerTables> tables_;
  Statement begin_, commit_, rollback_, save_checkpoint_;
};

/// Reads the checkpoint row inside whatever transaction `database` is in.
[[nodiscard]] Result<Checkpoint> read_checkpoint(Statement& select);
inline constexpr std::string_view kSelectCheckpoint =
    "SELECT floor, next, last_stream, last_version, last_time_us FROM keelson_checkpoint";

}  // namespace keelson::projections
