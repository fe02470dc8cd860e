// What the server counts, and how Prometheus reads it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keelson::http {

/// Requests of one route. Thread-safe, without a lock once a status has been seen.
class RouteMetrics {
 public:
  virtual ~RouteMetrics() = default;
  virtual void done(unsigned status, std::chrono::nanoseconds took) = 0;
};

/// Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// The counters of a route, made at the first call; they live as long as this.
  [[nodiscard]] RouteMetrics& route(std::string_view method, std::string_view pattern);

  struct Sample {
    std::vector<std::pair<std::string, std::string>> labels;
    double value = 0;
  };
  enum class Kind { gauge, counter };
  /// A metric that costs nothing until it is read: `read` is called at each scrape, on the scraping
  /// thread, and must be thread-safe.
  void add(Kind kind, std::string name, std::string help,
           std::function<std::vector<Sample>()> read);

  /// Everything in Prometheus' text format.
  [[nodiscard]] std::string text() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace keelson::http
