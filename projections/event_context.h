// The event a projection's handler is looking at.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "engine/store/event.h"
#include "projections/value.h"

namespace keelson::projections {

/// One event during one call of a handler; keep nothing of it. Parses its JSON when first asked to.
///
/// What it says is all a handler may know: a handler that reads a clock, a file or anything else
/// outside would give another read model when the log is replayed.
class EventContext {
 public:
  explicit EventContext(const EventView& event) : event_(event) {}

  [[nodiscard]] std::string_view type() const { return event_.type; }
  [[nodiscard]] PartitionId partition() const { return event_.partition; }
  [[nodiscard]] Offset offset() const { return event_.offset; }
  [[nodiscard]] std::string_view stream() const { return event_.stream; }  ///< `account-42`
  [[nodiscard]] std::string_view stream_type() const;                      ///< `account`
  [[nodiscard]] std::string_view stream_id() const;                        ///< `42`
  /// Version of the stream that this event made.
  [[nodiscard]] Version version() const { return event_.version; }
  /// When it was committed.
  [[nodiscard]] TimeUs time() const { return event_.time; }
  /// The same as RFC 3339 text, UTC with microseconds: sorts as text, and `substr(…, 1, 10)` is the
  /// day.
  [[nodiscard]] std::string time_text() const;
  [[nodiscard]] std::string_view command_id() const { return event_.command_id; }

  /// A field of the data. A missing one is a value that fails the event.
  [[nodiscard]] Value operator[](std::string_view field) const;
  /// A field of the data, NULL when it is missing.
  [[nodiscard]] Value optional(std::string_view field) const;

  /// The whole data. Throws `nlohmann::json::exception` when it is not JSON, which fails the event
  /// as any exception of a handler does.
  [[nodiscard]] const nlohmann::json& data() const;
  /// JSON null when the event has none.
  [[nodiscard]] const nlohmann::json& metadata() const;
  [[nodiscard]] std::string_view data_text() const { return event_.data; }

 private:
  const EventView& event_;
  mutable std::optional<nlohmann::json> data_;
  mutable std::optional<nlohmann::json> metadata_;
};

}  // namespace keelson::projections
