#include "http/commit_body.h"

#include <algorithm>

#include "aggregates/hash.h"
#include "engine/store/names.h"
#include "http/json_reader.h"
#include "http/json_text.h"

namespace keelson::http {

namespace {

Result<JsonReader> open_body(std::string_view body, const Limits& limits) {
  JsonLimits json;
  json.bytes_max = limits.commit_bytes_max + kCommitBodySlack;
  return JsonReader::open(body, json);
}

std::unexpected<Error> unknown_member(std::string_view of, std::string_view name,
                                      std::string_view known) {
  return fail(Errc::bad_request, std::string(of) + " has no member '" + std::string(name) +
                                     "'; there are " + std::string(known));
}

Result<NewEvent> read_event(JsonReader& reader, const Limits& limits) {
  NewEvent event;
  bool data = false;
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    if (*name == "type") {
      KEELSON_TRY_ASSIGN(event.type, reader.string());
    } else if (*name == "data") {
      KEELSON_TRY_ASSIGN(event.data, reader.skip_value());
      data = true;
    } else if (*name == "metadata") {
      KEELSON_TRY_ASSIGN(event.metadata, reader.skip_value());
    } else {
      return unknown_member("an event", *name, "type, data and metadata");
    }
  }
  if (event.type.empty()) return fail(Errc::bad_request, "an event needs a 'type'");
  if (!data) return fail(Errc::bad_request, "an event needs 'data'; null if it has none");
  KEELSON_TRY(check_event_type(event.type, limits));
  return event;
}

Result<std::vector<NewEvent>> read_events(JsonReader& reader, const Limits& limits) {
  std::vector<NewEvent> events;
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) break;
    if (events.size() == limits.commit_events_max) {
      return fail(Errc::too_large,
                  "a commit holds at most " + std::to_string(limits.commit_events_max) + " events");
    }
    KEELSON_TRY_ASSIGN(NewEvent event, read_event(reader, limits));
    events.push_back(std::move(event));
  }
  if (events.empty()) return fail(Errc::bad_request, "there is no event to append");
  return events;
}

Result<ExpectedVersion> read_expected(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const JsonReader::Kind kind, reader.peek());
  if (kind == JsonReader::Kind::number) {
    KEELSON_TRY_ASSIGN(const std::uint64_t version, reader.number());
    return ExpectedVersion::exact(Version(version));
  }
  KEELSON_TRY_ASSIGN(const std::string word, reader.string());
  if (word == "none") return ExpectedVersion::none();
  if (word == "exists") return ExpectedVersion::exists();
  if (word == "any") return ExpectedVersion::any();
  return fail(Errc::bad_request,
              "'expected_version' must be a number, \"none\", \"exists\" or \"any\"");
}

Result<StreamWrite> read_write(JsonReader& reader, const Limits& limits) {
  StreamWrite write;
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    if (*name == "stream") {
      KEELSON_TRY_ASSIGN(write.stream, reader.string());
    } else if (*name == "expected_version") {
      KEELSON_TRY_ASSIGN(write.expected, read_expected(reader));
    } else if (*name == "events") {
      KEELSON_TRY_ASSIGN(write.events, read_events(reader, limits));
    } else {
      return unknown_member("a write", *name, "stream, expected_version and events");
    }
  }
  if (write.stream.empty() || write.events.empty()) {
    return fail(Errc::bad_request, "a write needs a 'stream' and 'events'");
  }
  return write;
}

Result<StreamCheck> read_check(JsonReader& reader) {
  StreamCheck check;
  bool expected = false;
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    if (*name == "stream") {
      KEELSON_TRY_ASSIGN(check.stream, reader.string());
    } else if (*name == "expected_version") {
      KEELSON_TRY_ASSIGN(check.expected, read_expected(reader));
      expected = true;
    } else {
      return unknown_member("a check", *name, "stream and expected_version");
    }
  }
  if (check.stream.empty() || !expected) {
    return fail(Errc::bad_request, "a check needs a 'stream' and an 'expected_version'");
  }
  return check;
}

Result<void> read_writes(JsonReader& reader, const Limits& limits, Commit& commit) {
  std::size_t events = 0;
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) return {};
    KEELSON_TRY_ASSIGN(StreamWrite write, read_write(reader, limits));
    events += write.events.size();
    if (events > limits.commit_events_max) {
      return fail(Errc::too_large,
                  "a commit holds at most " + std::to_string(limits.commit_events_max) + " events");
    }
    commit.writes.push_back(std::move(write));
  }
}

Result<void> read_checks(JsonReader& reader, const Limits& limits, Commit& commit) {
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) return {};
    if (commit.checks.size() == limits.commit_events_max) {
      return fail(Errc::too_large,
                  "a commit holds at most " + std::to_string(limits.commit_events_max) + " checks");
    }
    KEELSON_TRY_ASSIGN(StreamCheck check, read_check(reader));
    commit.checks.push_back(std::move(check));
  }
}

}  // namespace

Result<std::vector<NewEvent>> parse_events(std::string_view body, const Limits& limits) {
  KEELSON_TRY_ASSIGN(JsonReader reader, open_body(body, limits));
  KEELSON_TRY_ASSIGN(std::vector<NewEvent> events, read_events(reader, limits));
  KEELSON_TRY(reader.finish());
  return events;
}

Result<Commit> parse_commit(std::string_view body, const Limits& limits) {
  Commit commit;
  KEELSON_TRY_ASSIGN(JsonReader reader, open_body(body, limits));
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    if (*name == "writes") {
      KEELSON_TRY(read_writes(reader, limits, commit));
    } else if (*name == "checks") {
      KEELSON_TRY(read_checks(reader, limits, commit));
    } else {
      return unknown_member("a commit", *name, "writes and checks");
    }
  }
  KEELSON_TRY(reader.finish());
  if (commit.writes.empty()) return fail(Errc::bad_request, "a commit needs 'writes'");
  return commit;
}

Fingerprint fingerprint_of(std::string_view target, const Commit& commit) {
  // Each field with its length, so that none can run into the next.
  std::string all;
  const auto add = [&all](std::string_view field) {
    append_number(all, field.size());
    all += ':';
    all += field;
  };
  for (const StreamWrite& write : commit.writes) {
    add(write.stream);
    append_number(all, write.events.size());
    all += ';';
    for (const NewEvent& event : write.events) {
      add(event.type);
      add(compact_json(event.data));
      add(event.metadata.empty() ? "" : compact_json(event.metadata));
    }
  }
  return aggregates::hash128({"commit", target, all});
}

}  // namespace keelson::http
