// One line on a terminal that tells how far a long job is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace bank {

struct Progress {
  std::uint64_t rows = 0;          ///< done
  std::optional<double> fraction;  ///< done, from 0 to 1; nothing when the end is not known
  std::chrono::duration<double> elapsed{0};
};

/// `[███████·····]  54 %   25,390 rows   11,204 rows/s   0:02 left`, within `columns` of a
/// terminal.
[[nodiscard]] std::string render_progress(const Progress& progress, int columns);

/// `1,234,567`.
[[nodiscard]] std::string with_commas(std::uint64_t number);
[[nodiscard]] std::string with_commas(std::int64_t number);

/// Draws over its own line on standard error; draws nothing when that is no terminal. The line is
/// wiped when the bar is destroyed.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  [[nodiscard]] bool visible() const { return visible_; }
  void draw(const Progress& progress);

 private:
  bool visible_;
  bool drawn_ = false;
};

}  // namespace bank
