// Any text as a query from outside. The oracle does not ask the gate: functions that read a clock,
// chance or the connection are replaced by traps, opening a database by a trap, and what only
// internal tables hold is a secret of this run, which no answer may contain.
//
// The first byte says how the rest becomes SQL: as it is, or each byte a word of a vocabulary,
// which gets far past the parser.
#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/io/posix_file_system.h"
#include "projections/projection.h"
#include "projections/projection_host.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/sql_words.h"
#include "tests/projections/support/memory_topic.h"
#include "tests/support/temporary_folder.h"

namespace {

using namespace keelson;
using namespace keelson::projections;

// --- traps ---

bool g_armed = false;              ///< a query from outside is running
std::set<sqlite3*> g_connections;  ///< that are open

void trap(sqlite3_context*, int, sqlite3_value**) { KEELSON_ASSERT(!g_armed); }

/// None of these may be called by a query, whatever name it uses.
constexpr std::array kForbidden = {"random",
                                   "randomblob",
                                   "date",
                                   "time",
                                   "datetime",
                                   "julianday",
                                   "unixepoch",
                                   "strftime",
                                   "current_date",
                                   "current_time",
                                   "current_timestamp",
                                   "last_insert_rowid",
                                   "changes",
                                   "total_changes",
                                   "sqlite_version",
                                   "sqlite_source_id",
                                   "sqlite_compileoption_get",
                                   "sqlite_compileoption_used",
                                   "sqlite_log",
                                   "load_extension",
                                   "fts3_tokenizer",
                                   "sqlite_rename_column"};

/// SQLite calls it for every connection that is opened.
int set_traps(sqlite3* database, const char**, const sqlite3_api_routines*) {
  KEELSON_ASSERT(!g_armed || sqlite3_db_filename(database, "main")[0] == '\0');
  g_connections.insert(database);
  // A function's data is given back when its connection is closed.
  sqlite3_create_function_v2(
      database, "keelson_closed", 0, SQLITE_UTF8, database, trap, nullptr, nullptr,
      [](void* closed) { g_connections.erase(static_cast<sqlite3*>(closed)); });
  for (const char* name : kForbidden) {
    sqlite3_create_function(database, name, -1, SQLITE_UTF8, nullptr, trap, nullptr, nullptr);
  }
  return SQLITE_OK;
}

/// A file system that opens no database while a query runs; sorting may use temporary files.
sqlite3_vfs* system_files() {
  static sqlite3_vfs* const files = sqlite3_vfs_find(nullptr);
  return files;
}

int guarded_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  constexpr int kTemporary = SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL |
                             SQLITE_OPEN_TRANSIENT_DB | SQLITE_OPEN_SUBJOURNAL;
  KEELSON_ASSERT(!g_armed || (flags & kTemporary) != 0);
  return system_files()->xOpen(system_files(), name, file, flags, out);
}

int guarded_delete(sqlite3_vfs*, const char* name, int sync) {
  KEELSON_ASSERT(!g_armed);
  return system_files()->xDelete(system_files(), name, sync);
}

void guard_files() {
  static sqlite3_vfs guard = *system_files();
  guard.zName = "guard";
  guard.pNext = nullptr;
  guard.xOpen = guarded_open;
  guard.xDelete = guarded_delete;
  KEELSON_ASSERT(sqlite3_vfs_register(&guard, 1) == SQLITE_OK);
}

// --- the read model that is asked ---

/// A connection beside the host's, which sees whether they wrote.
class Witness {
 public:
  explicit Witness(const std::string& file) {
    KEELSON_ASSERT(sqlite3_open(file.c_str(), &database_) == SQLITE_OK);
  }
  ~Witness() { sqlite3_close(database_); }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  void run(const std::string& sql) {
    KEELSON_ASSERT(sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  /// Changes when another connection has written the file.
  [[nodiscard]] int data_version() const {
    sqlite3_stmt* statement = nullptr;
    KEELSON_ASSERT(sqlite3_prepare_v2(database_, "PRAGMA data_version", -1, &statement, nullptr) ==
                   SQLITE_OK);
    KEELSON_ASSERT(sqlite3_step(statement) == SQLITE_ROW);
    const int version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return version;
  }

 private:
  sqlite3* database_ = nullptr;
};

class Model {
 public:
  Model() {
    guard_files();
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(set_traps));
    Projection projection("test", 1);
    projection.schema(R"sql(
      CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER, r REAL, b BLOB) STRICT;
      CREATE INDEX t_v ON t(v);
      CREATE TABLE u (a INTEGER, c TEXT, n TEXT COLLATE NOCASE, PRIMARY KEY (a, c))
        STRICT, WITHOUT ROWID;
      CREATE VIEW w AS SELECT k, v FROM t WHERE v > 1;
    )sql");
    projection.on("s", "set",
                  "INSERT INTO t(k, v, r, b) VALUES (@stream_id, :v, :v / 2.0, x'00ff') "
                  "ON CONFLICT DO UPDATE SET v = :v; "
                  "INSERT INTO u VALUES (:v, 'A', 'b') ON CONFLICT DO NOTHING");
    projection.on("s", "gone", "DELETE FROM t WHERE k = @stream_id");
    for (int i = 0; i < 40; ++i) {
      topic_.append("s-" + std::to_string(i % 7), i % 9 == 8 ? "gone" : "set",
                    R"({"v":)" + std::to_string(i) + "}");
    }
    auto registry = std::make_shared<ProjectionRegistry>();
    registry->add(std::move(projection));
    options_.folder = folder_.path();
    auto opened =
        ProjectionHost::open({files_, clock_, random_, scheduler_}, topic_, registry, options_);
    if (!opened) std::fprintf(stderr, "%s\n", opened.error().message().c_str());
    KEELSON_ASSERT(opened.has_value());
    host_ = *std::move(opened);
    host_->start();
    scheduler_.run();
    for (const int p : {0, 1}) hide_secret(p);
    limits_.time_max = std::chrono::milliseconds(100);
    limits_.rows_max = 100;
    limits_.bytes_max = 64u << 10;
    // Everything that is opened once is open now.
    (void)trusted_query("SELECT * FROM t, u, w");
    for (const auto& witness : witnesses_) versions_.push_back(witness->data_version());
    before_ = contents();
  }

