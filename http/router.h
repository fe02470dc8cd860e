// The table of routes: method and pattern to handler.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/problem.h"
#include "http/request.h"
#include "http/response.h"

namespace keelson::http {

/// Called once per request; answers through the responder, then or later, on any thread. Must not
/// throw for anything a client can send; what it throws is logged and answered 500.
using Handler = std::function<void(Request, Responder)>;

/// A WebSocket connection to be; see upgrade.h.
struct Upgrade;
using UpgradeHandler = std::function<void(Upgrade&&)>;

struct RouteOptions {
  std::optional<Role> role = Role::read;  ///< none: open to everyone, for probes
  /// The handler may block or compute for long (SQL, reading many events): it runs on the work
  /// pool, and a full pool is answered 503 `overloaded`. Otherwise it runs on the connection's
  /// thread and must return within microseconds.
  bool blocking = false;
  /// Media types of a request body, without parameters; another one is 415. An absent Content-Type
  /// is taken for the first. Empty: the route takes no body.
  std::vector<std::string> consumes;
  std::uint64_t body_bytes_max = 0;  ///< over it 413; 0: the server's limit
};

/// Filled before serving; from then on it only reads, from any thread.
///
/// A pattern is literal segments and `{name}`, which takes one whole segment, decoded. A literal
/// segment wins over a parameter. HEAD is answered by GET's handler without the body, OPTIONS by
/// the list of methods.
class Router {
 public:
  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  /// The pattern must be new for this method: a programmer's error otherwise.
  void add(Method method, std::string_view pattern, RouteOptions options, Handler handler);
  /// Requests to upgrade to a WebSocket at this pattern; a plain GET there is answered 426.
  void add_upgrade(std::string_view pattern, Role role, UpgradeHandler handler);

  struct Route {
    Method method = Method::get;
    std::string pattern;
    RouteOptions options;
    Handler handler;
    UpgradeHandler upgrade;  ///< set instead of `handler`
    /// Names of the pattern's parameters, and which segment each takes.
    std::vector<std::pair<std::string, std::size_t>> parameters = {};
  };
  struct Match {
    const Route* route = nullptr;
    Parameters path_parameters;
    Parameters query_parameters;
  };
  /// Finds the route of a request target (origin form).
  /// @return  the problem to answer otherwise: 400 (bad escapes, NUL, not UTF-8), 404, 405 with
  /// Allow.
  [[nodiscard]] std::expected<Match, Problem> match(Method method, std::string_view target) const;
  /// Every method of the target's path, for OPTIONS: `GET, HEAD, OPTIONS`.
  [[nodiscard]] std::expected<std::string, Problem> allow(std::string_view target) const;

  [[nodiscard]] std::vector<const Route*> routes() const;

 private:
  struct Node;
  void insert(std::unique_ptr<Route> route);
  [[nodiscard]] static std::string methods_of(const std::vector<const Node*>& nodes);

  std::unique_ptr<Node> root_;
  std::vector<std::unique_ptr<Route>> routes_;
};

/// What `+` means: itself in a path, a space in a query.
enum class PlusSign { literal, space };

/// Undoes percent-encoding, strictly.
/// @error bad_request  a bad escape, NUL, or a result that is not UTF-8.
[[nodiscard]] Result<std::string> percent_decode(std::string_view text, PlusSign plus);

}  // namespace keelson::http
