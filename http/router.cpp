#include "http/router.h"

#include <algorithm>
#include <map>

#include "engine/base/check.h"
#include "engine/store/names.h"

namespace keelson::http {

namespace {

using Segments = std::vector<std::string>;

constexpr std::size_t kUsualSegments = 6;

struct Target {
  std::string_view path;
  std::string_view query;
};

/// Origin form, or absolute form (which RFC 9112, 3.2.2 requires servers to accept).
std::expected<Target, Problem> split_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    if (target.empty() || target.front() == '?') {
      return std::unexpected(not_found("There is nothing at the root; see /openapi.json."));
    }
  }
  if (!target.starts_with('/')) {
    return std::unexpected(bad_request("The request target must be a path that starts with '/'"));
  }
  if (target.find('#') != std::string_view::npos) {
    return std::unexpected(bad_request("The request target must not hold a fragment ('#')"));
  }
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return Target{target, {}};
  return Target{target.substr(0, mark), target.substr(mark + 1)};
}

/// The pieces of `text` between `separator`s; visits nothing for an empty text.
template <class Visit>
void for_each_piece(std::string_view text, char separator, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (!visit(text.substr(0, end))) return;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::expected<Segments, Problem> decode_path(std::string_view path) {
  Segments segments;
  segments.reserve(kUsualSegments);
  path.remove_prefix(1);
  while (true) {
    const std::size_t end = path.find('/');
    auto segment = percent_decode(path.substr(0, end), PlusSign::literal);
    if (!segment) return std::unexpected(problem_of(segment.error()));
    segments.push_back(*std::move(segment));
    if (end == std::string_view::npos) return segments;
    path.remove_prefix(end + 1);
  }
}

std::expected<Parameters, Problem> decode_query(std::string_view query) {
  Parameters parameters;
  std::optional<Problem> problem;
  for_each_piece(query, '&', [&](std::string_view pair) {
    if (pair.empty()) return true;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), PlusSign::space);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), PlusSign::space);
    if (!name || !value) {
      problem = problem_of(name ? value.error() : name.error());
      return false;
    }
    parameters.emplace_back(*std::move(name), *std::move(value));
    return true;
  });
  if (problem) return std::unexpected(*std::move(problem));
  return parameters;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

Segments pattern_segments(std::string_view pattern) {
  KEELSON_ASSERT(pattern.starts_with('/'));
  Segments segments;
  pattern.remove_prefix(1);
  for_each_piece(pattern, '/', [&](std::string_view piece) {
    segments.emplace_back(piece);
    return true;
  });
  return segments;
}

}  // namespace

struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> parameter;
  std::vector<const Route*> routes;

  /// Every node of the path below this one, the most literal first.
  void collect(const Segments& path, std::size_t depth, std::vector<const Node*>& found) const {
    if (depth == path.size()) {
      if (!routes.empty()) found.push_back(this);
      return;
    }
    if (const auto literal = literals.find(path[depth]); literal != literals.end()) {
      literal->second->collect(path, depth + 1, found);
    }
    if (parameter && !path[depth].empty()) parameter->collect(path, depth + 1, found);
  }

  [[nodiscard]] const Route* find(Method method) const {
    const auto found = std::ranges::find(routes, method, &Route::method);
    return found == routes.end() ? nullptr : *found;
  }
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;

void Router::add(Method method, std::string_view pattern, RouteOptions options, Handler handler) {
  KEELSON_ASSERT(handler != nullptr);
  insert(std::make_unique<Route>(
      Route{method, std::string(pattern), std::move(options), std::move(handler), nullptr}));
}

void Router::add_upgrade(std::string_view pattern, Role role, UpgradeHandler handler) {
  KEELSON_ASSERT(handler != nullptr);
  RouteOptions options;
  options.role = role;
  insert(std::make_unique<Route>(
      Route{Method::get, std::string(pattern), std::move(options), nullptr, std::move(handler)}));
}

