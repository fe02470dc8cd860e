// Old events in new shapes. The log is never rewritten: an event is translated each time it is
// read.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/store/event.h"

namespace keelson::aggregates {

/// An event between the log and the aggregate: its type and parsed data.
struct StoredEvent {
  std::string type;
  nlohmann::json data;
};

/// Translates one old shape of one event type. Pure, like evolve.
struct Upcaster {
  std::string type;  ///< of the events it looks at, as they are before it
  /// Whether `data` has the old shape; empty: every event of `type` has (a type that was renamed).
  std::function<bool(const nlohmann::json& data)> is_old;
  /// The same event in the next newer shape, perhaps with another type.
  std::function<StoredEvent(nlohmann::json data)> upcast;
};

/// Oldest shape first. An event passes the list once, from its front, and each upcaster that fits
/// translates it: so a chain of shapes ends in the newest, and no chain can go round in a circle.
using Upcasters = std::vector<Upcaster>;

/// Whether one of them looks at events of `type`: those of other types are in their newest shape.
[[nodiscard]] bool concerns(const Upcasters& upcasters, std::string_view type);

/// Parses an event's data and brings it to its newest shape.
/// @error unsupported_format  the data is no JSON, or an upcaster threw.
[[nodiscard]] Result<StoredEvent> upcast(const Upcasters& upcasters, const EventView& event);

/// `account-42@3 (deposited, offset 17)`, for messages.
[[nodiscard]] std::string describe(const EventView& event);

}  // namespace keelson::aggregates
