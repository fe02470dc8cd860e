// When a question looks at: `at`, `at_version`, `at_time`, `min` and `wait_ms`.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "engine/base/result.h"
#include "engine/store/position.h"
#include "http/request.h"

namespace keelson::http {

/// Says on every answer what of the log it reflects.
inline constexpr std::string_view kPositionHeader = "Keelson-Position";

/// The position that has seen one partition of `topic` up to `next`, and nothing of the others.
[[nodiscard]] Position position_in(const Topic& topic, PartitionId partition, Offset next);

/// Which state of an aggregate a request asks for, resolved as far as the log alone can.
struct AggregateAsOf {
  aggregates::AsOf as_of;
  /// What `as_of` is in an ETag: `@1042` or `@v7`; empty for now.
  std::string tag;
  /// Asked for a time before the partition's first event: nothing was there yet.
  bool before_everything = false;
};

/// Reads `at`, `at_version` and `at_time` for the aggregate whose events lie in `home`. A bare
/// offset in `at` means that partition; a time becomes the offset it falls on.
/// @error bad_request  more than one of them, or malformed. @error beyond_end  past the end.
[[nodiscard]] Result<AggregateAsOf> aggregate_as_of(const Request& request, const Topic& topic,
                                                    const Partition& home);

/// What a question to a read model must wait for, and what it is then asked as of.
struct ReadModelAsOf {
  std::optional<Position> at;   ///< nothing: whatever is applied
  std::optional<Position> min;  ///< to be applied before answering
  std::chrono::milliseconds wait{1000};

  /// What must have been applied to answer, `at` and `min` together; nothing: no wait.
  [[nodiscard]] std::optional<Position> required() const;
};

/// The same fields as text, from a query string or a request body.
struct ReadModelAsOfText {
  std::optional<std::string_view> at;
  std::optional<std::string_view> at_time;
  std::optional<std::string_view> min;
  std::optional<std::uint64_t> wait_ms;
};

inline constexpr std::uint64_t kWaitMsMax = 60'000;

/// @param partitions  of these alone: whatever is said of others does not count.
/// @error bad_request  malformed, `at` beside `at_time`, or a wait over `kWaitMsMax`.
/// @error beyond_end   `at` is past the committed end.
[[nodiscard]] Result<ReadModelAsOf> read_model_as_of(const ReadModelAsOfText& text, Topic& topic,
                                                     const std::vector<PartitionId>& partitions);

/// The strong entity tag of what code of this version derives at this point.
[[nodiscard]] std::string derived_etag(std::string_view code_version, std::string_view at);

}  // namespace keelson::http
