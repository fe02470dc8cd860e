#include "http/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>

namespace keelson::http {

namespace {

/// From what a cached read takes to what a client gives up at, in seconds.
const prometheus::Histogram::BucketBoundaries kLatencies{
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10};

class CountedRoute final : public RouteMetrics {
 public:
  CountedRoute(prometheus::Family<prometheus::Counter>& requests, prometheus::Histogram& latency,
               prometheus::Labels labels)
      : requests_(requests), latency_(latency), labels_(std::move(labels)) {}

  void done(unsigned status, std::chrono::nanoseconds took) override {
    counter(status).Increment();
    latency_.Observe(std::chrono::duration<double>(took).count());
  }

 private:
  prometheus::Counter& counter(unsigned status) {
    std::atomic<prometheus::Counter*>& known = by_status_[status < kStatuses ? status : 0];
    prometheus::Counter* found = known.load(std::memory_order_acquire);
    if (found == nullptr) {
      // Two threads may both come here: the family gives them the same counter.
      prometheus::Labels labels = labels_;
      labels.emplace("status", std::to_string(status));
      found = &requests_.Add(labels);
      known.store(found, std::memory_order_release);
    }
    return *found;
  }

  static constexpr unsigned kStatuses = 600;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Histogram& latency_;
  const prometheus::Labels labels_;
  std::array<std::atomic<prometheus::Counter*>, kStatuses> by_status_{};
};

/// Finds a pair of strings by a pair of views, without making strings of them for each request.
struct LessAsViews {
  using is_transparent = void;
  using Views = std::pair<std::string_view, std::string_view>;
  bool operator()(const auto& a, const auto& b) const {
    return Views(a.first, a.second) < Views(b.first, b.second);
  }
};

prometheus::MetricFamily collect(Metrics::Kind kind, const std::string& name,
                                 const std::string& help,
                                 const std::vector<Metrics::Sample>& samples) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  const bool counter = kind == Metrics::Kind::counter;
  family.type = counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  for (const Metrics::Sample& sample : samples) {
    prometheus::ClientMetric metric;
    for (const auto& [label, value] : sample.labels) metric.label.push_back({label, value});
    (counter ? metric.counter.value : metric.gauge.value) = sample.value;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

}  // namespace

class Metrics::State {
 public:
  struct Read {
    Kind kind;
    std::string name;
    std::string help;
    std::function<std::vector<Sample>()> samples;
  };

  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("keelson_http_requests_total")
          .Help("Requests answered, by route and status")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& latency =
      prometheus::BuildHistogram()
          .Name("keelson_http_request_seconds")
          .Help("Time from a request's last byte to its answer being ready")
          .Register(registry);

  std::mutex mutex;  // of what follows
  std::map<std::pair<std::string, std::string>, std::unique_ptr<CountedRoute>, LessAsViews> routes;
  std::vector<Read> reads;
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

RouteMetrics& Metrics::route(std::string_view method, std::string_view pattern) {
  const std::lock_guard lock(state_->mutex);
  const auto known = state_->routes.find(std::pair(method, pattern));
  if (known != state_->routes.end()) return *known->second;
  prometheus::Labels labels{{"method", std::string(method)}, {"route", std::string(pattern)}};
  prometheus::Histogram& latency = state_->latency.Add(labels, kLatencies);
  auto& route = state_->routes[{std::string(method), std::string(pattern)}];
  route = std::make_unique<CountedRoute>(state_->requests, latency, std::move(labels));
  return *route;
}

void Metrics::add(Kind kind, std::string name, std::string help,
                  std::function<std::vector<Sample>()> read) {
  const std::lock_guard lock(state_->mutex);
  state_->reads.push_back({kind, std::move(name), std::move(help), std::move(read)});
}

std::string Metrics::text() const {
  std::vector<prometheus::MetricFamily> families = state_->registry.Collect();
  std::vector<State::Read> reads;
  {
    const std::lock_guard lock(state_->mutex);
    reads = state_->reads;
  }
  for (const State::Read& read : reads) {
    families.push_back(collect(read.kind, read.name, read.help, read.samples()));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace keelson::http
