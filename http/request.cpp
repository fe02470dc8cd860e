#include "http/request.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/base/check.h"

namespace keelson::http {

namespace {

constexpr std::array<std::pair<std::string_view, Method>, 7> kMethods{{
    {"GET", Method::get},
    {"HEAD", Method::head},
    {"POST", Method::post},
    {"PUT", Method::put},
    {"DELETE", Method::delete_},
    {"PATCH", Method::patch},
    {"OPTIONS", Method::options},
}};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::string_view to_string(Method method) {
  for (const auto& [text, known] : kMethods) {
    if (known == method) return text;
  }
  return "GET";
}

std::optional<Method> parse_method(std::string_view text) {
  for (const auto& [known, method] : kMethods) {
    if (known == text) return method;
  }
  return std::nullopt;
}

void Headers::add(std::string_view name, std::string_view value) {
  const auto start = static_cast<std::uint32_t>(text_.size());
  const auto name_size = static_cast<std::uint32_t>(name.size());
  fields_.push_back(
      {start, name_size, start + name_size, static_cast<std::uint32_t>(value.size())});
  text_.append(name).append(value);
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (equal_without_case(text(field.name_start, field.name_size), name)) {
      return text(field.value_start, field.value_size);
    }
  }
  return std::nullopt;
}

std::optional<std::string> Headers::joined(std::string_view name) const {
  std::optional<std::string> all;
  for (const Field& field : fields_) {
    if (!equal_without_case(text(field.name_start, field.name_size), name)) continue;
    if (all) {
      all->append(", ");
    } else {
      all.emplace();
    }
    all->append(text(field.value_start, field.value_size));
  }
  return all;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(fields_, [&](const Field& field) {
    return equal_without_case(text(field.name_start, field.name_size), name);
  }));
}

const std::string& Request::path_parameter(std::string_view name) const {
  const auto found = std::ranges::find(path_parameters, name, &Parameters::value_type::first);
  KEELSON_ASSERT(found != path_parameters.end());
  return found->second;
}

std::optional<std::string_view> Request::query(std::string_view name) const {
  const auto found = std::ranges::find(query_parameters, name, &Parameters::value_type::first);
  if (found == query_parameters.end()) return std::nullopt;
  return found->second;
}

Result<std::optional<std::uint64_t>> Request::query_number(std::string_view name, std::uint64_t min,
                                                           std::uint64_t max) const {
  const auto text = query(name);
  if (!text) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size() || number < min || number > max) {
    return fail(Errc::bad_request, "the query parameter '" + std::string(name) +
                                       "' must be a whole number from " + std::to_string(min) +
                                       " to " + std::to_string(max));
  }
  return number;
}

Result<void> Request::check_query(std::initializer_list<std::string_view> known) const {
  for (auto it = query_parameters.begin(); it != query_parameters.end(); ++it) {
    if (std::ranges::find(known, it->first) == known.end()) {
      std::string names;
      for (const std::string_view name : known) {
        names += names.empty() ? "" : ", ";
        names += name;
      }
      return fail(Errc::bad_request, "unknown query parameter '" + it->first +
                                         "'; known here: " + (names.empty() ? "none" : names));
    }
    if (std::find_if(query_parameters.begin(), it,
                     [&](const auto& other) { return other.first == it->first; }) != it) {
      return fail(Errc::bad_request, "the query parameter '" + it->first + "' is given twice");
    }
  }
  return {};
}

}  // namespace keelson::http
