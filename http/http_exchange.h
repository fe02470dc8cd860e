// What a session keeps of a request until its answer is written. Private to http_session*.cpp.
#pragma once

#include "http/http_session.h"

namespace keelson::http {

class HttpSession::BodyShare {
 public:
  explicit BodyShare(std::shared_ptr<SessionEnvironment> environment)
      : environment_(std::move(environment)) {}
  ~BodyShare() {
    if (environment_) environment_->bodies_bytes.fetch_sub(bytes_, std::memory_order_relaxed);
  }
  BodyShare(BodyShare&& other) noexcept
      : environment_(std::move(other.environment_)), bytes_(other.bytes_) {}
  BodyShare& operator=(BodyShare&&) = delete;

  /// @return false when all bodies together would be over the limit.
  [[nodiscard]] bool grow_to(std::uint64_t bytes) {
    const std::uint64_t more = bytes - bytes_;
    const std::uint64_t before =
        environment_->bodies_bytes.fetch_add(more, std::memory_order_relaxed);
    bytes_ = bytes;
    return before + more <= environment_->options.bodies_bytes_max;
  }

 private:
  std::shared_ptr<SessionEnvironment> environment_;
  std::uint64_t bytes_ = 0;
};

struct HttpSession::Exchange {
  bool head_only = false;
  bool keep_alive = true;
  bool http_1_1 = true;
  RouteMetrics* metrics = nullptr;
  std::chrono::steady_clock::time_point begun;
  std::optional<BodyShare> body_share;
  std::optional<Response> response;
};

}  // namespace keelson::http
