// The limit for HTTP: Beast alone. Reads a request, parses its JSON body, line by line if it comes
// as lines, and answers for each text a fixed one of a command's usual size; stores nothing. Also
// pushes WebSocket frames built beforehand.
//
//     bare_server THREADS     prints "listening on http://127.0.0.1:PORT", runs until stdin closes
#include <unistd.h>

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

namespace {

constexpr int kPushFrames = 1'000'000;
constexpr std::size_t kPushWriteBytes = 64u << 10;

const std::string& answer_body() {
  static const std::string body =
      R"({"outcome":"accepted","topic":"bank","partition":0,"offset":123456,"version":42,)"
      R"("events":[{"partition":0,"offset":123456,"stream":"account-4711","version":42,)"
      R"("type":"deposited","time":"2026-01-01T00:00:00.000000Z","data":{"amount":100,)"
      R"("balance_after":4200},"command_id":"0123456789"}]})";
  return body;
}

/// Frames of one event each, unmasked text (RFC 6455, 5.2), coalesced into writes of 64 KiB.
asio::awaitable<void> push_frames(tcp::socket& socket) {
  const std::string event = R"({"op":"event","id":"s",)" + answer_body().substr(120);
  std::string frame;
  frame += static_cast<char>(0x81);
  frame += static_cast<char>(126);
  frame += static_cast<char>(event.size() >> 8);
  frame += static_cast<char>(event.size() & 0xff);
  frame += event;
  std::string chunk;
  int left = kPushFrames;
  while (left > 0) {
    chunk.clear();
    for (; left > 0 && chunk.size() < kPushWriteBytes; --left) chunk += frame;
    co_await asio::async_write(socket, asio::buffer(chunk), asio::use_awaitable);
  }
}

bool is_json(std::string_view text) {
  return !nlohmann::json::parse(text, nullptr, false).is_discarded();
}

/// An array with an answer for each line of `body`; empty when one of them is no JSON.
std::string answer_lines(std::string_view body) {
  std::string answers;
  while (!body.empty()) {
    const auto end = std::min(body.find('\n'), body.size());
    if (!is_json(body.substr(0, end))) return "";
    body.remove_prefix(std::min(end + 1, body.size()));
    answers += answers.empty() ? '[' : ',';
    answers += answer_body();
  }
  return answers + ']';
}

/// The answer's body; empty when the request's is no JSON.
std::string answer(const http::request<http::string_body>& request) {
  if (request[http::field::content_type] == "application/x-ndjson") {
    return answer_lines(request.body());
  }
  return is_json(request.body()) ? answer_body() : "";
}

asio::awaitable<void> serve(tcp::socket accepted) {
  tcp::socket socket = std::move(accepted);
  beast::flat_buffer buffer;
  try {
    while (true) {
      http::request<http::string_body> request;
      co_await http::async_read(socket, buffer, request, asio::use_awaitable);
      if (beast::websocket::is_upgrade(request)) {
        beast::websocket::stream<tcp::socket&> stream(socket);
        co_await stream.async_accept(request, asio::use_awaitable);
        co_await push_frames(socket);
        co_return;
      }
      std::string body = answer(request);
      http::response<http::string_body> response(
          body.empty() ? http::status::bad_request : http::status::ok, request.version());
      response.set(http::field::content_type, "application/json");
      response.keep_alive(request.keep_alive());
      response.body() = std::move(body);
      response.prepare_payload();
      co_await http::async_write(socket, response, asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The client has gone.
  }
}

asio::awaitable<void> accept(std::shared_ptr<tcp::acceptor> acceptor) {
  while (true) {
    tcp::socket socket = co_await acceptor->async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  asio::io_context context(threads);
  const auto acceptor = std::make_shared<tcp::acceptor>(
      context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
  asio::co_spawn(context, accept(acceptor), asio::detached);
  std::printf("listening on http://127.0.0.1:%u\n", acceptor->local_endpoint().port());
  std::fflush(stdout);
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i) pool.emplace_back([&context] { context.run(); });
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  context.stop();
  for (auto& thread : pool) thread.join();
  return 0;
}
