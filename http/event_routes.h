// The route that reads a partition: pages, long polls and endless streams of events.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds `/v1/topics/{topic}/partitions/{partition}/events`. `services` must outlive `router`.
void add_event_routes(Router& router, Services& services);

}  // namespace keelson::http
