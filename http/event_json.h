// Events as the API writes them: the same shape in every route, page and stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/store/event.h"

namespace keelson::http {

/// Where the text of an event may have line breaks.
enum class Lines {
  as_stored,  ///< payloads byte for byte as they were appended
  one,        ///< one line, as NDJSON, server-sent events and WebSocket frames need it
};

/// Appends `{"partition":0,"offset":7,"stream":"account-42","version":3,"type":"deposited",
/// "time":"…","data":…}` with `metadata` and `command_id` when the event has them. Payloads are
/// copied, not parsed: the log holds valid JSON only.
void append_event(std::string& out, const EventView& event, Lines lines = Lines::as_stored);
/// The members of that object without its braces, to stand among others.
void append_event_members(std::string& out, const EventView& event, Lines lines);

/// Builds a page, `{"events":[…],"next":…,"end":…}`.
class EventPage {
 public:
  void add(const EventView& event);
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return json_.size(); }
  /// @param next  where to continue: the first offset (or version) not in the page; nothing when
  ///              reading backward has come to the beginning.
  /// @param end   where the events end now; a page with `next` below it is closed and immutable.
  [[nodiscard]] std::string finish(std::optional<std::uint64_t> next, std::uint64_t end) &&;

 private:
  std::string json_ = R"({"events":[)";
  std::size_t count_ = 0;
};

}  // namespace keelson::http
