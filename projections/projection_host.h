// Runs a topic's projections and answers queries over their read models, now and as of the past.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/store/position.h"
#include "engine/store/store.h"

namespace keelson::projections {

class ProjectionRegistry;

/// What one query may use at most; over it: `too_large` or `timeout`.
struct QueryLimits {
  std::chrono::milliseconds time_max{2000};
  std::uint64_t rows_max = 10'000;
  std::uint64_t bytes_max = 8u << 20;  ///< of the answer
  /// Of one value, and of a row that is sorted; what is larger in a table cannot be asked for. More
  /// than an event may have, of which a column may hold all. The time in which a query is stopped
  /// grows with it.
  std::uint64_t value_bytes_max = 2u << 20;
  std::uint64_t memory_bytes_max = 128u << 20;  ///< in SQLite, its page cache included
};

struct HostOptions {
  std::string folder;  ///< read models: `folder/<projection>/v<version>/p<partition>.db`
  std::uint32_t transaction_events_max = 10'000;  ///< events applied per SQLite transaction
  std::chrono::milliseconds transaction_time_max{200};
  std::uint32_t apply_threads_max = 4;  ///< for all projections and partitions together
  std::uint32_t readers_max = 8;        ///< queries running at once per projection
  QueryLimits limits;
};

struct ColumnInfo {
  std::string name;
  std::string type;  ///< INTEGER, TEXT, REAL or BLOB
  bool nullable = true;
  bool key = false;
};

struct TableInfo {
  std::string name;
  std::vector<ColumnInfo> columns;
};

struct ProjectionInfo {
  std::string name;
  std::uint32_t version = 1;
  /// Names what answers are derived by and from: another one when the version, the schema or a rule
  /// in SQL has changed, and for another topic of the same name. Part of as-of ETags.
  std::string code_version;
  std::string topic;
  std::string summary;
  std::vector<TableInfo> tables;
};

struct ProjectionStatus {
  struct PartitionStatus {
    PartitionId partition;
    Offset next;  ///< all below is applied and committed in the read model
    std::uint64_t lag_events = 0;
    double lag_seconds = 0;  ///< age of the oldest event not applied; 0 when none
    /// The failing event; the next one to apply where the log is damaged.
    std::optional<Offset> halted_at;
    /// Why it halted or, without `halted_at`, what it tries again; for people.
    std::string error;
  };
  Position position;
  std::vector<PartitionStatus> partitions;
};

/// Rows in the order of `columns`; each value null, integer, real, text (BLOBs as base64 text).
struct QueryResult {
  std::vector<std::string> columns;
  std::string rows_json;  ///< JSON array of arrays
  std::uint64_t row_count = 0;
  Position at;  ///< what the answer reflects
};

/// Of which partitions an answer is to be; none named: of all.
using Partitions = std::vector<PartitionId>;

/// One filter of the rows route: `column=value`, compared by the column's type.
struct ColumnFilter {
  std::string column;
  std::string value;
};

struct RowsRequest {
  std::string table;
  std::vector<ColumnFilter> filters;
  std::string order;  ///< `column`, `-column`, several by commas; empty: the primary key
  std::uint64_t limit = 100;
  std::optional<Position> at;
  Partitions partitions{};
};

struct RowsResult {
  std::string rows_json;  ///< JSON array of objects
  std::uint64_t row_count = 0;
  Position at;
};

/// The projections of one topic. Thread-safe; queries run on the calling thread.
class ProjectionHost {
 public:
  /// Opens or makes every read model; a file that cannot be used is named and rebuilt from the log.
  /// A partition whose log is damaged does not fail the host: its file is kept, its status says
  /// why, and questions to the projection fail with that error rather than leave its rows out. So
  /// it is with a read model that a full disk keeps from opening, until there is room: it is tried
  /// again, and no start is needed.
  /// @error bad_request  a projection's schema breaks a rule (see docs/projections.md).
  [[nodiscard]] static Result<std::unique_ptr<ProjectionHost>> open(
      Environment environment, Topic& topic, std::shared_ptr<const ProjectionRegistry> registry,
      HostOptions options);
  virtual ~ProjectionHost() = default;

  /// Starts applying. `stop` finishes the open transaction.
  virtual void start() = 0;
  virtual void stop() = 0;

  [[nodiscard]] virtual Topic& topic() const = 0;
  [[nodiscard]] virtual const std::vector<ProjectionInfo>& projections() const = 0;
  /// Nullptr when there is no such projection.
  [[nodiscard]] virtual const ProjectionInfo* find(std::string_view name) const = 0;
  /// @error not_found
  [[nodiscard]] virtual Result<ProjectionStatus> status(std::string_view name) const = 0;
  /// What retention had removed when the read models were made, so that they have not seen it: none
  /// usually. Answers as of one position differ between read models with different floors.
  /// @error not_found
  [[nodiscard]] virtual Result<Position> floor(std::string_view name) const = 0;

  /// One read-only SELECT over the union of the partitions' read models, unchanged but for the time
  /// it looks at. `params`: JSON array (`?`) or object (`:name`).
  /// @param at  state after all events at or below; none: whatever is applied now.
  /// @param partitions  the union of these alone; `at` counts in them only.
  /// @error bad_request  not one SELECT, an error in it, or something not allowed.
  /// @error not_caught_up  `at` is committed but not applied yet. @error below_start
  /// @error too_large, timeout  over `limits`. @error not_found  no such projection.
  /// @error corruption, unsupported_format  the log of a partition is damaged.
  /// @error disk_full, io_error, overloaded  the read model of a partition is not open yet, or
  /// reading it failed.
  [[nodiscard]] virtual Result<QueryResult> query(std::string_view name, const std::string& sql,
                                                  const nlohmann::json& params,
                                                  const std::optional<Position>& at,
                                                  const QueryLimits& limits,
                                                  const Partitions& partitions = {}) const = 0;

  /// @error bad_request  unknown column or order. @error not_found  no such projection or table.
  [[nodiscard]] virtual Result<RowsResult> rows(std::string_view name,
                                                const RowsRequest& request) const = 0;

  /// Versions of the matching rows, oldest first: the row's columns with `_from` (offset of the
  /// event that made it), `_to` (offset that ended it, null while it lives) and `_partition`.
  [[nodiscard]] virtual Result<RowsResult> history(std::string_view name,
                                                   const RowsRequest& request) const = 0;

  /// Calls `task` once, on no particular thread, when the read model covers `position` (at once if
  /// it does). Dropping the registration cancels.
  /// @error not_found
  [[nodiscard]] virtual Result<std::unique_ptr<Registration>> when_applied(std::string_view name,
                                                                           const Position& position,
                                                                           Task task) const = 0;
};

}  // namespace keelson::projections