void Router::insert(std::unique_ptr<Route> route) {
  Node* node = root_.get();
  const Segments pattern = pattern_segments(route->pattern);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool parameter = is_parameter(pattern[i]);
    if (parameter) route->parameters.emplace_back(pattern[i].substr(1, pattern[i].size() - 2), i);
    std::unique_ptr<Node>& next = parameter ? node->parameter : node->literals[pattern[i]];
    if (!next) next = std::make_unique<Node>();
    node = next.get();
  }
  KEELSON_ASSERT(node->find(route->method) == nullptr);
  node->routes.push_back(route.get());
  routes_.push_back(std::move(route));
}

std::expected<Router::Match, Problem> Router::match(Method method, std::string_view target) const {
  auto split = split_target(target);
  if (!split) return std::unexpected(std::move(split).error());
  auto path = decode_path(split->path);
  if (!path) return std::unexpected(std::move(path).error());
  auto query = decode_query(split->query);
  if (!query) return std::unexpected(std::move(query).error());

  std::vector<const Node*> nodes;
  root_->collect(*path, 0, nodes);
  const Method wanted = method == Method::head ? Method::get : method;
  for (const Node* node : nodes) {
    const Route* route = node->find(wanted);
    if (route == nullptr) continue;
    Match match{route, {}, *std::move(query)};
    match.path_parameters.reserve(route->parameters.size());
    for (const auto& [name, segment] : route->parameters) {
      match.path_parameters.emplace_back(name, std::move((*path)[segment]));
    }
    return match;
  }
  if (nodes.empty()) {
    return std::unexpected(
        not_found("There is no route '" + std::string(split->path) + "'; see /openapi.json"));
  }
  Problem problem;
  problem.status = 405;
  problem.code = "method-not-allowed";
  problem.title = "Method not allowed";
  const std::string allowed = methods_of(nodes);
  problem.detail =
      std::string(to_string(method)) + " does not work here; use one of " + allowed + ".";
  problem.headers.emplace_back("Allow", allowed);
  return std::unexpected(std::move(problem));
}

std::expected<std::string, Problem> Router::allow(std::string_view target) const {
  auto split = split_target(target);
  if (!split) return std::unexpected(std::move(split).error());
  auto path = decode_path(split->path);
  if (!path) return std::unexpected(std::move(path).error());
  std::vector<const Node*> nodes;
  root_->collect(*path, 0, nodes);
  if (nodes.empty()) {
    return std::unexpected(
        not_found("There is no route '" + std::string(split->path) + "'; see /openapi.json"));
  }
  return methods_of(nodes);
}

std::string Router::methods_of(const std::vector<const Node*>& nodes) {
  std::string allowed;
  for (const Method method :
       {Method::get, Method::post, Method::put, Method::patch, Method::delete_}) {
    const bool there = std::ranges::any_of(
        nodes, [method](const Node* node) { return node->find(method) != nullptr; });
    if (!there) continue;
    allowed += to_string(method);
    allowed += method == Method::get ? ", HEAD, " : ", ";
  }
  return allowed + "OPTIONS";
}

std::vector<const Router::Route*> Router::routes() const {
  std::vector<const Route*> all;
  for (const auto& route : routes_) all.push_back(route.get());
  return all;
}

Result<std::string> percent_decode(std::string_view text, PlusSign plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return fail(Errc::bad_request, "'" + std::string(text) +
                                           "' has a bad escape: '%' must be followed by two hex "
                                           "digits ('%25' is the sign itself)");
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus == PlusSign::space) {
      c = ' ';
    }
    if (c == '\0') return fail(Errc::bad_request, "the request target holds a NUL ('%00')");
    decoded += c;
  }
  if (!is_utf8(decoded)) {
    return fail(Errc::bad_request, "'" + std::string(text) + "' is not UTF-8 when decoded");
  }
  return decoded;
}

}  // namespace keelson::http
