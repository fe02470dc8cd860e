#include "http/operations_routes.h"

#include <utility>

#include "engine/store/store.h"
#include "http/problem.h"

namespace keelson::http {

namespace {

RouteOptions open_to_everyone() {
  RouteOptions options;
  options.role.reset();
  return options;
}

/// Still 200 when something is damaged: taking the whole server out of service would stop what is
/// whole as well. Anybody may ask, so it says how much, and not what.
std::string readiness(std::size_t damaged, std::size_t unreadable) {
  if (damaged == 0 && unreadable == 0) return R"({"status":"ready"})";
  std::string text = R"({"status":"degraded","damaged":)" + std::to_string(damaged);
  if (unreadable != 0) text += R"(,"unreadable":)" + std::to_string(unreadable);
  return text + "}";
}

}  // namespace

void add_operations_routes(Router& router, const std::atomic<bool>& ready, Store& store,
                           const Metrics& metrics, std::function<std::size_t()> unreadable) {
  router.add(Method::get, "/healthz", open_to_everyone(), [](Request, Responder responder) {
    responder.send(Response::json(200, R"({"status":"alive"})"));
  });
  router.add(Method::get, "/readyz", open_to_everyone(),
             [&ready, &store, unreadable = std::move(unreadable)](Request, Responder responder) {
               if (!ready) return responder.send(Error{Errc::closed, "", std::nullopt});
               responder.send(Response::json(
                   200, readiness(store.damage().size(), unreadable ? unreadable() : 0)));
             });
  RouteOptions scrape;
  scrape.blocking = true;
  router.add(Method::get, "/metrics", scrape, [&metrics](Request, Responder responder) {
    Response response(200);
    response.header("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = metrics.text();
    responder.send(std::move(response));
  });
}

}  // namespace keelson::http
