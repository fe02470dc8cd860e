// A WebSocket client that waits.
#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace keelson::http::test {

class WebsocketClient {
 public:
  /// @param receive_buffer  of the socket, in bytes; 0: the system's choice.
  explicit WebsocketClient(std::uint16_t port, int receive_buffer = 0,
                           std::optional<std::string> subprotocol = "keelson.v1.json") {
    auto& tcp = socket_.next_layer();
    tcp.open(boost::asio::ip::tcp::v4());
    if (receive_buffer != 0) {
      tcp.set_option(boost::asio::socket_base::receive_buffer_size(receive_buffer));
    }
    tcp.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    // A test that waits longer than this has failed.
    const timeval patience{90, 0};
    ::setsockopt(tcp.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (subprotocol) {
      socket_.set_option(boost::beast::websocket::stream_base::decorator(
          [name = *subprotocol](boost::beast::websocket::request_type& request) {
            request.set(boost::beast::http::field::sec_websocket_protocol, name);
          }));
    }
    socket_.handshake(response, "localhost", "/v1/subscriptions");
  }

  void send_text(std::string_view text) {
    socket_.text(true);
    socket_.write(boost::asio::buffer(text));
  }
  void send(const nlohmann::json& message) { send_text(message.dump()); }

  /// The next message; nothing when the server has closed or nothing has come for long.
  std::optional<std::string> receive_text() {
    boost::beast::flat_buffer buffer;
    boost::system::error_code error;
    socket_.read(buffer, error);
    if (error) return std::nullopt;
    return boost::beast::buffers_to_string(buffer.data());
  }
  std::optional<nlohmann::json> receive() {
    const auto text = receive_text();
    if (!text) return std::nullopt;
    return nlohmann::json::parse(*text);
  }
  [[nodiscard]] boost::beast::websocket::close_reason reason() const { return socket_.reason(); }
  boost::beast::websocket::stream<boost::asio::ip::tcp::socket>& socket() { return socket_; }

  boost::beast::websocket::response_type response;

 private:
  boost::asio::io_context context_;
  boost::beast::websocket::stream<boost::asio::ip::tcp::socket> socket_{context_};
};

}  // namespace keelson::http::test
