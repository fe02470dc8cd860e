#include "http/response.h"

#include <algorithm>

#include "http/problem.h"

namespace keelson::http {

namespace {

constexpr std::size_t kUsualHeaders = 4;

}  // namespace

Response Response::json(unsigned status, std::string body) {
  Response response(status);
  response.headers.reserve(kUsualHeaders);
  response.header("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

Response Response::text(unsigned status, std::string body) {
  Response response(status);
  response.header("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(body);
  return response;
}

Response Response::streamed(std::string_view content_type, std::unique_ptr<BodySource> source) {
  Response response(200);
  response.header("Content-Type", std::string(content_type));
  response.stream = std::move(source);
  return response;
}

Response& Response::header(std::string name, std::string value) & {
  // A line break in a value would let whoever chose it write headers of their own.
  std::erase_if(value, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  headers.emplace_back(std::move(name), std::move(value));
  return *this;
}

Response&& Response::header(std::string name, std::string value) && {
  header(std::move(name), std::move(value));
  return std::move(*this);
}

void complete_location(Response& response, std::string_view target) {
  for (auto& [name, value] : response.headers) {
    if (name == "Location") value += target;
  }
}

Responder::~Responder() {
  if (!sink_) return;
  send(Error{Errc::internal, "the request was dropped without an answer", std::nullopt});
}

void Responder::send(Response response) {
  if (Sink sink = std::exchange(sink_, nullptr)) sink(std::move(response));
}

void Responder::send(const Error& error) { send(to_response(answered_problem(error))); }

}  // namespace keelson::http
