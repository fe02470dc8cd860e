#include "http/rfc3339.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace keelson::http {

namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr microseconds kEarliest =
    sys_days(std::chrono::year(0) / std::chrono::January / 1).time_since_epoch();
constexpr microseconds kLatest =
    sys_days(std::chrono::year(10000) / std::chrono::January / 1).time_since_epoch() -
    microseconds(1);

/// Writes `value` in `width` decimal digits.
char* put(char* at, std::uint64_t value, int width) {
  for (int i = width - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return at + width;
}

/// Takes text apart from the left; once something is not as expected `good` stays false.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  int digits(std::size_t width) {
    int value = 0;
    if (rest_.size() < width) good_ = false;
    for (std::size_t i = 0; good_ && i < width; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') good_ = false;
      value = value * 10 + (rest_[i] - '0');
    }
    if (good_) rest_.remove_prefix(width);
    return value;
  }
  /// Takes one of `choices`.
  char one_of(std::string_view choices) {
    if (rest_.empty() || choices.find(rest_.front()) == std::string_view::npos) {
      good_ = false;
      return 0;
    }
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  /// `.` and digits, as microseconds; 0 when there is none.
  int fraction() {
    if (!good_ || rest_.empty() || rest_.front() != '.') return 0;
    rest_.remove_prefix(1);
    int value = 0;
    int count = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; ++count) {
      if (count < 6) value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    if (count == 0) good_ = false;
    for (; count < 6; ++count) value *= 10;
    return value;
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool done() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

std::optional<TimeUs> parse(std::string_view text) {
  Scanner scan(text);
  const int y = scan.digits(4);
  scan.one_of("-");
  const int m = scan.digits(2);
  scan.one_of("-");
  const int d = scan.digits(2);
  scan.one_of("Tt");
  const int hour = scan.digits(2);
  scan.one_of(":");
  const int minute = scan.digits(2);
  scan.one_of(":");
  int second = scan.digits(2);
  int fraction = scan.fraction();
  const char zone = scan.one_of("Zz+-");
  minutes offset{0};
  if (zone == '+' || zone == '-') {
    const int offset_hour = scan.digits(2);
    scan.one_of(":");
    const int offset_minute = scan.digits(2);
    if (offset_hour > 23 || offset_minute > 59) return {};
    offset = hours(offset_hour) + minutes(offset_minute);
    if (zone == '-') offset = -offset;
  }
  const year_month_day date{std::chrono::year(y), std::chrono::month(static_cast<unsigned>(m)),
                            std::chrono::day(static_cast<unsigned>(d))};
  if (!scan.done() || !date.ok() || hour > 23 || minute > 59 || second > 60) return {};
  if (second == 60) {
    second = 59;
    fraction = 999'999;
  }
  const microseconds time = sys_days(date).time_since_epoch() + hours(hour) + minutes(minute) +
                            seconds(second) + microseconds(fraction) - offset;
  return TimeUs(time.count());
}

}  // namespace

void append_time(std::string& out, TimeUs time) {
  const microseconds since = std::clamp(microseconds(time.value), kEarliest, kLatest);
  const auto day = std::chrono::floor<days>(since);
  const year_month_day date{sys_days(day)};
  const auto in_day = static_cast<std::uint64_t>((since - day).count());
  const std::uint64_t second = in_day / 1'000'000;

  std::array<char, 27> text;
  char* at = put(text.data(), static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  *at++ = '-';
  at = put(at, static_cast<unsigned>(date.month()), 2);
  *at++ = '-';
  at = put(at, static_cast<unsigned>(date.day()), 2);
  *at++ = 'T';
  at = put(at, second / 3600, 2);
  *at++ = ':';
  at = put(at, second / 60 % 60, 2);
  *at++ = ':';
  at = put(at, second % 60, 2);
  *at++ = '.';
  at = put(at, in_day % 1'000'000, 6);
  *at = 'Z';
  out.append(text.data(), text.size());
}

std::string to_rfc3339(TimeUs time) {
  std::string out;
  append_time(out, time);
  return out;
}

Result<TimeUs> parse_rfc3339(std::string_view text) {
  const auto time = parse(text);
  if (!time) {
    return fail(Errc::bad_request, "'" + std::string(text.substr(0, 64)) +
                                       "' is not an RFC 3339 time such as 2026-11-22T22:24:28Z");
  }
  return *time;
}

}  // namespace keelson::http
