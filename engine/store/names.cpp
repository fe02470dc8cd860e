#include "engine/store/names.h"

#include <string>

namespace keelson {

namespace {

std::unexpected<Error> bad_name(std::string_view what, std::string_view name,
                                std::string_view why) {
  return fail(Errc::bad_request,
              std::string(what) + " '" + std::string(name.substr(0, 64)) + "' " + std::string(why));
}

Result<void> check_length(std::string_view what, std::string_view name, const Limits& limits) {
  if (name.empty()) return fail(Errc::bad_request, std::string(what) + " is empty");
  if (name.size() > limits.name_bytes_max) {
    return fail(Errc::too_large, std::string(what) + " has " + std::to_string(name.size()) +
                                     " bytes, at most " + std::to_string(limits.name_bytes_max) +
                                     " are allowed");
  }
  return {};
}

Result<void> check_text(std::string_view what, std::string_view name, const Limits& limits) {
  KEELSON_TRY(check_length(what, name, limits));
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return fail(Errc::bad_request, std::string(what) + " has a control character");
    }
  }
  if (!is_utf8(name)) return fail(Errc::bad_request, std::string(what) + " is not valid UTF-8");
  if (name.front() == '$') return bad_name(what, name, "starts with '$', which is reserved");
  return {};
}

}  // namespace

Result<void> check_topic_name(std::string_view name, const Limits& limits) {
  KEELSON_TRY(check_length("topic", name, limits));
  if (name.size() > kTopicNameBytesMax) {
    return bad_name("topic", name,
                    "has " + std::to_string(name.size()) +
                        " bytes; it names a folder, so at most " +
                        std::to_string(kTopicNameBytesMax) + " are allowed");
  }
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool good = plain(name.front());
  for (const char c : name) good = good && (plain(c) || c == '_' || c == '.' || c == '-');
  if (!good) return bad_name("topic", name, "must match [a-z0-9][a-z0-9_.-]*");
  return {};
}

Result<void> check_stream_name(std::string_view name, const Limits& limits) {
  return check_text("stream", name, limits);
}

Result<void> check_event_type(std::string_view type, const Limits& limits) {
  return check_text("event type", type, limits);
}

Result<void> check_command_id(std::string_view id, const Limits& limits) {
  KEELSON_TRY(check_length("command id", id, limits));
  for (const char c : id) {
    if (c < 0x20 || c > 0x7e) {
      return fail(Errc::bad_request, "command id must be printable ASCII");
    }
  }
  return {};
}

bool is_utf8(std::string_view text) {
  const auto* byte = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = byte + text.size();
  while (byte < end) {
    if (*byte < 0x80) {
      ++byte;
      continue;
    }
    // RFC 3629, section 4: the second byte's range depends on the first.
    int more = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (*byte >= 0xc2 && *byte <= 0xdf) {
      more = 1;
    } else if (*byte >= 0xe0 && *byte <= 0xef) {
      more = 2;
      if (*byte == 0xe0) low = 0xa0;
      if (*byte == 0xed) high = 0x9f;
    } else if (*byte >= 0xf0 && *byte <= 0xf4) {
      more = 3;
      if (*byte == 0xf0) low = 0x90;
      if (*byte == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (end - byte <= more) return false;
    for (int i = 1; i <= more; ++i) {
      if (byte[i] < low || byte[i] > high) return false;
      low = 0x80;
      high = 0xbf;
    }
    byte += more + 1;
  }
  return true;
}

std::string_view stream_type(std::string_view stream) { return stream.substr(0, stream.find('-')); }

std::string_view stream_id(std::string_view stream) {
  const auto dash = stream.find('-');
  return dash == std::string_view::npos ? stream : stream.substr(dash + 1);
}

}  // namespace keelson
