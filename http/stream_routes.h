// The routes that append to streams and read them, without an aggregate in between.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds `/v1/topics/{topic}/streams/{stream}` and `/v1/topics/{topic}/commits`. Streams of a
/// registered aggregate can be read here but not written: their events are what its decider
/// decided, and nothing else. `services` must outlive `router`.
void add_stream_routes(Router& router, Services& services);

}  // namespace keelson::http
