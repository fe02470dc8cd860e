#include "http/operations_routes.h"

#include "http/problem.h"

namespace keelson::http {

namespace {

RouteOptions open_to_everyone() {
  RouteOptions options;
  options.role.reset();
  return options;
}

}  // namespace

void add_operations_routes(Router& router, const std::atomic<bool>& ready, const Metrics& metrics) {
  router.add(Method::get, "/healthz", open_to_everyone(), [](Request, Responder responder) {
    responder.send(Response::json(200, R"({"status":"alive"})"));
  });
  router.add(Method::get, "/readyz", open_to_everyone(), [&ready](Request, Responder responder) {
    if (ready) {
      responder.send(Response::json(200, R"({"status":"ready"})"));
    } else {
      responder.send(Error{Errc::closed, "", std::nullopt});
    }
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
