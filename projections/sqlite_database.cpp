#include "projections/sqlite_database.h"

#include <sqlite3.h>

#include <cerrno>
#include <system_error>

#include "engine/base/check.h"
#include "engine/store/names.h"

namespace keelson::projections {

namespace {

constexpr int kBusyTimeoutMs = 5000;

/// What the operating system said, where SQLite alone knows no more than "disk I/O error"; else 0.
/// Not of writes: their ENOSPC has a code of its own, SQLITE_FULL. But a disk without room for a
/// -shm file shows here only.
int cause_of(sqlite3* database, int code) {
  const int kind = code & 0xff;
  return kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN ? sqlite3_system_errno(database) : 0;
}

/// What a SQLite result code means to a caller.
Errc errc_of(int code, int cause) {
  if (cause == ENOSPC || cause == EDQUOT) return Errc::disk_full;
  switch (code & 0xff) {
    case SQLITE_FULL: return Errc::disk_full;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return Errc::io_error;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Errc::corruption;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM: return Errc::overloaded;
    case SQLITE_INTERRUPT: return Errc::timeout;
    case SQLITE_TOOBIG: return Errc::too_large;
    case SQLITE_MISUSE:
    case SQLITE_INTERNAL: return Errc::internal;
    default: return Errc::bad_request;
  }
}

Error database_error(sqlite3* database, int code, std::string_view doing) {
  const int cause = cause_of(database, code);
  std::string context(doing);
  if (!context.empty()) context += ": ";
  context += code == SQLITE_MISUSE ? "misuse" : sqlite3_errmsg(database);
  if (cause != 0) context += " (" + std::generic_category().message(cause) + ")";
  return Error{errc_of(code, cause), std::move(context), std::nullopt};
}

}  // namespace

std::string quoted(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"') text += '"';
    text += c;
  }
  return text += '"';
}

// --- Statement ---

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    release();
    statement_ = std::exchange(other.statement_, nullptr);
    home_ = std::exchange(other.home_, nullptr);
  }
  return *this;
}

void Statement::release() {
  if (statement_ == nullptr) return;
  if (home_ != nullptr) {
    home_->give_back(statement_);
  } else {
    sqlite3_finalize(statement_);
  }
  statement_ = nullptr;
}

Result<void> Statement::bind(int index, const Value& value) {
  int code = SQLITE_OK;
  const std::string_view bytes = value.bytes();
  switch (value.type()) {
    case Value::Type::null: code = sqlite3_bind_null(statement_, index); break;
    case Value::Type::integer:
      code = sqlite3_bind_int64(statement_, index, *value.integer());
      break;
    case Value::Type::real: code = sqlite3_bind_double(statement_, index, *value.real()); break;
    case Value::Type::text:
      if (!is_utf8(bytes)) return fail(Errc::bad_request, "text that is not valid UTF-8");
      code = sqlite3_bind_text64(statement_, index, bytes.data(), bytes.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
      break;
    case Value::Type::blob:
      code = bytes.empty() ? sqlite3_bind_zeroblob(statement_, index, 0)
                           : sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(),
                                                 SQLITE_TRANSIENT);
      break;
    case Value::Type::unfit: return fail(Errc::bad_request, std::string(bytes));
  }
  if (code == SQLITE_OK) return {};
  return std::unexpected(database_error(sqlite3_db_handle(statement_), code, "bind a value"));
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(database_error(sqlite3_db_handle(statement_),
                                        sqlite3_extended_errcode(sqlite3_db_handle(statement_)),
                                        sql()));
}

Result<void> Statement::run() {
  const auto stepped = step();
  sqlite3_reset(statement_);
  if (!stepped) return std::unexpected(stepped.error());
  return {};
}

void Statement::reset() { sqlite3_reset(statement_); }

int Statement::column_count() const { return sqlite3_column_count(statement_); }

std::string_view Statement::column_name(int column) const {
  const char* const name = sqlite3_column_name(statement_, column);
  return name == nullptr ? "" : name;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Value Statement::value(int column) const {
  switch (sqlite3_column_type(statement_, column)) {
    case SQLITE_INTEGER: return integer(column);
    case SQLITE_FLOAT: return sqlite3_column_double(statement_, column);
    case SQLITE_TEXT: return text(column);
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
      return Value::blob(size == 0 ? std::string() : std::string(bytes, size));
    }
    default: return nullptr;
  }
}

