// A WebSocket client that only counts: plain sockets, so that it costs as little as it can.
#pragma once

#include <cstdint>
#include <string>

namespace keelson::bench {

class FrameReader {
 public:
  /// Connects to 127.0.0.1:`port` and upgrades `target`. Ends the program when refused.
  FrameReader(unsigned short port, const std::string& target);
  ~FrameReader();
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;

  /// Sends one text frame, masked as RFC 6455 asks of clients; up to 65,535 bytes.
  void send(const std::string& text);

  /// Reads frames until `count` whole ones whose payload contains `mark` have come.
  void read(std::uint64_t count, const std::string& mark);

 private:
  void fill();

  int fd_ = -1;
  std::string received_;
  std::size_t at_ = 0;
};

}  // namespace keelson::bench
