#include "tests/bench/http/load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace keelson::bench {

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// One connection. Epoll and plain sockets, so that the client costs as little as it can: it runs
/// on the same two cores as the server.
struct Connection {
  int fd = -1;
  std::string received;
  Clock::time_point sent;
};

int connect_to(unsigned short port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) give_up("connect");
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) give_up("send");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

/// Length of the whole answer at the start of `received`; 0 while it is not complete.
std::size_t answer_length(std::string_view received) {
  const auto head = received.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  static constexpr std::string_view kField = "content-length:";
  const auto is_field = [](char a, char b) { return std::tolower(a) == b; };
  const auto field =
      std::search(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(head),
                  kField.begin(), kField.end(), is_field);
  if (field == received.begin() + static_cast<std::ptrdiff_t>(head)) {
    give_up("an answer without Content-Length");
  }
  const auto body = std::strtoull(&*field + kField.size(), nullptr, 10);
  const std::size_t length = head + 4 + body;
  return received.size() >= length ? length : 0;
}

}  // namespace

LoadResult run_load(unsigned short port, int connections, std::uint64_t requests,
                    const std::function<std::string(std::uint64_t)>& make) {
  LoadResult result;
  result.latencies_us.reserve(requests);
  std::vector<Connection> all(static_cast<std::size_t>(connections));
  const int poll = ::epoll_create1(0);
  for (std::size_t c = 0; c < all.size(); ++c) {
    all[c].fd = connect_to(port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = c;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, all[c].fd, &event);
  }
  std::uint64_t next = 0;
  const auto send_next = [&](Connection& connection) {
    if (next == requests) return;
    const std::string request = make(next++);
    connection.sent = Clock::now();
    send_all(connection.fd, request);
  };
  const auto start = Clock::now();
  for (auto& connection : all) send_next(connection);
  std::vector<char> buffer(1u << 20);
  while (result.latencies_us.size() < requests) {
    epoll_event events[64];
    const int ready = ::epoll_wait(poll, events, 64, 10'000);
    if (ready <= 0) give_up("no answer for 10 s");
    for (int e = 0; e < ready; ++e) {
      Connection& connection = all[events[e].data.u64];
      const ssize_t got = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) give_up("connection closed");
      connection.received.append(buffer.data(), static_cast<std::size_t>(got));
      const std::size_t length = answer_length(connection.received);
      if (length == 0) continue;
      if (!connection.received.starts_with("HTTP/1.1 2")) ++result.failed;
      connection.received.erase(0, length);
      result.latencies_us.push_back(
          std::chrono::duration<double, std::micro>(Clock::now() - connection.sent).count());
      send_next(connection);
    }
  }
  result.per_second =
      static_cast<double>(requests) / std::chrono::duration<double>(Clock::now() - start).count();
  for (auto& connection : all) ::close(connection.fd);
  ::close(poll);
  std::ranges::sort(result.latencies_us);
  return result;
}

std::string post(const std::string& target, const std::string& body,
                 const std::string& extra_headers) {
  return "POST " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
         extra_headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace keelson::bench
