#include "samples/bank/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace bank {

namespace {

constexpr std::string_view kWipeLine = "\r\x1b[2K";
constexpr std::size_t kRowsWidth = 12;
constexpr std::size_t kRateWidth = 9;

void write_error_stream(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

int terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

bool is_terminal() {
  const char* type = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && (type == nullptr || std::string_view(type) != "dumb");
}

/// `2:05`, `1:02:05`.
std::string clock_text(double seconds_left) {
  const auto seconds = static_cast<std::uint64_t>(std::clamp(seconds_left, 0.0, 359'999.0));
  const auto two = [](std::uint64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  const std::string tail = two(seconds % 60);
  if (seconds < 3600) return std::to_string(seconds / 60) + ":" + tail;
  return std::to_string(seconds / 3600) + ":" + two(seconds / 60 % 60) + ":" + tail;
}

std::string bar(double fraction, int width) {
  const int full = static_cast<int>(std::lround(fraction * width));
  std::string text = "[";
  for (int i = 0; i < width; ++i) text += i < full ? "█" : "·";
  return text + "]";
}

/// To the right, so that a line does not jump about while its numbers grow.
std::string aligned(const std::string& text, std::size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

}  // namespace

std::string with_commas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (auto place = static_cast<std::ptrdiff_t>(text.size()) - 3; place > 0; place -= 3)
    text.insert(static_cast<std::size_t>(place), ",");
  return text;
}

std::string with_commas(std::int64_t number) {
  if (number >= 0) return with_commas(static_cast<std::uint64_t>(number));
  return "-" + with_commas(~static_cast<std::uint64_t>(number) + 1);
}

std::string render_progress(const Progress& progress, int columns) {
  const double seconds = progress.elapsed.count();
  const double rate = seconds > 0 ? static_cast<double>(progress.rows) / seconds : 0;
  std::string numbers = aligned(with_commas(progress.rows), kRowsWidth) + " rows" +
                        aligned(with_commas(static_cast<std::uint64_t>(rate)), kRateWidth) +
                        " rows/s";
  if (!progress.fraction) return numbers;

  const double fraction = std::clamp(*progress.fraction, 0.0, 1.0);
  const auto percent = static_cast<int>(fraction * 100);
  numbers = (percent < 10    ? "  "
             : percent < 100 ? " "
                             : "") +
            std::to_string(percent) + " %   " + numbers;
  if (fraction > 0.01) numbers += "   " + clock_text(seconds / fraction - seconds) + " left";
  const int width = std::min(30, columns - static_cast<int>(numbers.size()) - 5);
  return width < 5 ? numbers : bar(fraction, width) + " " + numbers;
}

ProgressBar::ProgressBar() : visible_(is_terminal()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) write_error_stream(kWipeLine);
}

void ProgressBar::draw(const Progress& progress) {
  if (!visible_) return;
  drawn_ = true;
  write_error_stream(std::string(kWipeLine) + render_progress(progress, terminal_columns()));
}

}  // namespace bank
