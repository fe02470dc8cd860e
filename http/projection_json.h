// Read models and answers over them, as JSON.
#pragma once

#include <string>

#include "projections/projection_host.h"

namespace keelson::http {

/// Appends what a projection is and how far it has come: `{name,version,topic,summary,state,
/// position,partitions:[{partition,position,lag_events,lag_seconds,halted_at?,error?}],tables}`.
void append_projection(std::string& out, const projections::ProjectionInfo& info,
                       const projections::ProjectionStatus& status);

/// `{"columns":[…],"rows":[[…]],"at":"…"}`.
[[nodiscard]] std::string query_json(const projections::QueryResult& result);

}  // namespace keelson::http
