#include "http/asyncapi.h"

#include <nlohmann/json.hpp>

#include "aggregates/aggregate_host.h"
#include "http/api_documents.h"

namespace keelson::http {

std::string asyncapi_json(const Services& services) {
  using Json = nlohmann::ordered_json;
  Json document = Json::parse(kAsyncapiBase);
  document["info"]["version"] = kVersion;
  Json& schemas = document["components"]["schemas"];
  if (services.aggregates != nullptr) {
    Json known = Json::array();
    for (const auto& info : services.aggregates->types()) {
      for (const auto& event : info.events) {
        const std::string name = info.type + '.' + event.type;
        schemas[name] = event.schema.empty() ? Json::object() : Json::parse(event.schema);
        known.push_back({{"$ref", "#/components/schemas/" + name}});
      }
    }
    // Topics may hold events of other sources as well, so the last choice is anything.
    known.push_back(Json::object());
    schemas["data"]["anyOf"] = std::move(known);
  }
  return document.dump();
}

}  // namespace keelson::http
