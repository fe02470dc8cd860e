// What a benchmark prints: one JSON line per figure, beside the physical limit of the same run.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace keelson::bench {

/// Prints `{"bench","value","unit","limit","ratio","notes"}`. The ratio is value/limit.
inline void report(const std::string& bench, double value, const std::string& unit, double limit,
                   const std::string& notes) {
  std::printf(R"({"bench":"%s","value":%.6g,"unit":"%s","limit":%.6g,"ratio":%.3g,"notes":"%s"})"
              "\n",
              bench.c_str(), value, unit.c_str(), limit, limit > 0 ? value / limit : 0.0,
              notes.c_str());
  std::fflush(stdout);
}

/// `[--quick] [FIGURE]...`: what to measure, all of it when nothing is named, and how often. The
/// first words of figures stand for all of them: `http` for `http.bulk`, too.
class Arguments {
 public:
  Arguments(int argc, char** argv) : figures_(argv + 1, argv + argc) {
    quick_ = std::erase(figures_, "--quick") > 0;
  }

  [[nodiscard]] bool quick() const { return quick_; }
  /// Runs of each measurement, of which the median counts.
  [[nodiscard]] int runs() const { return quick_ ? 3 : 5; }
  [[nodiscard]] bool wants(std::string_view figure) const {
    return figures_.empty() || std::ranges::any_of(figures_, [&](const std::string& named) {
             return figure == named || figure.starts_with(named + '.');
           });
  }

 private:
  std::vector<std::string> figures_;
  bool quick_ = false;
};

/// Seconds that `work` takes.
inline double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Median of what `measure` returns in `runs` runs.
inline double median(int runs, const std::function<double()>& measure) {
  std::vector<double> values;
  for (int i = 0; i < runs; ++i) values.push_back(measure());
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Median of figure and limit measured in turn, so that both see the same machine.
struct Paired {
  double value;
  double limit;
};
inline Paired paired(int runs, const std::function<double()>& value,
                     const std::function<double()>& limit) {
  std::vector<double> values;
  std::vector<double> limits;
  for (int i = 0; i < runs; ++i) {
    limits.push_back(limit());
    values.push_back(value());
  }
  std::ranges::sort(values);
  std::ranges::sort(limits);
  return {values[values.size() / 2], limits[limits.size() / 2]};
}

}  // namespace keelson::bench
