#include "tests/bench/http/frame_reader.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace keelson::bench {

namespace {

constexpr std::size_t kReadBytes = 256u << 10;

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace

FrameReader::FrameReader(unsigned short port, const std::string& target)
    : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    give_up("connect");
  }
  const std::string request = "GET " + target +
                              " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Protocol: keelson.v1.json\r\n"
                              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
  if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0) give_up("send");
  std::size_t head = std::string::npos;
  while (head == std::string::npos) {
    fill();
    head = received_.find("\r\n\r\n");
  }
  if (!received_.starts_with("HTTP/1.1 101")) give_up(received_.substr(0, head));
  at_ = head + 4;
}

FrameReader::~FrameReader() { ::close(fd_); }

void FrameReader::fill() {
  received_.erase(0, at_);
  at_ = 0;
  const std::size_t had = received_.size();
  received_.resize(had + kReadBytes);
  const ssize_t got = ::recv(fd_, received_.data() + had, kReadBytes, 0);
  if (got <= 0) give_up("the connection ended early");
  received_.resize(had + static_cast<std::size_t>(got));
}

void FrameReader::send(const std::string& text) {
  // RFC 6455, 5.2: FIN and text, the mask bit, the shortest form of the length, a mask of zeros.
  std::string frame = {static_cast<char>(0x81)};
  if (text.size() < 126) {
    frame += static_cast<char>(0x80 | text.size());
  } else {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(text.size() >> 8);
    frame += static_cast<char>(text.size() & 0xff);
  }
  frame.append(4, '\0');
  frame += text;
  if (::send(fd_, frame.data(), frame.size(), MSG_NOSIGNAL) < 0) give_up("send");
}

void FrameReader::read(std::uint64_t count, const std::string& mark) {
  while (count > 0) {
    const std::string_view rest = std::string_view(received_).substr(at_);
    std::size_t head = 2;
    std::uint64_t length = rest.size() < 2 ? 0 : static_cast<unsigned char>(rest[1]) & 0x7f;
    const int extra = length == 127 ? 8 : length == 126 ? 2 : 0;
    head += static_cast<std::size_t>(extra);
    if (rest.size() < head) {
      fill();
      continue;
    }
    if (extra > 0) length = 0;
    for (int i = 0; i < extra; ++i) {
      length = length << 8 | static_cast<unsigned char>(rest[2 + static_cast<std::size_t>(i)]);
    }
    if (rest.size() < head + length) {
      fill();
      continue;
    }
    if (rest.substr(head, length).find(mark) != std::string_view::npos) --count;
    at_ += head + length;
  }
}

}  // namespace keelson::bench