std::string_view Statement::sql() const { return sqlite3_sql(statement_); }

// --- Database ---

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  const std::string name = mode == Mode::memory ? ":memory:" : path;
  // Not SQLITE_OPEN_READONLY for reading: a WAL database that was not closed cleanly needs its
  // shared memory file made anew, which a read-only connection cannot do.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (mode == Mode::read ? 0 : SQLITE_OPEN_CREATE);
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  if (handle == nullptr) return fail(Errc::io_error, "open " + name + ": out of memory");
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return std::unexpected(database->error(code, "open " + name));
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  for (const int off :
       {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        SQLITE_DBCONFIG_DQS_DDL, SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER}) {
    sqlite3_db_config(handle, off, 0, nullptr);
  }
  for (const int on : {SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY}) {
    sqlite3_db_config(handle, on, 1, nullptr);
  }
  KEELSON_TRY(database->execute("PRAGMA recursive_triggers = ON; PRAGMA secure_delete = OFF;"));
  if (mode == Mode::read) KEELSON_TRY(database->execute("PRAGMA query_only = ON;"));
  return database;
}

Database::~Database() {
  // Fails only when a statement is still alive, which would leak the connection and its locks.
  KEELSON_ASSERT(sqlite3_close(handle_) == SQLITE_OK);
}

Result<void> Database::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code, sql));
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  std::string_view rest = sql;
  KEELSON_TRY_ASSIGN(Statement statement, prepare_first(rest));
  if (statement.handle() == nullptr) return fail(Errc::bad_request, "there is no SQL statement");
  KEELSON_TRY_ASSIGN(const Statement second, prepare_first(rest));
  if (second.handle() != nullptr) {
    return fail(Errc::bad_request, "more than one SQL statement, where one is wanted");
  }
  return statement;
}

Result<Statement> Database::prepare_first(std::string_view& sql) {
  if (sql.find('\0') != std::string_view::npos) {
    return fail(Errc::bad_request, "SQL with a NUL character");
  }
  if (sql.size() > 1u << 20) return fail(Errc::too_large, "SQL of over 1 MiB");
  while (!sql.empty()) {
    sqlite3_stmt* handle = nullptr;
    const char* tail = nullptr;
    const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    if (code != SQLITE_OK) return std::unexpected(error());
    sql.remove_prefix(static_cast<std::size_t>(tail - sql.data()));
    if (handle != nullptr) return Statement(handle, nullptr);
  }
  return Statement();
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle_); }

Error Database::error(int code, std::string_view doing) const {
  return database_error(handle_, code, doing);
}

Error Database::error() const {
  return database_error(handle_, sqlite3_extended_errcode(handle_), "");
}

// --- StatementCache ---

StatementCache::~StatementCache() {
  for (sqlite3_stmt* statement : idle_) sqlite3_finalize(statement);
}

Result<Statement> StatementCache::prepare(std::string_view sql) {
  if (const auto found = by_text_.find(sql); found != by_text_.end()) {
    sqlite3_stmt* const statement = *found->second;
    idle_.erase(found->second);
    by_text_.erase(found);
    return Statement(statement, this);
  }
  KEELSON_TRY_ASSIGN(Statement made, database_.prepare(sql));
  // Given back under the text it holds, which ends where the statement ends: only a text that is
  // all of one statement is found again.
  if (made.sql() != sql) return made;
  made.home_ = this;
  return made;
}

void StatementCache::give_back(sqlite3_stmt* statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  idle_.push_front(statement);
  by_text_.emplace(sqlite3_sql(statement), idle_.begin());
  if (idle_.size() <= kept_max_) return;
  const auto oldest = std::prev(idle_.end());
  auto [first, end] = by_text_.equal_range(sqlite3_sql(*oldest));
  while (first != end && first->second != oldest) ++first;
  KEELSON_ASSERT(first != end);
  by_text_.erase(first);
  sqlite3_finalize(*oldest);
  idle_.erase(oldest);
}

}  // namespace keelson::projections
