#include "http/openapi.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "aggregates/aggregate_host.h"
#include "http/api_documents.h"
#include "http/asyncapi.h"
#include "http/router.h"
#include "projections/projection_host.h"

namespace keelson::http {

namespace {

using Json = nlohmann::ordered_json;
using aggregates::AggregateInfo;
using projections::ProjectionInfo;
using projections::TableInfo;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

Json reference(const std::string& name) { return {{"$ref", "#/components/" + name}}; }

Json schema_of(const std::string& text) {
  return text.empty() ? Json::object() : Json::parse(text);
}

/// The names in braces of a pattern.
Json path_parameters(std::string_view pattern) {
  Json parameters = Json::array();
  for (std::size_t at = 0; (at = pattern.find('{', at)) != std::string_view::npos; ++at) {
    const auto name = pattern.substr(at + 1, pattern.find('}', at) - at - 1);
    parameters.push_back(
        {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  }
  return parameters;
}

/// A route that openapi_base.json does not know.
Json plain_operation(const std::string& method, const std::string& pattern) {
  Json operation = {{"operationId", method + pattern}, {"summary", pattern}};
  if (Json parameters = path_parameters(pattern); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  operation["responses"]["default"] = reference("responses/Problem");
  return operation;
}

/// The operations of `described` that the router has, and no others.
Json paths_of(const Router& router, const Json& described) {
  Json paths = Json::object();
  for (const Router::Route* route : router.routes()) {
    const std::string method = lower(to_string(route->method));
    const auto path = described.find(route->pattern);
    const bool known = path != described.end() && path->contains(method);
    paths[route->pattern][method] =
        known ? (*path)[method] : plain_operation(method, route->pattern);
  }
  return paths;
}

/// Leaves the path parameter `name` out of an operation made concrete for one value of it.
void fix_parameter(Json& operation, const std::string& name) {
  const Json gone = reference("parameters/" + name);
  Json& parameters = operation["parameters"];
  parameters.erase(std::remove(parameters.begin(), parameters.end(), gone), parameters.end());
}

// --- aggregates ---

void add_commands(Json& document, const AggregateInfo& info, const Json& general) {
  for (const auto& command : info.commands) {
    const std::string name = info.type + '.' + command.name;
    Json& schemas = document["components"]["schemas"];
    schemas[name] = schema_of(command.schema);

    Json operation = general;
    operation["operationId"] = name;
    operation["summary"] = command.summary.empty() ? name : command.summary;
    fix_parameter(operation, "type");
    fix_parameter(operation, "command");
    operation["requestBody"]["content"]["application/json"]["schema"] =
        reference("schemas/" + name);
    // A body without what the command requires is refused, so it cannot be left out then.
    const Json& schema = schemas[name];
    operation["requestBody"]["required"] =
        schema.contains("required") && !schema["required"].empty();
    document["paths"]["/v1/aggregates/" + info.type + "/{id}/" + command.name]["post"] =
        std::move(operation);
  }
}

void add_aggregate(Json& document, const AggregateInfo& info) {
  Json& schemas = document["components"]["schemas"];
  schemas[info.type + ".state"] = schema_of(info.state_schema);
  for (const auto& event : info.events) {
    schemas[info.type + ".event." + event.type] = schema_of(event.schema);
  }
  schemas[info.type + ".refusal"] = {{"enum", info.refusals}};

  Json& paths = document["paths"];
  Json operation = paths["/v1/aggregates/{type}/{id}"]["get"];
  operation["operationId"] = info.type + ".get";
  operation["summary"] = info.summary.empty() ? info.type : info.summary;
  fix_parameter(operation, "type");
  operation["responses"]["200"]["content"]["application/json"]["schema"] = {
      {"allOf",
       {reference("schemas/AggregateState"),
        {{"properties", {{"state", reference("schemas/" + info.type + ".state")}}}}}}};
  paths["/v1/aggregates/" + info.type + "/{id}"]["get"] = std::move(operation);
  add_commands(document, info, Json(paths["/v1/aggregates/{type}/{id}/{command}"]["post"]));
}

// --- projections ---

Json row_schema(const TableInfo& table) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const auto& column : table.columns) {
    const std::string type = column.type == "INTEGER" ? "integer"
                             : column.type == "REAL"  ? "number"
                                                      : "string";
    properties[column.name]["type"] = column.nullable ? Json({type, "null"}) : Json(type);
    if (column.type == "BLOB") properties[column.name]["contentEncoding"] = "base64";
    required.push_back(column.name);
  }
  return {{"type", "object"}, {"required", required}, {"properties", properties}};
}

void add_table(Json& document, const ProjectionInfo& info, const TableInfo& table) {
  const std::string name = info.name + '.' + table.name;
  document["components"]["schemas"][name] = row_schema(table);
  Json operation = document["paths"]["/v1/projections/{name}/tables/{table}"]["get"];
  operation["operationId"] = name + ".rows";
  operation["summary"] = "Rows of " + name;
  fix_parameter(operation, "projection");
  fix_parameter(operation, "table");
  fix_parameter(operation, "filters");
  for (const auto& column : table.columns) {
    operation["parameters"].push_back({{"name", column.name},
                                       {"in", "query"},
                                       {"description", "Only rows with this value"},
                                       {"schema", {{"type", "string"}}}});
  }
  Json rows = {{"type", "array"}, {"items", reference("schemas/" + name)}};
  operation["responses"]["200"] = {
      {"description", "The rows"},
      {"content",
       {{"application/json",
         {{"schema",
           {{"allOf",
             {reference("schemas/Rows"), {{"properties", {{"rows", std::move(rows)}}}}}}}}}}}}};
  document["paths"]["/v1/projections/" + info.name + "/tables/" + table.name]["get"] =
      std::move(operation);
}

}  // namespace

std::string openapi_json(const Router& router, const Services& services) {
  Json document = Json::parse(kOpenapiBase);
  document["info"]["version"] = kVersion;
  document["paths"] = paths_of(router, document["paths"]);
  if (services.aggregates != nullptr) {
    for (const AggregateInfo& info : services.aggregates->types()) add_aggregate(document, info);
  }
  if (services.projections != nullptr) {
    for (const ProjectionInfo& info : services.projections->projections()) {
      for (const TableInfo& table : info.tables) add_table(document, info, table);
    }
  }
  return document.dump();
}

void add_description_routes(Router& router, const Services& services) {
  struct Descriptions {
    std::once_flag made;
    std::string openapi;
    std::string asyncapi;
  };
  const auto descriptions = std::make_shared<Descriptions>();
  const auto answer = [&router, &services, descriptions](std::string Descriptions::*which) {
    return [&router, &services, descriptions, which](const Request& request, Responder responder) {
      if (const auto checked = request.check_query({}); !checked) {
        return responder.send(checked.error());
      }
      std::call_once(descriptions->made, [&] {
        descriptions->openapi = openapi_json(router, services);
        descriptions->asyncapi = asyncapi_json(services);
      });
      responder.send(Response::json(200, (*descriptions).*which));
    };
  };
  RouteOptions reading;
  reading.blocking = true;
  router.add(Method::get, "/openapi.json", reading, answer(&Descriptions::openapi));
  router.add(Method::get, "/asyncapi.json", reading, answer(&Descriptions::asyncapi));
}

}  // namespace keelson::http
