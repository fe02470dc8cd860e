// SQLite with errors as values: a connection, its statements, and a cache of them.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/base/result.h"
#include "projections/value.h"

struct sqlite3;
struct sqlite3_stmt;

namespace keelson::projections {

class StatementCache;

/// A prepared statement; destruction finalizes it, or gives it back to the cache it came from.
/// Columns may be read after `step` said there is a row, until the next step.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3_stmt* statement, StatementCache* home) : statement_(statement), home_(home) {}
  Statement(Statement&& other) noexcept { *this = std::move(other); }
  Statement& operator=(Statement&& other) noexcept;
  ~Statement() { release(); }

  /// @param index  from 1. @error bad_request  an unfit value, or text that is not UTF-8.
  [[nodiscard]] Result<void> bind(int index, const Value& value);
  /// Goes to the next row; false when there is none.
  [[nodiscard]] Result<bool> step();
  /// Steps a statement that gives no rows, then makes it ready to run again.
  [[nodiscard]] Result<void> run();
  /// Ready to run again; bound values stay.
  void reset();

  [[nodiscard]] int column_count() const;
  [[nodiscard]] std::string_view column_name(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] Value value(int column) const;
  [[nodiscard]] std::string_view sql() const;
  [[nodiscard]] sqlite3_stmt* handle() const { return statement_; }

 private:
  friend class StatementCache;
  void release();

  sqlite3_stmt* statement_ = nullptr;
  StatementCache* home_ = nullptr;
};

/// A connection. Used by one thread at a time.
class Database {
 public:
  enum class Mode {
    read_write,  ///< made if missing
    read,        ///< must exist; the connection refuses to write
    memory,      ///< `path` is not used
  };

  /// Opens with what every connection here has in common: no extensions, no writable schema, no
  /// double-quoted strings, foreign keys enforced, triggers fired by REPLACE as well.
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(const std::string& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs the statements of `sql` one after another.
  [[nodiscard]] Result<void> execute(const std::string& sql);
  /// @error bad_request  not exactly one statement, or an error in it.
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  /// Prepares the first statement of `sql` and takes it off; an empty statement (handle nullptr)
  /// where nothing but blanks and comments is left.
  [[nodiscard]] Result<Statement> prepare_first(std::string_view& sql);

  /// Rows the last INSERT, UPDATE or DELETE wrote itself, triggers not counted.
  [[nodiscard]] std::int64_t changes() const;
  /// The connection's last error, `code` being what a call returned.
  [[nodiscard]] Error error(int code, std::string_view doing) const;
  /// The same in SQLite's words alone.
  [[nodiscard]] Error error() const;
  [[nodiscard]] sqlite3* handle() const { return handle_; }

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}

  sqlite3* handle_;
};

/// Keeps the statements of one connection prepared, by their text: the least recently used goes
/// first. Must outlive the statements it lends and go before its connection.
class StatementCache {
 public:
  StatementCache(Database& database, std::size_t kept_max)
      : database_(database), kept_max_(kept_max) {}
  ~StatementCache();
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;

  /// Lends a statement; two with one text can be out at once.
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);

 private:
  friend class Statement;
  void give_back(sqlite3_stmt* statement);

  Database& database_;
  std::size_t kept_max_;
  std::list<sqlite3_stmt*> idle_;  ///< most recently used first
  /// By the text the statement itself holds.
  std::unordered_multimap<std::string_view, std::list<sqlite3_stmt*>::iterator> by_text_;
};

/// `name` as an SQL identifier, whatever is in it.
[[nodiscard]] std::string quoted(std::string_view name);

}  // namespace keelson::projections
