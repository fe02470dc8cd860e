// Finds what a request's path names.
#pragma once

#include "engine/base/result.h"
#include "engine/store/store.h"
#include "http/request.h"

namespace keelson::http {

/// The topic `{topic}` of the path. @error not_found
[[nodiscard]] Result<Topic*> find_topic(Store& store, const Request& request);

/// The partition `{partition}` of the path. @error bad_request  no number. @error not_found
[[nodiscard]] Result<Partition*> find_partition(Topic& topic, const Request& request);

}  // namespace keelson::http
