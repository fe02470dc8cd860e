// What SQL of a projection's author may do: definitions while its schema is read, data afterwards.
#pragma once

#include <string>
#include <string_view>

#include "projections/sqlite_database.h"

namespace keelson::projections {

/// Stands between a read model's writing connection and SQL that the framework did not write.
/// SQLite asks it about each thing a statement does while the statement is prepared; what is not
/// named here as allowed is refused. Statements of the framework are prepared with the gate open,
/// so the two kinds must not share a cache.
class WriteGate {
 public:
  enum class Mode {
    open,     ///< the framework's own statements
    schema,   ///< CREATE TABLE, CREATE INDEX, CREATE VIEW
    handler,  ///< SELECT, INSERT, UPDATE, DELETE on the projection's tables
  };

  explicit WriteGate(Database& database);
  ~WriteGate();
  WriteGate(const WriteGate&) = delete;
  WriteGate& operator=(const WriteGate&) = delete;

  /// In `mode` while it lives.
  class Scope {
   public:
    Scope(WriteGate& gate, Mode mode) : gate_(gate), before_(gate.mode_) {
      gate.mode_ = mode;
      gate.refusal_.clear();
    }
    ~Scope() { gate_.mode_ = before_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    WriteGate& gate_;
    Mode before_;
  };

  /// What must hold of SQL before it is prepared in handler mode. @error bad_request
  [[nodiscard]] static Result<void> check_text(std::string_view sql);

  /// `error`, told by what the gate refused since the scope began, if it refused anything.
  [[nodiscard]] Error explain(Error error) const;

 private:
  static int on_action(void* gate, int action, const char* first, const char* second,
                       const char* database, const char* via);
  bool allows_definition(int action, std::string_view first, std::string_view second);
  bool allows_data(int action, std::string_view first, std::string_view second,
                   std::string_view via);
  bool refuse(std::string why);

  Database& database_;
  Mode mode_ = Mode::open;
  std::string refusal_;
};

}  // namespace keelson::projections
