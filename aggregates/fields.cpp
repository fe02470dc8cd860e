#include "aggregates/fields.h"

namespace keelson::aggregates {

namespace {

/// A value as an error message shows it: short, whatever its size.
std::string shown(const nlohmann::json& value) {
  constexpr std::size_t kShownMax = 40;
  switch (value.type()) {
    case nlohmann::json::value_t::object: return "an object";
    case nlohmann::json::value_t::array: return "an array";
    case nlohmann::json::value_t::string:
      return value.get_ref<const std::string&>().size() > kShownMax ? "a string"
                                                                    : canonical_json(value);
    default: return canonical_json(value);
  }
}

template <class T>
std::string integer_range(T min, T max) {
  return "an integer from " + std::to_string(min) + " to " + std::to_string(max);
}

std::size_t count_characters(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

}  // namespace

Problem Problem::under(std::string_view parent) && {
  const bool joined = path.empty() || path.front() == '[';
  return {std::string(parent) + (joined ? "" : ".") + path, std::move(what)};
}

std::string Problem::message() const { return path.empty() ? what : path + ": " + what; }

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
  if (auto flat = FlatObject::read(text)) return JsonDocument(text, *std::move(flat));
  KEELSON_TRY_ASSIGN(nlohmann::json value, parse_json(text));
  return JsonDocument(text, std::move(value));
}

std::string JsonDocument::canonical() const {
  if (const auto* flat = std::get_if<FlatObject>(&content_)) return flat->canonical();
  return canonical_json(std::get<nlohmann::json>(content_));
}

namespace detail {

std::unexpected<Problem> found_other(std::string_view what, const nlohmann::json& value) {
  return std::unexpected(Problem{{}, "expected " + std::string(what) + ", found " + shown(value)});
}

Read<std::int64_t> read_signed(const nlohmann::json& value, std::int64_t min, std::int64_t max) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (std::cmp_greater_equal(number, min) && std::cmp_less_equal(number, max)) {
      return static_cast<std::int64_t>(number);
    }
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (number >= min && number <= max) return number;
  }
  return found_other(integer_range(min, max), value);
}

Read<std::uint64_t> read_unsigned(const nlohmann::json& value, std::uint64_t min,
                                  std::uint64_t max) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number >= min && number <= max) return number;
  }
  return found_other(integer_range(min, max), value);
}

Read<std::string> read_string(const nlohmann::json& value, std::uint32_t length_max) {
  if (!value.is_string()) return found_other("a string", value);
  const auto& text = value.get_ref<const std::string&>();
  if (count_characters(text) > length_max) {
    return std::unexpected(
        Problem{{}, "expected a string of at most " + std::to_string(length_max) + " characters"});
  }
  // Text ends at a NUL in SQLite's functions and in much else that reads events.
  if (text.find('\0') != std::string::npos) {
    return std::unexpected(Problem{{}, "the character U+0000 is not allowed"});
  }
  return text;
}

std::unexpected<Problem> too_many_items(std::size_t items, std::uint32_t items_max) {
  return std::unexpected(Problem{
      {},
      "expected at most " + std::to_string(items_max) + " items, found " + std::to_string(items)});
}

Problem unknown_member(std::string_view name) { return {std::string(name), "unknown member"}; }

Problem missing_member(std::string_view name) {
  return {std::string(name), "required member is missing"};
}

nlohmann::ordered_json nullable_schema(nlohmann::ordered_json inner) {
  if (inner.contains("type") && inner["type"].is_string() && !inner.contains("enum")) {
    inner["type"] = nlohmann::ordered_json::array({inner["type"], "null"});
    return inner;
  }
  return {{"anyOf", nlohmann::ordered_json::array({std::move(inner), {{"type", "null"}}})}};
}

}  // namespace detail

}  // namespace keelson::aggregates
