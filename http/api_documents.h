// The fixed parts of the API's descriptions, compiled in from the .json files beside this one.
#pragma once

#include <string_view>

namespace keelson::http {

extern const std::string_view kOpenapiBase;
extern const std::string_view kAsyncapiBase;
/// Of this build of Keelson.
extern const std::string_view kVersion;

}  // namespace keelson::http
