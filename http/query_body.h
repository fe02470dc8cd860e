// The body of POST /v1/projections/{name}/query.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "http/as_of.h"

namespace keelson::http {

struct QueryBody {
  std::string sql;
  nlohmann::json params = nlohmann::json::array();  ///< array for `?`, object for `:name`
  std::optional<std::string> at;
  std::optional<std::string> at_time;
  std::optional<std::string> min;
  std::optional<std::uint64_t> wait_ms;

  /// Points into this body.
  [[nodiscard]] ReadModelAsOfText as_of() const;
};

/// Reads `{sql, params?, at?, at_time?, min?, wait_ms?}`. An `at` or `min` may be a number as well,
/// as it is for a topic of one partition.
/// @error bad_request  malformed, an unknown member, or no `sql`.
[[nodiscard]] Result<QueryBody> read_query_body(std::string_view text);

}  // namespace keelson::http
