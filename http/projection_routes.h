// The routes of the read models: status, rows, history, queries.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds `/v1/projections…`; nothing in a server without projections. `services` must outlive
/// `router`.
void add_projection_routes(Router& router, Services& services);

}  // namespace keelson::http
