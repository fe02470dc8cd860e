// Bounds how often something is logged that every request may cause. Private to the library.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace keelson::http {

/// So many lines a second of one kind, and the number of those that were left out. Whoever can send
/// requests that fail must neither fill the operator's disk nor hide other lines. Thread-safe.
class LineLimit {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit LineLimit(unsigned lines_a_second) : lines_max_(lines_a_second) {}

  /// Before a line is logged. Nothing: it is to be left out. Else what to append to it: mostly
  /// nothing, and how many lines were left out since the one before it if there were any.
  [[nodiscard]] std::optional<std::string> admit(TimePoint now = std::chrono::steady_clock::now()) {
    const std::lock_guard lock(mutex_);
    if (!begun_ || now - *begun_ >= std::chrono::seconds(1)) {
      begun_ = now;
      lines_ = 0;
    }
    if (lines_ >= lines_max_) {
      ++left_out_;
      return std::nullopt;
    }
    ++lines_;
    if (left_out_ == 0) return "";
    return " (" + std::to_string(std::exchange(left_out_, 0)) + " lines like this were left out)";
  }

 private:
  const unsigned lines_max_;
  std::mutex mutex_;                // of what follows
  std::optional<TimePoint> begun_;  ///< of the second that `lines_` were logged in
  unsigned lines_ = 0;
  std::uint64_t left_out_ = 0;
};

/// Enough to see what is the matter.
inline constexpr unsigned kLinesASecond = 10;

}  // namespace keelson::http
