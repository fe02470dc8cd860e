// How fresh what a request reads must be.
#pragma once

#include <functional>
#include <vector>

#include "engine/base/result.h"
#include "http/router.h"
#include "http/services.h"

namespace keelson {
class Topic;
}

namespace keelson::http {

/// What a reading route looks at.
struct WhatIsRead {
  /// @error  the route itself answers with it.
  std::function<Result<std::vector<Partition*>>(const Request&)> partitions;
  /// The read model that is asked, which must have applied them: a path parameter's name. Nullptr:
  /// the log itself is read.
  const char* projection = nullptr;
};

/// Gives `handler` the query parameter `consistency`: `committed` (the default) reads what is
/// committed at this node, and fails as `not-caught-up` where a replica has not met its leader yet,
/// or sends the client to a node that has what this one has no replica of;
/// `linearizable` first makes sure that all is there that was acknowledged before the request came,
/// at the leader, and sends the client there otherwise.
[[nodiscard]] Handler consistent(Services& services, WhatIsRead what, Handler handler);

/// The partition of `topic` in which the stream of a request lies.
[[nodiscard]] std::vector<Partition*> home_of_stream(Topic& topic, std::string_view stream);

}  // namespace keelson::http
