// The description of the API for programs: OpenAPI 3.1.
#pragma once

#include <string>

#include "http/services.h"

namespace keelson::http {

class Router;

/// What this server answers: the routes it has, as openapi_base.json describes them, with paths of
/// their own for each command and table of the application, whose schemas come from where they were
/// registered. A route that is not described there appears all the same, without details.
[[nodiscard]] std::string openapi_json(const Router& router, const Services& services);

/// Adds `/openapi.json` and `/asyncapi.json`, made at the first request, when all routes are there.
/// Both arguments must outlive the routes.
void add_description_routes(Router& router, const Services& services);

}  // namespace keelson::http
