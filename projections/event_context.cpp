#include "projections/event_context.h"

#include <chrono>
#include <cstdio>

#include "engine/store/names.h"

namespace keelson::projections {

std::string_view EventContext::stream_type() const { return keelson::stream_type(event_.stream); }

std::string_view EventContext::stream_id() const { return keelson::stream_id(event_.stream); }

std::string EventContext::time_text() const {
  using namespace std::chrono;
  const sys_time<microseconds> time{microseconds(event_.time.value)};
  const auto midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss<microseconds> clock(time - midnight);
  char text[64];
  const int length = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
                                   int(date.year()), unsigned(date.month()), unsigned(date.day()),
                                   int(clock.hours().count()), int(clock.minutes().count()),
                                   int(clock.seconds().count()), int(clock.subseconds().count()));
  return {text, static_cast<std::size_t>(length)};
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
