// POST /v1/commands: many commands in one request.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds the route; nothing in a server without aggregates. `services` must outlive `router`.
void add_command_routes(Router& router, Services& services);

}  // namespace keelson::http
