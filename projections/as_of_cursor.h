// One scan of one table over all partitions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "projections/as_of_planner.h"
#include "projections/as_of_table.h"
#include "projections/packed_values.h"
#include "projections/sqlite_database.h"

struct sqlite3_context;
struct sqlite3_value;

namespace keelson::projections {

/// Steps a statement per partition. Without an order one after another, each opened when it is
/// reached; with an order all at once, merged by the columns of the order. With a list of an IN, a
/// statement per partition and value. Functions return SQLite's result codes, because SQLite calls
/// them.
///
/// SQLite checks what is found once more, by its own rules and knowing the affinity of both sides
/// of a comparison. So too many rows cost time; rows too few are a wrong answer.
class AsOfCursor {
 public:
  int start(const Table& table, bool versions, PlannedScan& plan, const QuerySnapshot& snapshot,
            std::span<sqlite3_value*> values);
  int next();
  [[nodiscard]] bool at_end() const { return current_ == nullptr; }
  /// @param ordinal  of the virtual table.
  void column(sqlite3_context* context, int ordinal) const;

 private:
  struct Input {
    PartitionId partition;
    Statement statement;
    bool as_of = false;
    bool changed = false;  ///< since: the row's version then is in `version`, valid until a step
    PackedValues version;
  };

  struct FreeValue {
    void operator()(sqlite3_value* value) const;
  };
  using OwnedValue = std::unique_ptr<sqlite3_value, FreeValue>;

  int take_values(std::span<sqlite3_value*> values);
  int take_list(std::size_t constraint, sqlite3_value* list);
  /// Opens the scan of one partition and goes to its first row; SQLITE_ROW, SQLITE_DONE or an
  /// error.
  int open(const PartitionSnapshot& partition, Input& input);
  /// Goes to the next row that is one; SQLITE_ROW, SQLITE_DONE or an error.
  int step(Input& input) const;
  const std::string& sql_of(ScanMode mode);
  int open_next();
  int open_all();
  int take_least();
  /// Whether `a` comes after `b`.
  [[nodiscard]] bool after(const Input& a, const Input& b) const;

  const Table* table_ = nullptr;
  bool versions_ = false;
  PlannedScan* plan_ = nullptr;
  const QuerySnapshot* snapshot_ = nullptr;
  std::vector<OwnedValue> values_;     ///< of the constraints, for partitions opened later
  std::optional<std::size_t> listed_;  ///< the constraint that has the values of `list_`
  std::vector<OwnedValue> list_;
  std::uint32_t left_out_ = 0;      ///< constraints, by bit, that the partitions are not asked for
  std::size_t next_partition_ = 0;  ///< to open, when one follows another
  std::size_t next_value_ = 0;      ///< of the list, in that partition
  std::vector<Input> inputs_;       ///< at most one, or in a merge all that have rows
  const Input* current_ = nullptr;  ///< the last of `inputs_`; in a merge the others are a heap
};

}  // namespace keelson::projections
