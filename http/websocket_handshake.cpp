#include "http/websocket_handshake.h"

#include <boost/beast/http/rfc7230.hpp>
#include <memory>
#include <utility>

#include "http/beast.h"
#include "http/browser_guard.h"
#include "http/subscription_protocol.h"

namespace keelson::http {

namespace {

namespace beast = boost::beast;
using beast::http::field;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

/// An answer on its way out, with the connection it goes to.
template <class Stream>
struct Refusal {
  Stream stream;
  std::shared_ptr<void> ticket;
  beast::http::response<beast::http::string_body> response;
};

}  // namespace

std::expected<Handshake, Problem> check_handshake(Handshake::HttpRequest request) {
  if (request.count(field::origin) != 0 &&
      is_foreign_origin(view(request[field::origin]), view(request[field::host]))) {
    Problem problem;
    problem.status = 403;
    problem.code = "forbidden";
    problem.title = "Forbidden";
    problem.detail = "A page of another site may not subscribe here: Origin is not Host.";
    return std::unexpected(std::move(problem));
  }
  bool offered = false;
  if (request.count(field::sec_websocket_protocol) != 0) {
    beast::http::token_list protocols{request[field::sec_websocket_protocol]};
    offered = protocols.exists(beast::string_view(kSubprotocol.data(), kSubprotocol.size()));
    if (!offered) {
      return std::unexpected(
          bad_request("The only subprotocol here is " + std::string(kSubprotocol) + "."));
    }
  }
  return Handshake{std::move(request), offered};
}

void refuse_handshake(Upgrade&& upgrade, const Problem& problem) {
  Response answer = to_response(problem);
  std::visit(
      [&](auto&& stream) {
        using Stream = std::decay_t<decltype(stream)>;
        auto refusal = std::make_shared<Refusal<Stream>>(
            Refusal<Stream>{std::move(stream), std::move(upgrade.ticket), {}});
        refusal->response.result(answer.status);
        for (const auto& [name, value] : answer.headers) refusal->response.set(name, value);
        refusal->response.keep_alive(false);
        refusal->response.body() = std::move(answer.body);
        refusal->response.prepare_payload();
        beast::http::async_write(refusal->stream, refusal->response,
                                 [refusal](boost::system::error_code, std::size_t) {});
      },
      std::move(upgrade.stream));
}

}  // namespace keelson::http