  void ask(const std::string& sql, std::uint8_t at) {
    // SQLite compares it, as the name of a column, so libFuzzer may have seen it there.
    if (holds_secret(sql)) return;
    g_armed = true;
    const auto first = query(sql, at);
    const auto second = query(sql, at);
    g_armed = false;
    if (first && second) KEELSON_ASSERT(first->rows_json == second->rows_json);
    if (first) check_answer(sql, *first);
    if (!first) KEELSON_ASSERT(!first.error().context.empty());
    if (!first) KEELSON_ASSERT(!holds_secret(first.error().message()));
    for (sqlite3* connection : g_connections) {
      KEELSON_ASSERT(sqlite3_db_name(connection, 2) == nullptr);  // 0 and 1: main and temp
    }
    for (std::size_t i = 0; i < witnesses_.size(); ++i) {
      KEELSON_ASSERT(witnesses_[i]->data_version() == versions_[i]);
    }
    if (++asked_ % 64 == 0) KEELSON_ASSERT(contents() == before_);
  }

 private:
  /// What queries see of no table but internal ones: keys that no version goes with, and text of
  /// the framework's own tables.
  void hide_secret(int partition) {
    const std::string file = folder_.path() + "/test/v1/p" + std::to_string(partition) + ".db";
    witnesses_.push_back(std::make_unique<Witness>(file));
    Witness& witness = *witnesses_.back();
    const std::string text = "'" + secret_ + "'";
    witness.run("UPDATE keelson_identity SET identity = identity || " + text);
    witness.run("UPDATE keelson_checkpoint SET last_stream = " + text);
    witness.run("INSERT INTO t__dead VALUES (" + text + ")");
    witness.run("INSERT INTO t__was1 VALUES (77, " + text + ")");
    witness.run("CREATE TABLE keelson_other (" + text + " TEXT)");
  }

  /// By hashes: what is compared, libFuzzer sees and puts into an input.
  [[nodiscard]] bool holds_secret(std::string_view text) const {
    const std::hash<std::string_view> hash;
    const std::size_t wanted = hash(secret_);
    for (std::size_t at = text.find(secret_.front()); at != text.npos;
         at = text.find(secret_.front(), at + 1)) {
      if (hash(text.substr(at, secret_.size())) == wanted) return true;
    }
    return false;
  }

  Result<QueryResult> query(const std::string& sql, std::uint8_t at) {
    std::optional<Position> position;
    if (at % 4 != 0) {
      position.emplace(2);
      for (std::uint32_t p = 0; p < 2; ++p) {
        const std::uint64_t end = topic_.partition(PartitionId(p)).end().value;
        position->set_next(PartitionId(p), Offset(at * (p + 1) % (end + 1)));
      }
    }
    return host_->query("test", sql, nlohmann::json::array(), position, limits_);
  }

  void check_answer(const std::string& sql, const QueryResult& answer) const {
    KEELSON_ASSERT(nlohmann::json::accept(answer.rows_json));
    KEELSON_ASSERT(answer.row_count <= limits_.rows_max && !answer.columns.empty());
    KEELSON_ASSERT(answer.rows_json.size() <= 8 * limits_.bytes_max);
    std::string all = answer.rows_json;
    for (const std::string& column : answer.columns) all += column;
    KEELSON_ASSERT(!holds_secret(all));
    // Part of the gate's own schema.
    if (sql.find("as_of") == std::string::npos) {
      KEELSON_ASSERT(all.find("keelson_as_of") == std::string::npos);
    }
  }

  /// Asks until there is time: a process that was stopped for a while has spent its query's.
  [[nodiscard]] QueryResult trusted_query(const char* sql) const {
    auto answer = host_->query("test", sql, nullptr, {}, {});
    while (!answer && answer.error().code == Errc::timeout) {
      answer = host_->query("test", sql, nullptr, {}, {});
    }
    KEELSON_ASSERT(answer.has_value());
    return *std::move(answer);
  }

  [[nodiscard]] std::string contents() const {
    std::string all;
    for (const char* sql : {"SELECT * FROM t__history ORDER BY k, _from, _partition",
                            "SELECT * FROM u__history ORDER BY a, c, _from, _partition",
                            "SELECT * FROM w ORDER BY k"}) {
      all += trusted_query(sql).rows_json;
    }
    return all;
  }

  test::TemporaryFolder folder_;
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  test::ManualScheduler scheduler_;
  test::MemoryTopic topic_{2};
  HostOptions options_;
  QueryLimits limits_;
  std::unique_ptr<ProjectionHost> host_;
  std::string secret_ = "k" + std::to_string(SystemRandom().next());
  std::vector<std::unique_ptr<Witness>> witnesses_;
  std::vector<int> versions_;
  std::string before_;
  std::uint64_t asked_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& model = *new Model;
  keelson::fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const std::string sql = mode % 2 == 0 ? std::string(input.rest()) : fuzz::sql_of(input.rest());
  model.ask(sql, mode / 2);
  return 0;
}
