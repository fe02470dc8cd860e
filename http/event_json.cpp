#include "http/event_json.h"

#include <utility>

#include "http/json_text.h"
#include "http/rfc3339.h"

namespace keelson::http {

namespace {

void append_payload(std::string& out, std::string_view json, Lines lines) {
  if (lines == Lines::as_stored) {
    out += json;
  } else {
    append_on_one_line(out, json);
  }
}

}  // namespace

void append_event_members(std::string& out, const EventView& event, Lines lines) {
  // Punctuation and numbers take less than 256 bytes, so most events cost one growth at most.
  const std::size_t wanted = out.size() + 256 + event.stream.size() + event.type.size() +
                             event.data.size() + event.metadata.size() + event.command_id.size();
  if (wanted > out.capacity()) out.reserve(wanted + out.size());
  out += R"("partition":)";
  append_number(out, event.partition.value);
  out += R"(,"offset":)";
  append_number(out, event.offset.value);
  out += R"(,"stream":)";
  append_json_string(out, event.stream);
  out += R"(,"version":)";
  append_number(out, event.version.value);
  out += R"(,"type":)";
  append_json_string(out, event.type);
  out += R"(,"time":")";
  append_time(out, event.time);
  out += R"(","data":)";
  append_payload(out, event.data, lines);
  if (!event.metadata.empty()) {
    out += R"(,"metadata":)";
    append_payload(out, event.metadata, lines);
  }
  if (!event.command_id.empty()) {
    out += R"(,"command_id":)";
    append_json_string(out, event.command_id);
  }
}

void append_event(std::string& out, const EventView& event, Lines lines) {
  out += '{';
  append_event_members(out, event, lines);
  out += '}';
}

void EventPage::add(const EventView& event) {
  if (count_ != 0) json_ += ',';
  append_event(json_, event);
  ++count_;
}

std::string EventPage::finish(std::optional<std::uint64_t> next, std::uint64_t end) && {
  json_ += R"(],"next":)";
  if (next) {
    append_number(json_, *next);
  } else {
    json_ += "null";
  }
  json_ += R"(,"end":)";
  append_number(json_, end);
  json_ += '}';
  return std::move(json_);
}

}  // namespace keelson::http
