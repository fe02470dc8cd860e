#include "projections/event_context.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "engine/store/names.h"

namespace keelson::projections {

namespace {

/// In at least `width` digits. Every event has its time written, so not by way of a format.
void append_padded(std::string& out, std::int64_t number, std::size_t width) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  const auto size = static_cast<std::size_t>(end - digits.data());
  if (size < width) out.append(width - size, '0');
  out.append(digits.data(), size);
}

}  // namespace

std::string_view EventContext::stream_type() const { return keelson::stream_type(event_.stream); }

std::string_view EventContext::stream_id() const { return keelson::stream_id(event_.stream); }

std::string EventContext::time_text() const {
  using namespace std::chrono;
  const sys_time<microseconds> time{microseconds(event_.time.value)};
  const auto midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss<microseconds> clock(time - midnight);
  const int year(date.year());
  std::string text = year < 0 ? "-" : "";
  append_padded(text, std::abs(year), year < 0 ? 3 : 4);
  append_padded(text += '-', unsigned(date.month()), 2);
  append_padded(text += '-', unsigned(date.day()), 2);
  append_padded(text += 'T', clock.hours().count(), 2);
  append_padded(text += ':', clock.minutes().count(), 2);
  append_padded(text += ':', clock.seconds().count(), 2);
  append_padded(text += '.', clock.subseconds().count(), 6);
  return text += 'Z';
}

Value EventContext::operator[](std::string_view field) const {
  const auto& json = data();
  if (json.is_object()) {
    if (const auto found = json.find(field); found != json.end()) return *found;
  }
  return Value::unfit("the event's data has no field '" + std::string(field) + "'");
}

Value EventContext::optional(std::string_view field) const {
  const auto& json = data();
  if (!json.is_object()) return nullptr;
  const auto found = json.find(field);
  return found == json.end() ? Value() : Value(*found);
}

const nlohmann::json& EventContext::data() const {
  if (!data_) data_ = nlohmann::json::parse(event_.data);
  return *data_;
}

const nlohmann::json& EventContext::metadata() const {
  if (!metadata_) {
    metadata_ = event_.metadata.empty() ? nlohmann::json() : nlohmann::json::parse(event_.metadata);
  }
  return *metadata_;
}

}  // namespace keelson::projections
