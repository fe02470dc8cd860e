// Projections over a topic in memory, run by hand.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "projections/projection.h"
#include "projections/projection_host.h"
#include "tests/projections/support/failing_disk.h"
#include "tests/projections/support/memory_topic.h"
#include "tests/support/temporary_folder.h"

namespace keelson::test {

using projections::EventContext;
using projections::Projection;
using projections::ProjectionHost;
using projections::ProjectionRegistry;
using projections::QueryLimits;
using projections::QueryResult;
using projections::RowsRequest;
using projections::RowsResult;
using projections::Tables;

/// State after all events with offset <= `last` of a topic with one partition; -1: before them all.
inline Position at_offset(std::int64_t last) {
  Position position(1);
  position.set_next(PartitionId(0), Offset(static_cast<std::uint64_t>(last + 1)));
  return position;
}

/// One host over `topic`; opened anew it finds the read models of the last time.
class HostFixture {
 public:
  explicit HostFixture(std::uint32_t partitions = 1) : topic(partitions) {}

  /// @return the error, or nothing.
  std::optional<Error> try_open(std::vector<Projection> projections) {
    host.reset();
    auto registry = std::make_shared<ProjectionRegistry>();
    for (auto& projection : projections) registry->add(std::move(projection));
    options.folder = folder.path() + "/projections";
    auto opened = ProjectionHost::open({files, clock, random, scheduler}, topic, registry, options);
    if (!opened) return opened.error();
    host = *std::move(opened);
    return std::nullopt;
  }
  void open(std::vector<Projection> projections) {
    const auto error = try_open(std::move(projections));
    if (error) FAIL(error->message());
    host->start();
    scheduler.run();
  }

  /// Applies what was appended.
  void catch_up() { scheduler.run(); }

  [[nodiscard]] Result<QueryResult> try_query(const std::string& sql,
                                              const std::optional<Position>& at = std::nullopt,
                                              const nlohmann::json& params = nullptr) {
    return host->query(name, sql, params, at, options.limits);
  }
  /// The rows, as JSON text.
  [[nodiscard]] std::string query(const std::string& sql,
                                  const std::optional<Position>& at = std::nullopt,
                                  const nlohmann::json& params = nullptr) {
    auto result = try_query(sql, at, params);
    if (!result) return result.error().message();
    return result->rows_json;
  }
  [[nodiscard]] std::string query(const std::string& sql, std::int64_t at) {
    return query(sql, at_offset(at));
  }

  TemporaryFolder folder;
  FailingFiles files;
  SystemClock clock;
  SystemRandom random;
  ManualScheduler scheduler;
  MemoryTopic topic;
  projections::HostOptions options;
  std::string name = "test";  ///< of the projection that `query` asks
  std::unique_ptr<ProjectionHost> host;
};

}  // namespace keelson::test
