#include "aggregates/json_text.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace keelson::aggregates {

namespace {

using nlohmann::json;

/// Builds the value event by event, so that a repeated member is seen before it is lost.
class StrictBuilder {
 public:
  using number_integer_t = json::number_integer_t;
  using number_unsigned_t = json::number_unsigned_t;
  using number_float_t = json::number_float_t;
  using string_t = json::string_t;
  using binary_t = json::binary_t;

  bool null() { return add(json(nullptr)); }
  bool boolean(bool value) { return add(json(value)); }
  bool number_integer(number_integer_t value) { return add(json(value)); }
  bool number_unsigned(number_unsigned_t value) { return add(json(value)); }
  bool number_float(number_float_t value, const string_t&) { return add(json(value)); }
  bool string(string_t& value) { return add(json(std::move(value))); }
  bool binary(binary_t&) { return refuse("binary values are not JSON"); }

  bool start_object(std::size_t) { return open(json::object()); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    if (open_.back()->contains(name)) return refuse("member '" + name + "' is there twice");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    return refuse("not valid JSON at byte " + std::to_string(position));
  }

  [[nodiscard]] json take() { return std::move(root_); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  bool add(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (open_.size() == kJsonDepthMax) {
      return refuse("nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
    }
    // The address stays: a container grows only while it is the innermost open one.
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  json* place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  json root_;
  std::vector<json*> open_;
  std::string key_;
  std::string problem_;
};

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text) {
  // The parser takes a NUL for the end of the text, and passes over a byte order mark before it.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(Errc::bad_request, "not valid JSON at byte " + std::to_string(nul + 1));
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    return fail(Errc::bad_request, "not valid JSON at byte 1: a byte order mark");
  }
  StrictBuilder builder;
  // The library would pass over a byte order mark, which is no part of a JSON text (RFC 8259, 8.1).
  if (text.starts_with("\xef\xbb\xbf")) return fail(Errc::bad_request, "not valid JSON at byte 1");
  if (!json::sax_parse(text, &builder)) return fail(Errc::bad_request, builder.problem());
  return builder.take();
}

std::string canonical_json(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void append_json_string(std::string& out, std::string_view text) {
  bool plain = true;
  for (const char c : text) plain = plain && c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  if (plain) {
    out += '"';
    out += text;
    out += '"';
  } else {
    out += json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  }
}

}  // namespace keelson::aggregates
