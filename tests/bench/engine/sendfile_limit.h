// How fast a file goes from one process's disk to another's, with bare system calls.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/bench/engine/disk_limit.h"

namespace keelson::bench {

/// Two ends of a TCP connection on loopback.
class LoopbackPair {
 public:
  LoopbackPair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener, generic, length) != 0 || ::listen(listener, 1) != 0) std::abort();
    ::getsockname(listener, generic, &length);
    first_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(first_, generic, length) != 0) std::abort();
    second_ = ::accept(listener, nullptr, nullptr);
    ::close(listener);
  }
  ~LoopbackPair() {
    ::close(first_);
    ::close(second_);
  }
  LoopbackPair(const LoopbackPair&) = delete;
  LoopbackPair& operator=(const LoopbackPair&) = delete;

  [[nodiscard]] int first() const { return first_; }
  [[nodiscard]] int second() const { return second_; }

 private:
  int first_ = -1;
  int second_ = -1;
};

inline void send_whole_file(const RawFile& file, int socket, std::size_t bytes) {
  off_t at = 0;
  while (at < static_cast<off_t>(bytes)) {
    if (::sendfile(socket, file.descriptor(), &at, bytes - static_cast<std::size_t>(at)) <= 0) {
      std::abort();
    }
  }
}

/// @param sync_bytes  that are made durable together.
inline void receive_into(const RawFile& file, int socket, std::size_t bytes,
                         std::size_t sync_bytes) {
  std::string buffer(1u << 20, '\0');
  std::size_t synced = 0;
  for (std::size_t at = 0; at < bytes;) {
    const auto got = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (got <= 0) std::abort();
    file.write(at, buffer.substr(0, static_cast<std::size_t>(got)));
    at += static_cast<std::size_t>(got);
    if (at - synced >= sync_bytes || at == bytes) {
      file.sync();
      synced = at;
    }
  }
}

}  // namespace keelson::bench
