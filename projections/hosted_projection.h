// One projection with its read models, appliers and readers.
#pragma once

#include <memory>
#include <vector>

#include "projections/applier.h"
#include "projections/progress.h"
#include "projections/projection_host.h"
#include "projections/reader.h"
#include "projections/rows_query.h"
#include "projections/rules.h"

namespace keelson::projections {

/// What the host has one of for each projection. Thread-safe once started.
class HostedProjection {
 public:
  /// Opens or makes the read model of every partition. One whose log is damaged stops the
  /// projection there, and its file is left as it is; one that a full disk keeps from opening
  /// delays it there.
  [[nodiscard]] static Result<std::unique_ptr<HostedProjection>> open(
      const Environment& environment, Topic& topic, const Projection& projection,
      const HostOptions& options, const std::vector<std::shared_ptr<Strand>>& workers);

  void start();
  void stop();

  [[nodiscard]] const ProjectionInfo& info() const { return info_; }
  [[nodiscard]] Result<ProjectionStatus> status() const;
  [[nodiscard]] Position floor() const;
  [[nodiscard]] Result<QueryResult> query(const std::string& sql, const nlohmann::json& parameters,
                                          const std::optional<Position>& at,
                                          const QueryLimits& limits, const Partitions& partitions);
  [[nodiscard]] Result<RowsResult> rows(const RowsRequest& request);
  [[nodiscard]] Result<RowsResult> history(const RowsRequest& request);
  [[nodiscard]] std::unique_ptr<Registration> when_applied(const Position& position, Task task);

 private:
  using WriteQuery = Result<RowsQuery> (*)(const Table&, const RowsRequest&, std::uint64_t);

  HostedProjection(const Environment& environment, Topic& topic, const HostOptions& options,
                   std::shared_ptr<const Rules> rules);
  void describe(const Projection& projection);
  [[nodiscard]] Result<void> open_partition(PartitionId id, Strand& worker);
  /// Those that are meant. @error bad_request  there is no such partition.
  [[nodiscard]] Result<Partitions> meant(const Partitions& partitions) const;
  /// Whether the read model of each of them can be asked. An answer without the rows of one of them
  /// would look like one in which there are none.
  [[nodiscard]] Result<void> check_complete(const Partitions& partitions) const;
  [[nodiscard]] Result<void> check_not_below_start(const Partitions& partitions,
                                                   const Position& at) const;

  /// A reader that sees `at`, and what that is.
  struct Moment {
    ReaderPool::Lease reader;
    Position at;
  };
  [[nodiscard]] Result<Moment> look(const std::optional<Position>& at, const QueryLimits& limits,
                                    const Partitions& partitions);
  [[nodiscard]] Error not_there(const Error& error, const Position& at) const;
  [[nodiscard]] Result<RowsResult> read_rows(const RowsRequest& request, WriteQuery write);
  [[nodiscard]] double lag_seconds(const Partition& partition, Offset next) const;

  const Environment environment_;
  Topic& topic_;
  const HostOptions options_;
  const std::shared_ptr<const Rules> rules_;
  ProjectionInfo info_;
  std::string folder_;
  std::vector<std::string> files_;  ///< by partition
  Progress progress_;
  std::unique_ptr<ReaderPool> readers_;
  std::vector<std::shared_ptr<Applier>> appliers_;  ///< by partition
};

}  // namespace keelson::projections
