// The description of the WebSocket for programs: AsyncAPI 3.0.
#pragma once

#include <string>

#include "http/services.h"

namespace keelson::http {

/// The messages of asyncapi_base.json, with the schemas of the events registered.
[[nodiscard]] std::string asyncapi_json(const Services& services);

}  // namespace keelson::http
