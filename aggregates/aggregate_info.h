// What the outside needs to know of an aggregate type.
#pragma once

#include <string>
#include <vector>

namespace keelson::aggregates {

/// What the routes, OpenAPI and documentation need to know of an aggregate type.
struct AggregateInfo {
  struct CommandInfo {
    std::string name;
    std::string schema;  ///< JSON Schema 2020-12 of the body, as text
    std::string summary;
  };
  struct EventInfo {
    std::string type;
    std::string schema;
  };
  std::string type;
  std::string summary;
  std::vector<CommandInfo> commands;
  std::vector<EventInfo> events;
  std::vector<std::string> refusals;  ///< every reason `decide` may give
  std::string state_schema;
  std::string code_version;  ///< changes when evolve or upcasters do; part of as-of ETags
};

}  // namespace keelson::aggregates
