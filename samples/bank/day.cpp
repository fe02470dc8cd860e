#include "samples/bank/day.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace bank {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// `text` holds digits only, few enough to fit.
int to_int(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::optional<Day> Day::parse(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = text.substr(0, 4);
  const auto month = text.substr(5, 2);
  const auto day = text.substr(8, 2);
  for (const auto part : {year, month, day})
    if (!std::all_of(part.begin(), part.end(), is_digit)) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(to_int(year)),
                                         std::chrono::month(static_cast<unsigned>(to_int(month))),
                                         std::chrono::day(static_cast<unsigned>(to_int(day))));
  if (!date.ok()) return std::nullopt;
  return Day(std::string(text));
}

Day Day::of(std::chrono::sys_days date) {
  const std::chrono::year_month_day day(date);
  std::array<char, 32> text{};
  const int length = std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", int(day.year()),
                                   unsigned(day.month()), unsigned(day.day()));
  return Day(std::string(text.data(), static_cast<std::size_t>(length)));
}

Day Day::of(keelson::TimeUs time) {
  const std::chrono::sys_time<std::chrono::microseconds> instant{
      std::chrono::microseconds(time.value)};
  return of(std::chrono::floor<std::chrono::days>(instant));
}

}  // namespace bank

namespace keelson::aggregates {

Read<bank::Day> Codec<bank::Day>::read(const nlohmann::json& value, const FieldOptions&) {
  if (value.is_string())
    if (auto day = bank::Day::parse(value.get_ref<const std::string&>())) return *std::move(day);
  return std::unexpected(Problem{"", "must be a day like \"1993-01-05\""});
}

void Codec<bank::Day>::write(std::string& out, const bank::Day& day) {
  out += '"';
  out += day.text();
  out += '"';
}

nlohmann::ordered_json Codec<bank::Day>::schema(const FieldOptions&) {
  return {{"type", "string"}, {"format", "date"}};
}

}  // namespace keelson::aggregates
