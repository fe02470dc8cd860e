// Routes that show how far reactions have come.
#pragma once

#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// `GET /v1/reactions` and `GET /v1/reactions/{name}`; none without aggregates.
void add_reaction_routes(Router& router, const Services& services);

}  // namespace keelson::http
