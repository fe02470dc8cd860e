#include "http/openapi.h"

#include <set>

#include "http/asyncapi.h"
#include "tests/http/test_service.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;

namespace {

/// Checks every `$ref` in `part` to lead somewhere in `document`.
void check_references(const json& document, const json& part) {
  if (part.is_object()) {
    if (const auto found = part.find("$ref"); found != part.end()) {
      const std::string target = *found;
      CAPTURE(target);
      REQUIRE(target.starts_with("#/"));
      CHECK(document.contains(json::json_pointer(target.substr(1))));
    }
  }
  if (part.is_structured()) {
    for (const json& child : part) check_references(document, child);
  }
}

/// The names in braces of a path.
std::set<std::string> braces(const std::string& path) {
  std::set<std::string> names;
  for (std::size_t at = 0; (at = path.find('{', at)) != std::string::npos; ++at) {
    names.insert(path.substr(at + 1, path.find('}', at) - at - 1));
  }
  return names;
}

json resolve(const json& document, const json& value) {
  if (!value.contains("$ref")) return value;
  return document.at(json::json_pointer(value["$ref"].get<std::string>().substr(1)));
}

void check_operation(const json& document, const std::string& path, const json& operation) {
  CHECK_FALSE(operation["operationId"].get<std::string>().empty());
  CHECK_FALSE(operation["summary"].get<std::string>().empty());
  REQUIRE_FALSE(operation["responses"].empty());
  for (const auto& [status, response] : operation["responses"].items()) {
    CHECK((status == "default" || (status.size() == 3 && status >= "100" && status <= "599")));
    CHECK(resolve(document, response).contains("description"));
  }
  std::set<std::string> in_path;
  std::set<std::pair<std::string, std::string>> all;
  for (const json& entry : operation.value("parameters", json::array())) {
    const json parameter = resolve(document, entry);
    const std::string in = parameter["in"];
    CHECK(parameter.contains("schema"));
    CHECK(all.emplace(in, parameter["name"]).second);
    if (in == "path") {
      CHECK(parameter["required"] == true);
      in_path.insert(parameter["name"]);
    }
  }
  CHECK(in_path == braces(path));
}

}  // namespace

TEST_CASE("openapi: the document is what OpenAPI 3.1 asks for") {
  TestService service;
  const auto response = service.get("/openapi.json");
  CHECK(response.status == 200);
  CHECK(response.field("Content-Type") == "application/json");
  const json document = json::parse(response.body);
  CHECK(document["openapi"] == "3.1.0");
  CHECK_FALSE(document["info"]["title"].get<std::string>().empty());
  CHECK_FALSE(document["info"]["version"].get<std::string>().empty());
  check_references(document, document);
  std::set<std::string> ids;
  for (const auto& [path, operations] : document["paths"].items()) {
    CAPTURE(path);
    CHECK(path.starts_with("/"));
    for (const auto& [method, operation] : operations.items()) {
      CAPTURE(method);
      check_operation(document, path, operation);
      CHECK(ids.insert(operation["operationId"]).second);
    }
  }
  for (const auto& [name, schema] : document["components"]["schemas"].items()) {
    CHECK(name.find_first_not_of(
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
          std::string::npos);
  }
}

TEST_CASE("openapi: every route is described, and nothing that is not there") {
  TestService service;
  const json document = json::parse(service.get("/openapi.json").body);
  for (const Router::Route* route : service.router.routes()) {
    CAPTURE(route->pattern);
    REQUIRE(document["paths"].contains(route->pattern));
    std::string method(to_string(route->method));
    std::ranges::transform(method, method.begin(),
                           [](char c) { return static_cast<char>(c + 32); });
    REQUIRE(document["paths"][route->pattern].contains(method));
    // A route that openapi_base.json has forgotten would have no tag.
    CHECK(document["paths"][route->pattern][method].contains("tags"));
  }
  CHECK_FALSE(document["paths"].contains("/v1/topics"));  // this service has no such route
}

TEST_CASE("openapi: commands, states and tables appear with their schemas") {
  TestService service;
  const json document = json::parse(service.get("/openapi.json").body);
  const json& paths = document["paths"];
  const json put = paths["/v1/aggregates/wallet/{id}/put"]["post"];
  const json put_body = put["requestBody"]["content"]["application/json"]["schema"];
  CHECK(resolve(document, put_body)["properties"].contains("amount"));
  CHECK(put["requestBody"]["required"] == true);
  CHECK(paths["/v1/aggregates/wallet/{id}/open"]["post"]["requestBody"]["required"] == false);
  CHECK(paths.contains("/v1/aggregates/wallet/{id}"));
  CHECK(document["components"]["schemas"]["wallet.state"]["properties"].contains("balance"));
  CHECK(document["components"]["schemas"].contains("wallet.event.added"));
  const json rows = paths["/v1/projections/wallets/tables/wallets"]["get"];
  CHECK(std::ranges::any_of(rows["parameters"], [&](const json& entry) {
    return resolve(document, entry)["name"] == "balance";
  }));
  const json row = document["components"]["schemas"]["wallets.wallets"];
  CHECK(row["properties"]["balance"]["type"] == "integer");
  CHECK(row["properties"]["note"]["type"] == json({"string", "null"}));
}

TEST_CASE("asyncapi: the document is what AsyncAPI 3.0 asks for") {
  TestService service;
  const json document = json::parse(service.get("/asyncapi.json").body);
  CHECK(document["asyncapi"] == "3.0.0");
  CHECK_FALSE(document["info"]["version"].get<std::string>().empty());
  check_references(document, document);
  const json& messages = document["channels"]["subscriptions"]["messages"];
  std::size_t used = 0;
  for (const auto& [name, operation] : document["operations"].items()) {
    CHECK((operation["action"] == "send" || operation["action"] == "receive"));
    used += operation["messages"].size();
  }
  CHECK(used == messages.size());
  for (const auto& [name, message] : messages.items()) {
    const json payload = resolve(document, message)["payload"];
    CHECK(payload["properties"]["op"]["const"] == name);
  }
  CHECK(document["components"]["schemas"].contains("wallet.added"));
}

TEST_CASE("descriptions: a server without domain code describes the rest") {
  Router router;
  TestService other;
  Services services = other.services();
  services.aggregates = nullptr;
  services.projections = nullptr;
  add_description_routes(router, services);
  const json document = json::parse(openapi_json(router, services));
  CHECK(document["paths"].size() == 2);
  check_references(document, document);
  check_references(json::parse(asyncapi_json(services)), json::parse(asyncapi_json(services)));
  problem(other.get("/openapi.json?x=1"), 400, "bad-request");
}
