// What a session keeps of a request until its answer is written. Private to http_session*.cpp.
#pragma once

#include "http/http_session.h"

namespace keelson::http {

class HttpSession::MemoryShare {
 public:
  using Counter = std::atomic<std::uint64_t> SessionEnvironment::*;

  MemoryShare(std::shared_ptr<SessionEnvironment> environment, Counter counter)
      : environment_(std::move(environment)), counter_(counter) {}
  ~MemoryShare() {
    if (environment_) (*environment_.*counter_).fetch_sub(bytes_, std::memory_order_relaxed);
  }
  MemoryShare(MemoryShare&& other) noexcept
      : environment_(std::move(other.environment_)),
        counter_(other.counter_),
        bytes_(other.bytes_) {}
  MemoryShare& operator=(MemoryShare&&) = delete;

  /// @return bytes of all shares together.
  std::uint64_t grow_to(std::uint64_t bytes) {
    const std::uint64_t more = bytes - bytes_;
    bytes_ = bytes;
    return (*environment_.*counter_).fetch_add(more, std::memory_order_relaxed) + more;
  }

 private:
  std::shared_ptr<SessionEnvironment> environment_;
  Counter counter_;
  std::uint64_t bytes_ = 0;
};

struct HttpSession::Exchange {
  bool head_only = false;
  bool keep_alive = true;
  bool http_1_1 = true;
  std::string target;  ///< of the request, for an answer that sends the client elsewhere
  RouteMetrics* metrics = nullptr;
  std::chrono::steady_clock::time_point begun;
  bool blocking = false;  ///< counted in `blocking_`
  std::optional<MemoryShare> body_share;
  std::optional<Response> response;
  std::optional<MemoryShare> answer_share;
};

}  // namespace keelson::http
