// A day of the calendar, as bookings carry it.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "aggregates/fields.h"
#include "engine/base/types.h"

namespace bank {

/// A day, without time or zone, written `1993-01-05`.
class Day {
 public:
  Day() = default;

  /// Nothing unless `text` is a day of the calendar written `YYYY-MM-DD`.
  [[nodiscard]] static std::optional<Day> parse(std::string_view text);
  /// @param date  of the years 0 to 9999.
  [[nodiscard]] static Day of(std::chrono::sys_days date);
  /// The day it is in UTC at `time`.
  [[nodiscard]] static Day of(keelson::TimeUs time);

  [[nodiscard]] const std::string& text() const { return text_; }
  auto operator<=>(const Day&) const = default;

 private:
  explicit Day(std::string text) : text_(std::move(text)) {}
  std::string text_ = "1970-01-01";
};

}  // namespace bank

/// In JSON a day is a string; anything else is refused where the request is read.
template <>
struct keelson::aggregates::Codec<bank::Day> {
  static Read<bank::Day> read(const nlohmann::json& value, const FieldOptions&);
  static void write(std::string& out, const bank::Day& day);
  static nlohmann::ordered_json schema(const FieldOptions&);
};
