// A client that says exactly the bytes it is told, over a blocking socket.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace keelson::http::test {

struct RawResponse {
  unsigned status = 0;
  std::string head;  ///< status line and header
  std::string body;  ///< decoded when chunked

  /// The value of a header field; empty when there is none. `name` as the server writes it.
  [[nodiscard]] std::string field(std::string_view name) const {
    const std::size_t at = head.find("\r\n" + std::string(name) + ": ");
    if (at == std::string::npos) return "";
    const std::size_t start = at + name.size() + 4;
    return head.substr(start, head.find("\r\n", start) - start);
  }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    // A test that waits longer than this has failed.
    const timeval patience{90, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("cannot connect");
    }
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// A small window, so that the server's writes block soon.
  void shrink_window() {
    const int bytes = 4096;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }

  RawResponse get(std::string_view target) {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return receive();
  }
  RawResponse exchange(std::string_view bytes) {
    send(bytes);
    return receive();
  }

  enum class Body { expected, none };
  /// The next response. Status 0: the connection was closed before a whole one.
  RawResponse receive(Body body = Body::expected) {
    RawResponse response;
    std::size_t end = std::string::npos;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return {};
    }
    response.head = pending_.substr(0, end + 2);
    pending_.erase(0, end + 4);
    response.status = static_cast<unsigned>(std::stoul(response.head.substr(9, 3)));
    if (body == Body::none) return response;
    const std::string length = response.field("Content-Length");
    if (!length.empty()) {
      const std::size_t size = std::stoul(length);
      while (pending_.size() < size) {
        if (!more()) return {};
      }
      response.body = pending_.substr(0, size);
      pending_.erase(0, size);
    } else if (response.field("Transfer-Encoding") == "chunked") {
      while (auto chunk = receive_chunk()) {
        if (chunk->empty()) return response;
        response.body += *chunk;
      }
      return {};
    }
    return response;
  }

  /// One chunk of a chunked body; the empty one is the last. Nothing: cut off.
  std::optional<std::string> receive_chunk() {
    std::size_t line = std::string::npos;
    while ((line = pending_.find("\r\n")) == std::string::npos) {
      if (!more()) return std::nullopt;
    }
    const std::size_t size = std::stoul(pending_.substr(0, line), nullptr, 16);
    while (pending_.size() < line + 2 + size + 2) {
      if (!more()) return std::nullopt;
    }
    std::string chunk = pending_.substr(line + 2, size);
    pending_.erase(0, line + 2 + size + 2);
    return chunk;
  }

  /// Whether the server closes without sending anything more, properly: a reset may cost a client
  /// the answer before it.
  bool closed() { return pending_.empty() && !more() && ended_; }
  /// Everything until the server closes.
  std::string receive_all() {
    while (more()) {
    }
    return std::exchange(pending_, {});
  }

 private:
  bool more() {
    char bytes[16384];
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    ended_ = got == 0;
    if (got <= 0) return false;
    pending_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int socket_;
  bool ended_ = false;
  std::string pending_;
};

}  // namespace keelson::http::test
