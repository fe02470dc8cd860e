#include "projections/read_model.h"

#include <spdlog/spdlog.h>
#include <sqlite3.h>

#include "engine/base/check.h"
#include "engine/io/file_system.h"
#include "engine/store/store.h"

namespace keelson::projections {

namespace {

/// Of this layout: tables, capture, checkpoint. Raise it when any of them changes.
constexpr int kFormat = 1;

/// Pages of 4 KiB in the write-ahead log: past the first number they are moved into the file as far
/// as readers allow; past the second the writer waits for readers, so that the log starts again
/// from its beginning. Readers that follow one another without a gap would let it grow for ever.
constexpr int kWalPagesToMove = 1'000;
constexpr int kWalPagesToRestart = 16'000;

constexpr std::string_view kCreateCheckpoint =
    "CREATE TABLE keelson_identity (identity TEXT NOT NULL) STRICT;"
    "CREATE TABLE keelson_checkpoint (id INTEGER PRIMARY KEY CHECK (id = 0), floor INTEGER NOT "
    "NULL,"
    " next INTEGER NOT NULL, last_stream TEXT, last_version INTEGER, last_time_us INTEGER) STRICT;";

std::string identity_of(const Rules& rules, const Uuid& topic, PartitionId partition) {
  std::string hex;
  for (const std::byte byte : topic.bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[std::to_integer<unsigned>(byte) >> 4];
    hex += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return "format " + std::to_string(kFormat) + "\nprojection " + rules.name() + "\nversion " +
         std::to_string(rules.version()) + "\ntopic " + hex + "\npartition " +
         std::to_string(partition.value) + "\ncode\n" + rules.code();
}

/// Whether the event before `checkpoint.next` in the log is the one that was applied last.
/// @error the log's own.
Result<bool> same_log(const Checkpoint& checkpoint, const Partition& partition) {
  if (checkpoint.next > partition.end()) return false;
  if (!checkpoint.last || checkpoint.next <= partition.start()) return true;
  const auto cursor = partition.read(checkpoint.next - 1);
  if (!cursor && cursor.error().code == Errc::below_start) return true;  // removed since
  if (!cursor) return std::unexpected(cursor.error());
  const auto read = (*cursor)->next();
  if (!read && read.error().code == Errc::below_start) return true;
  KEELSON_TRY_ASSIGN(const auto event, read);
  return event && event->stream == checkpoint.last->stream &&
         event->version == checkpoint.last->version && event->time == checkpoint.last->time;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

Result<void> remove_files(io::FileSystem& files, const std::string& path) {
  for (const std::string_view suffix : {"-wal", "-shm", ""}) {
    const std::string file = path + std::string(suffix);
    KEELSON_TRY_ASSIGN(const bool there, files.exists(file));
    if (there) KEELSON_TRY(files.remove(file));
  }
  return {};
}

}  // namespace

Result<Checkpoint> read_checkpoint(Statement& select) {
  KEELSON_TRY_ASSIGN(const bool found, select.step());
  if (!found) return fail(Errc::corruption, "the read model has no checkpoint");
  Checkpoint checkpoint;
  checkpoint.floor = Offset(static_cast<std::uint64_t>(select.integer(0)));
  checkpoint.next = Offset(static_cast<std::uint64_t>(select.integer(1)));
  if (!select.is_null(2)) {
    checkpoint.last = AppliedEvent{std::string(select.text(2)),
                                   Version(static_cast<std::uint64_t>(select.integer(3))),
                                   TimeUs(select.integer(4))};
  }
  select.reset();
  return checkpoint;
}

Result<ReadModel::Opened> ReadModel::open(const Source& source) {
  const Partition& partition = *source.partition;
  const std::string identity = identity_of(*source.rules, source.topic, partition.id());
  KEELSON_TRY(source.files->create_folders(folder_of(source.path)));
  Opened opened;
  const auto health = partition.health();
  if (!health) opened.log_damage = health.error();
  KEELSON_TRY_ASSIGN(const bool there, source.files->exists(source.path));
  if (there) {
    opened.model.reset(new ReadModel(source));
    auto stale = opened.model->load(identity);
    if (stale && !*stale) {
      if (!opened.log_damage && !partition.readable()) {
        opened.unchecked = true;
        return opened;
      }
      const auto same = opened.log_damage ? false : same_log(opened.model->checkpoint(), partition);
      if (same && *same) return opened;
      if (!same && !is_damage(same.error().code)) return std::unexpected(same.error());
      if (!same) opened.log_damage = same.error();
      if (opened.log_damage) opened.applied = opened.model->checkpoint().next;
      stale = "it has applied events that are not in the log";
    }
    if (!stale && stale.error().code != Errc::corruption) return std::unexpected(stale.error());
    opened.model.reset();
    if (opened.log_damage) return opened;
    KEELSON_TRY(remove_files(*source.files, source.path));
    // Said here: what follows may fail, and the next attempt would not know.
    spdlog::warn("read model {} was removed and is built anew from the log: {}", source.path,
                 stale ? **stale : stale.error().context);
  }
  if (opened.log_damage) return opened;
  opened.model.reset(new ReadModel(source));
  if (auto created = opened.model->create(identity, partition.start()); !created) {
    // The next attempt would take it for somebody's, and others may need the room.
    opened.model.reset();
    (void)remove_files(*source.files, source.path);
    return std::unexpected(std::move(created).error());
  }
  return opened;
}

Result<void> ReadModel::connect() {
  KEELSON_TRY_ASSIGN(database_, Database::open(path_, Database::Mode::read_write));
  KEELSON_TRY(database_->execute("PRAGMA journal_mode = WAL"));
  KEELSON_TRY(
      database_->execute("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
                         "PRAGMA cache_size = -" +
                         std::to_string(cache_kib_)));
  KEELSON_TRY(register_offset_function(*database_, event_offset_));
  sqlite3_wal_hook(
      database_->handle(),
      [](void* pages, sqlite3*, const char*, int in_wal) {
        *static_cast<int*>(pages) = in_wal;
        return SQLITE_OK;
      },
      &wal_pages_);
  gate_ = std::make_unique<WriteGate>(*database_);
  tables_ = std::make_unique<HandlerTables>(*database_, *gate_);
  KEELSON_TRY_ASSIGN(begin_, database_->prepare("BEGIN IMMEDIATE"));
  KEELSON_TRY_ASSIGN(commit_, database_->prepare("COMMIT"));
  KEELSON_TRY_ASSIGN(rollback_, database_->prepare("ROLLBACK"));
  return {};
}

Result<std::optional<std::string>> ReadModel::load(const std::string& identity) {
  KEELSON_TRY(connect());
  KEELSON_TRY_ASSIGN(auto named,
                     database_->prepare("SELECT count(*) FROM sqlite_schema WHERE name "
                                        "IN ('keelson_identity','keelson_checkpoint')"));
  KEELSON_TRY(named.step());
  if (named.integer(0) != 2) return "it is not a read model, or was not wholly made";
  KEELSON_TRY_ASSIGN(auto known, database_->prepare("SELECT identity FROM keelson_identity"));
  KEELSON_TRY_ASSIGN(const bool has_identity, known.step());
  if (!has_identity || known.text(0) != identity) {
    return "it was made by another version, schema, topic or partition";
  }
  KEELSON_TRY_ASSIGN(auto select, database_->prepare(kSelectCheckpoint));
  KEELSON_TRY_ASSIGN(checkpoint_, read_checkpoint(select));
  KEELSON_TRY_ASSIGN(save_checkpoint_,
                     database_->prepare("UPDATE keelson_checkpoint SET next = ?, last_stream = ?, "
                                        "last_version = ?, last_time_us = ?"));
  return std::nullopt;
}

Result<void> ReadModel::create(const std::string& identity, Offset start) {
  KEELSON_TRY(connect());
  KEELSON_TRY(begin_.run());
  KEELSON_TRY(rules_->schema().install(*database_, *gate_));
  KEELSON_TRY(database_->execute(std::string(kCreateCheckpoint)));
  {
    KEELSON_TRY_ASSIGN(auto insert, database_->prepare("INSERT INTO keelson_identity VALUES (?)"));
    KEELSON_TRY(insert.bind(1, identity));
    KEELSON_TRY(insert.run());
  }
  {
    KEELSON_TRY_ASSIGN(auto insert, database_->prepare("INSERT INTO keelson_checkpoint VALUES "
                                                       "(0, ?1, ?1, NULL, NULL, NULL)"));
    KEELSON_TRY(insert.bind(1, start));
    KEELSON_TRY(insert.run());
  }
  KEELSON_TRY(commit_.run());
  checkpoint_ = Checkpoint{start, start, std::nullopt};
  KEELSON_TRY_ASSIGN(save_checkpoint_,
                     database_->prepare("UPDATE keelson_checkpoint SET next = ?, last_stream = ?, "
                                        "last_version = ?, last_time_us = ?"));
  return {};
}

Result<void> ReadModel::begin_at(Offset start) {
  KEELSON_ASSERT(empty());
  KEELSON_TRY_ASSIGN(auto update,
                     database_->prepare("UPDATE keelson_checkpoint SET floor = ?1, next = ?1"));
  KEELSON_TRY(update.bind(1, start));
  KEELSON_TRY(update.run());
  checkpoint_ = Checkpoint{start, start, std::nullopt};
  return {};
}

Result<void> ReadModel::begin() { return begin_.run(); }

Result<void> ReadModel::apply(const EventView& event) {
  event_offset_.value = static_cast<std::int64_t>(event.offset.value);
  KEELSON_TRY(rules_->apply(event, *tables_));
  // SQLite takes the whole transaction back by itself when the disk fails in its midst. A handler
  // that ignored that error must not go on writing outside of a transaction.
  if (sqlite3_get_autocommit(database_->handle()) != 0) {
    return fail(Errc::io_error, path_ + ": the transaction was rolled back by a disk error");
  }
  return {};
}

Result<void> ReadModel::commit(Offset next, AppliedEvent last) {
  KEELSON_TRY(save_checkpoint_.bind(1, next));
  KEELSON_TRY(save_checkpoint_.bind(2, last.stream));
  KEELSON_TRY(save_checkpoint_.bind(3, last.version));
  KEELSON_TRY(save_checkpoint_.bind(4, last.time));
  KEELSON_TRY(save_checkpoint_.run());
  KEELSON_TRY(commit_.run());
  checkpoint_.next = next;
  checkpoint_.last = std::move(last);
  return {};
}

void ReadModel::rollback() {
  // It fails when SQLite has rolled back already, which is what is wanted.
  (void)rollback_.run();
}

void ReadModel::checkpoint_wal() {
  if (wal_pages_ < kWalPagesToMove) return;
  const int mode =
      wal_pages_ < kWalPagesToRestart ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
  // When it does not get through, the next commit tries again.
  sqlite3_wal_checkpoint_v2(database_->handle(), nullptr, mode, nullptr, nullptr);
}

}  // namespace keelson::projections
