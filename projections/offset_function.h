// The SQL function by which triggers know which event is being applied.
#pragma once

#include <cstdint>

#include "engine/base/result.h"

namespace keelson::projections {

class Database;

/// Where `keelson_offset()` looks.
struct EventOffset {
  std::int64_t value = 0;
};

/// Registers `keelson_offset()` on `database`; `offset` must outlive the connection. It is marked
/// deterministic, as a generated column asks: within one run of a statement it is.
[[nodiscard]] Result<void> register_offset_function(Database& database, EventOffset& offset);

}  // namespace keelson::projections
