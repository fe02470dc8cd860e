// GET /v1/subscriptions: one WebSocket connection.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds the route. `services` must outlive `router` and every connection.
void add_subscription_route(Router& router, Services& services);

}  // namespace keelson::http
