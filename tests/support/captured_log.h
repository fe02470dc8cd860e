// What the code under test logs.
#pragma once

#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>

#include <cstddef>
#include <memory>
#include <string>

namespace keelson::test {

/// What is logged while it lives. Thread-safe.
class CapturedLog {
 public:
  static constexpr std::size_t kLinesMax = 10'000;  ///< the newest

  CapturedLog() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("captured", lines_));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  [[nodiscard]] bool has(const std::string& words) const { return count(words) > 0; }
  [[nodiscard]] int count(const std::string& words) const {
    int found = 0;
    for (const std::string& line : lines_->last_formatted()) {
      if (line.find(words) != std::string::npos) ++found;
    }
    return found;
  }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> lines_ =
      std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kLinesMax);
};

}  // namespace keelson::test
