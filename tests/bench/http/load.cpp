#include "tests/bench/http/load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
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

struct Connection {
  int fd = -1;
  std::string received;
  Clock::time_point since;  ///< its request's latency counts from here
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

/// The connections of one run.
class Load {
 public:
  Load(unsigned short port, int connections, std::uint64_t requests, const MakeRequest& make)
      : make_(make), requests_(requests), all_(static_cast<std::size_t>(connections)) {
    result_.latencies_us.reserve(requests);
    for (std::size_t c = 0; c < all_.size(); ++c) {
      all_[c].fd = connect_to(port);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = c;
      ::epoll_ctl(poll_, EPOLL_CTL_ADD, all_[c].fd, &event);
      idle_.push_back(c);
    }
  }
  ~Load() {
    for (const Connection& connection : all_) ::close(connection.fd);
    ::close(poll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// @param interval  from one request to the next; 0: as soon as a connection is free.
  LoadResult run(Clock::duration interval) {
    const auto start = Clock::now();
    while (result_.latencies_us.size() < requests_) {
      auto now = Clock::now();
      while (!idle_.empty() && sent_ < requests_) {
        const auto due = start + interval * static_cast<Clock::rep>(sent_);
        if (due > now) break;
        send_next(interval.count() == 0 ? now : due);
        now = Clock::now();
      }
      const bool waits_for_time = !idle_.empty() && sent_ < requests_;
      receive(waits_for_time ? start + interval * static_cast<Clock::rep>(sent_) - now : kPatience);
    }
    result_.per_second = static_cast<double>(requests_) /
                         std::chrono::duration<double>(Clock::now() - start).count();
    std::ranges::sort(result_.latencies_us);
    return std::move(result_);
  }

 private:
  static constexpr Clock::duration kPatience = std::chrono::seconds(10);

  void send_next(Clock::time_point since) {
    Connection& connection = all_[idle_.back()];
    idle_.pop_back();
    const std::string request = make_(sent_++);
    connection.since = since;
    send_all(connection.fd, request);
  }

  void receive(Clock::duration patience) {
    const auto ns = std::chrono::nanoseconds(std::max(patience, Clock::duration(0))).count();
    const timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
    epoll_event events[64];
    const int ready = ::epoll_pwait2(poll_, events, 64, &timeout, nullptr);
    if (ready < 0) give_up("epoll");
    if (ready == 0 && patience == kPatience) give_up("no answer for 10 s");
    for (int e = 0; e < ready; ++e) take_answer(events[e].data.u64);
  }

  void take_answer(std::size_t index) {
    Connection& connection = all_[index];
    const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) give_up("connection closed");
    connection.received.append(buffer_.data(), static_cast<std::size_t>(got));
    const std::size_t length = answer_length(connection.received);
    if (length == 0) return;
    if (!connection.received.starts_with("HTTP/1.1 2")) ++result_.failed;
    connection.received.erase(0, length);
    result_.latencies_us.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - connection.since).count());
    idle_.push_back(index);
  }

  const MakeRequest& make_;
  const std::uint64_t requests_;
  std::uint64_t sent_ = 0;
  std::vector<Connection> all_;
  std::vector<std::size_t> idle_;
  const int poll_ = ::epoll_create1(0);
  std::vector<char> buffer_ = std::vector<char>(1u << 20);
  LoadResult result_;
};

}  // namespace

double LoadResult::quantile_us(double share) const {
  return latencies_us.at(
      static_cast<std::size_t>(share * static_cast<double>(latencies_us.size())));
}

LoadResult run_load(unsigned short port, int connections, std::uint64_t requests,
                    const MakeRequest& make) {
  return Load(port, connections, requests, make).run(Clock::duration(0));
}

LoadResult run_paced(unsigned short port, int connections, std::uint64_t requests,
                     double per_second, const MakeRequest& make) {
  // A wait is otherwise rounded up by 50 us, which would be counted as the server's.
  ::prctl(PR_SET_TIMERSLACK, 1000);
  const std::chrono::duration<double> interval(1 / per_second);
  return Load(port, connections, requests, make)
      .run(std::chrono::duration_cast<Clock::duration>(interval));
}

std::string get(unsigned short port, const std::string& target) {
  const int fd = connect_to(port);
  send_all(fd, "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  std::string received;
  std::vector<char> buffer(64u << 10);
  while (answer_length(received) == 0) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) give_up("connection closed");
    received.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return received.substr(received.find("\r\n\r\n") + 4);
}

std::string post(const std::string& target, const std::string& body,
                 const std::string& extra_headers) {
  return "POST " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
         extra_headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace keelson::bench
