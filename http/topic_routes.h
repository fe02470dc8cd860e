// The routes of topics: make one, describe them.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds `/v1/topics` and `/v1/topics/{topic}`. `services` must outlive `router`.
void add_topic_routes(Router& router, Services& services);

}  // namespace keelson::http
