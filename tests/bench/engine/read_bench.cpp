// Replay and stream reads, page cache warm, beside SQLite doing the same.
#include <sqlite3.h>

#include <future>
#include <random>

#include "tests/bench/engine/bench_store.h"
#include "tests/bench/report.h"

using namespace keelson;
using namespace keelson::bench;

namespace {

constexpr int kStreams = 4500;
constexpr int kEventsPerStream = 235;
constexpr std::uint64_t kEvents = std::uint64_t{kStreams} * kEventsPerStream;
constexpr std::size_t kEventBytes = 200;

void must(bool good) {
  if (!good) std::abort();
}

/// Every stream gets an event in turn, 1,000 events a commit.
void fill(Partition& partition) {
  std::uint64_t next = 0;
  while (next < kEvents) {
    Commit commit;
    for (int i = 0; i < 1000 && next < kEvents; ++i, ++next) {
      commit.writes.push_back({"account-" + std::to_string(next % kStreams),
                               ExpectedVersion::any(),
                               {{"deposited", std::string(kEventBytes, 'd'), ""}}});
    }
    std::promise<bool> done;
    partition.execute(
        std::nullopt, [&](const Staging&) { return Result<Commit>(std::move(commit)); },
        [&](const Result<CommitOutcome>& outcome) { done.set_value(outcome.has_value()); });
    must(done.get_future().get());
  }
}

/// The same events in SQLite: a table by rowid with an index on (stream, version).
class SqliteEvents {
 public:
  explicit SqliteEvents(const std::string& folder) {
    must(sqlite3_open((folder + "/events.db").c_str(), &db_) == SQLITE_OK);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA mmap_size=4000000000;"
        "CREATE TABLE e(o INTEGER PRIMARY KEY, s TEXT, v INTEGER, t TEXT, d TEXT); BEGIN");
    sqlite3_stmt* insert = prepare("INSERT INTO e VALUES(?,?,?,?,?)");
    const std::string data(kEventBytes, 'd');
    for (std::uint64_t i = 0; i < kEvents; ++i) {
      const std::string stream = "account-" + std::to_string(i % kStreams);
      sqlite3_bind_int64(insert, 1, static_cast<sqlite3_int64>(i));
      sqlite3_bind_text(insert, 2, stream.c_str(), -1, SQLITE_TRANSIENT);
      sqlite3_bind_int64(insert, 3, static_cast<sqlite3_int64>(i / kStreams + 1));
      sqlite3_bind_text(insert, 4, "deposited", -1, SQLITE_STATIC);
      sqlite3_bind_text(insert, 5, data.c_str(), -1, SQLITE_STATIC);
      must(sqlite3_step(insert) == SQLITE_DONE);
      sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    run("COMMIT; CREATE INDEX e_s ON e(s, v)");
    scan_ = prepare("SELECT o, s, v, t, d FROM e ORDER BY o");
    stream_ = prepare("SELECT o, s, v, t, d FROM e WHERE s = ? ORDER BY v");
  }
  ~SqliteEvents() {
    sqlite3_finalize(scan_);
    sqlite3_finalize(stream_);
    sqlite3_close(db_);
  }
  SqliteEvents(const SqliteEvents&) = delete;
  SqliteEvents& operator=(const SqliteEvents&) = delete;

  [[nodiscard]] std::uint64_t scan() const { return drain(scan_); }
  [[nodiscard]] std::uint64_t stream(const std::string& name) const {
    sqlite3_bind_text(stream_, 1, name.c_str(), -1, SQLITE_TRANSIENT);
    return drain(stream_);
  }

 private:
  void run(const char* sql) const {
    must(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  [[nodiscard]] sqlite3_stmt* prepare(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    must(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) == SQLITE_OK);
    return statement;
  }
  [[nodiscard]] static std::uint64_t drain(sqlite3_stmt* statement) {
    std::uint64_t bytes = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      static_cast<void>(sqlite3_column_text(statement, 4));
      bytes += static_cast<std::uint64_t>(sqlite3_column_bytes(statement, 4));
    }
    sqlite3_reset(statement);
    return bytes;
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* scan_ = nullptr;
  sqlite3_stmt* stream_ = nullptr;
};

void measure_replay(Partition& partition, const SqliteEvents& sqlite, int runs) {
  const auto replay = paired(
      runs,
      [&] {
        std::uint64_t bytes = 0;
        const double time = seconds([&] {
          const auto cursor = partition.read(Offset(0)).value();
          while (true) {
            const auto event = cursor->next().value();
            if (!event) break;
            bytes += event->data.size();
          }
        });
        must(bytes == kEvents * kEventBytes);
        return static_cast<double>(kEvents) / time;
      },
      [&] {
        return static_cast<double>(kEvents) /
               seconds([&] { must(sqlite.scan() == kEvents * kEventBytes); });
      });
  report("replay", replay.value, "events/s", replay.limit,
         "1,057,500 events of 200 B, checksums verified; limit: SQLite rowid scan, mmap");
}

void measure_streams(Partition& partition, const SqliteEvents& sqlite, int runs) {
  constexpr int kReads = 2000;
  std::mt19937 random(1);
  const auto name = [&] { return "account-" + std::to_string(random() % kStreams); };
  const auto streams = paired(
      runs,
      [&] {
        return kReads / seconds([&] {
                 for (int i = 0; i < kReads; ++i) {
                   std::uint64_t bytes = 0;
                   must(partition
                            .read_stream(name(), {.command_ids = false},
                                         [&](const EventView& event) {
                                           bytes += event.data.size();
                                           return true;
                                         })
                            .has_value());
                   must(bytes == kEventsPerStream * kEventBytes);
                 }
               });
      },
      [&] {
        return kReads / seconds([&] {
                 for (int i = 0; i < kReads; ++i) {
                   must(sqlite.stream(name()) == kEventsPerStream * kEventBytes);
                 }
               });
      });
  report("stream.235", streams.value, "streams/s", streams.limit,
         "streams of 235 events among 4,500, at random, warm, without command ids; limit: SQLite "
         "indexed read, mmap");
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  BenchStore store;
  Partition& partition = store.partition();
  fill(partition);
  const SqliteEvents sqlite(store.folder());
  if (arguments.wants("replay")) measure_replay(partition, sqlite, arguments.runs());
  if (arguments.wants("stream.235")) measure_streams(partition, sqlite, arguments.runs());
  return 0;
}
