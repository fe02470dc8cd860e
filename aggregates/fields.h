// One description of a struct's members, from which its JSON is read, written and documented.
//
//     struct Deposit {
//       std::int64_t amount;
//       std::optional<std::string> reference;
//       static constexpr auto kFields = fields(field("amount", &Deposit::amount),
//                                              field("reference", &Deposit::reference));
//     };
//
// A member may be a bool, an integer, a std::string, an enum with names, a struct with kFields, a
// type with a Codec of its own, or a std::optional, std::vector or std::map<std::string, …> of
// these. There are no floating-point members: money and counts are integers, end to end.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "aggregates/flat_object.h"
#include "aggregates/json_text.h"
#include "aggregates/member_check.h"
#include "engine/base/result.h"

namespace keelson::aggregates {

/// What may be said of a member beside its name.
struct FieldOptions {
  std::string_view summary{};         ///< for the documentation
  bool required = true;               ///< false: when absent, the member keeps its default
  std::optional<std::int64_t> min{};  ///< of an integer
  std::optional<std::int64_t> max{};  ///< of an integer
  std::uint32_t length_max = 4096;    ///< of a string, in characters
  std::uint32_t items_max = 1024;     ///< of a vector or map
};

template <class Owner, class Value>
struct Field {
  std::string_view name;
  Value Owner::*member;
  FieldOptions options;
};

/// Describes one member by its JSON name.
template <class Owner, class Value>
[[nodiscard]] constexpr Field<Owner, Value> field(std::string_view name, Value Owner::*member,
                                                  FieldOptions options = {}) {
  return {name, member, options};
}

/// All members of a struct, in the order they are written. Leaving one out does not compile.
template <class Owner, class... Values>
[[nodiscard]] constexpr std::tuple<Field<Owner, Values>...> fields(Field<Owner, Values>... all) {
  return {all...};
}
[[nodiscard]] constexpr std::tuple<> fields() { return {}; }

/// The JSON name of an enumerator. An enum gets its names from a function beside it (for an enum
/// inside a class: a friend), found by argument-dependent lookup:
///     constexpr auto names_of(Status) { return std::array{EnumName{Status::open, "open"}, …}; }
template <class Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

/// Why a value was refused, and where: `lines[2].amount`.
struct Problem {
  std::string path;
  std::string what;

  /// The same problem seen from one level further out.
  [[nodiscard]] Problem under(std::string_view parent) &&;
  /// `path: what`.
  [[nodiscard]] std::string message() const;
};

template <class T>
using Read = std::expected<T, Problem>;

/// How a type looks in JSON; specialise it for a type of your own. Three static functions:
///     Read<T> read(const nlohmann::json&, const FieldOptions&);
///     void write(std::string& out, const T&);             // appends JSON text
///     nlohmann::ordered_json schema(const FieldOptions&);  // JSON Schema 2020-12
/// and, if it keeps memory of its own, a fourth, by which caches are bounded:
///     std::size_t heap_bytes(const T&);
template <class T>
struct Codec;

/// A struct that describes its members, or has none.
template <class T>
concept Described = std::is_class_v<T> &&(requires { T::kFields; } || std::is_empty_v<T>);

/// Reads a `T`; every byte of `value` is accounted for.
/// @error bad_request  an unknown, missing or repeated member, another type, or out of range.
template <class T>
[[nodiscard]] Result<T> decode_value(const nlohmann::json& value) {
  Read<T> read = Codec<T>::read(value, {});
  if (!read) return fail(Errc::bad_request, read.error().message());
  return *std::move(read);
}

/// JSON text that has been checked, and is parsed no further than its sort needs.
class JsonDocument {
 public:
  /// @param text  must outlive it.
  /// @error as `parse_json`.
  [[nodiscard]] static Result<JsonDocument> parse(std::string_view text);

  /// As `decode_value`.
  template <class T>
  [[nodiscard]] Result<T> decode() const {
    if constexpr (requires(const FlatObject& flat) { Codec<T>::read_flat(flat); }) {
      if (const auto* flat = std::get_if<FlatObject>(&content_)) {
        if (std::optional<T> read = Codec<T>::read_flat(*flat)) return *std::move(read);
      }
    }
    if (const auto* value = std::get_if<nlohmann::json>(&content_)) return decode_value<T>(*value);
    KEELSON_TRY_ASSIGN(const nlohmann::json value, parse_json(text_));
    return decode_value<T>(value);
  }
  /// As `canonical_json`.
  [[nodiscard]] std::string canonical() const;

 private:
  JsonDocument(std::string_view text, std::variant<FlatObject, nlohmann::json> content)
      : text_(text), content_(std::move(content)) {}

  std::string_view text_;
  std::variant<FlatObject, nlohmann::json> content_;
};

/// The same, from JSON text.
template <class T>
[[nodiscard]] Result<T> decode(std::string_view text) {
  KEELSON_TRY_ASSIGN(const JsonDocument document, JsonDocument::parse(text));
  return document.decode<T>();
}

/// The JSON text of `value`: members in the order of kFields, an empty optional as null.
template <class T>
[[nodiscard]] std::string encode(const T& value) {
  std::string text;
  Codec<T>::write(text, value);
  return text;
}

/// Memory that `value` keeps beside itself, about.
template <class T>
[[nodiscard]] std::size_t heap_bytes(const T& value) {
  if constexpr (requires { Codec<T>::heap_bytes(value); }) {
    return Codec<T>::heap_bytes(value);
  } else {
    return 0;
  }
}

/// JSON Schema 2020-12 of `T`, as text.
template <class T>
[[nodiscard]] std::string schema() {
  return Codec<T>::schema({}).dump();
}

// ---- How it is done --------------------------------------------------------------------------

namespace detail {

/// `expected <what>, found <value>`.
[[nodiscard]] std::unexpected<Problem> found_other(std::string_view what,
                                                   const nlohmann::json& value);
[[nodiscard]] Read<std::int64_t> read_signed(const nlohmann::json& value, std::int64_t min,
                                             std::int64_t max);
[[nodiscard]] Read<std::uint64_t> read_unsigned(const nlohmann::json& value, std::uint64_t min,
                                                std::uint64_t max);
[[nodiscard]] Read<std::string> read_string(const nlohmann::json& value, std::uint32_t length_max);
[[nodiscard]] std::unexpected<Problem> too_many_items(std::size_t items, std::uint32_t items_max);
[[nodiscard]] Problem unknown_member(std::string_view name);
[[nodiscard]] Problem missing_member(std::string_view name);
/// The schema `inner`, or null.
[[nodiscard]] nlohmann::ordered_json nullable_schema(nlohmann::ordered_json inner);

template <Described T>
[[nodiscard]] constexpr auto fields_of() {
  if constexpr (requires { T::kFields; }) {
    return T::kFields;
  } else {
    return std::tuple<>{};
  }
}

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

/// The bounds of an integer member: those of its type, narrowed by its options.
template <std::integral T>
struct Bounds {
  T min = std::numeric_limits<T>::min();
  T max = std::numeric_limits<T>::max();

  explicit Bounds(const FieldOptions& options) {
    if (options.min && std::cmp_greater(*options.min, min)) min = static_cast<T>(*options.min);
    if (options.max && std::cmp_less(*options.max, max)) max = static_cast<T>(*options.max);
  }
};

/// Reads one member of `object` into it; a problem, or nothing.
template <class Owner, class Value>
[[nodiscard]] std::optional<Problem> read_member(const nlohmann::json& object,
                                                 const Field<Owner, Value>& field, Owner& owner) {
  const auto found = object.find(field.name);
  if (found == object.end()) {
    if (kIsOptional<Value> || !field.options.required) return {};
    return missing_member(field.name);
  }
  Read<Value> read = Codec<Value>::read(*found, field.options);
  if (!read) return std::move(read).error().under(field.name);
  owner.*field.member = *std::move(read);
  return {};
}

/// The same from a flat object; false for whatever would be a problem.
template <class Owner, class Value>
[[nodiscard]] bool read_flat_member(const FlatObject& object, const Field<Owner, Value>& field,
                                    std::size_t& known, Owner& owner) {
  const FlatObject::Member* const found = object.find(field.name);
  if (found == nullptr) return kIsOptional<Value> || !field.options.required;
  ++known;
  Read<Value> read = Codec<Value>::read(found->value(), field.options);
  if (read) owner.*field.member = *std::move(read);
  return read.has_value();
}

}  // namespace detail

template <>
struct Codec<bool> {
  static Read<bool> read(const nlohmann::json& value, const FieldOptions&) {
    if (!value.is_boolean()) return detail::found_other("true or false", value);
    return value.get<bool>();
  }
  static void write(std::string& out, bool value) { out += value ? "true" : "false"; }
  static nlohmann::ordered_json schema(const FieldOptions&) { return {{"type", "boolean"}}; }
};

template <std::integral T>
struct Codec<T> {
  static Read<T> read(const nlohmann::json& value, const FieldOptions& options) {
    const detail::Bounds<T> bounds(options);
    auto number = [&] {
      if constexpr (std::is_signed_v<T>) {
        return detail::read_signed(value, bounds.min, bounds.max);
      } else {
        return detail::read_unsigned(value, bounds.min, bounds.max);
      }
    }();
    if (!number) return std::unexpected(std::move(number).error());
    return static_cast<T>(*number);
  }
  static void write(std::string& out, T value) { out += std::to_string(value); }
  static nlohmann::ordered_json schema(const FieldOptions& options) {
    const detail::Bounds<T> bounds(options);
    return {{"type", "integer"}, {"minimum", bounds.min}, {"maximum", bounds.max}};
  }
};

template <>
struct Codec<std::string> {
  static Read<std::string> read(const nlohmann::json& value, const FieldOptions& options) {
    return detail::read_string(value, options.length_max);
  }
  static void write(std::string& out, const std::string& value) { append_json_string(out, value); }
  static std::size_t heap_bytes(const std::string& value) {
    constexpr std::size_t kStoredInside = 15;
    return value.capacity() > kStoredInside ? value.capacity() + 1 : 0;
  }
  static nlohmann::ordered_json schema(const FieldOptions& options) {
    return {{"type", "string"}, {"maxLength", options.length_max}};
  }
};

template <class T>
requires std::is_enum_v<T>
struct Codec<T> {
  static Read<T> read(const nlohmann::json& value, const FieldOptions&) {
    std::string choices;
    for (const auto& [enumerator, name] : names_of(T{})) {
      if (value == name) return enumerator;
      choices += (choices.empty() ? "\"" : ", \"") + std::string(name) + '"';
    }
    return detail::found_other("one of " + choices, value);
  }
  /// An enumerator without a name is written as null, which no reader accepts.
  static void write(std::string& out, T value) {
    for (const auto& [enumerator, name] : names_of(T{})) {
      if (enumerator == value) return append_json_string(out, name);
    }
    out += "null";
  }
  static nlohmann::ordered_json schema(const FieldOptions&) {
    auto choices = nlohmann::ordered_json::array();
    for (const auto& [enumerator, name] : names_of(T{})) choices.push_back(name);
    return {{"type", "string"}, {"enum", std::move(choices)}};
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static Read<std::optional<T>> read(const nlohmann::json& value, const FieldOptions& options) {
    if (value.is_null()) return std::nullopt;
    return Codec<T>::read(value, options);
  }
  static void write(std::string& out, const std::optional<T>& value) {
    if (value) {
      Codec<T>::write(out, *value);
    } else {
      out += "null";
    }
  }
  static std::size_t heap_bytes(const std::optional<T>& value) {
    return value ? aggregates::heap_bytes(*value) : 0;
  }
  static nlohmann::ordered_json schema(const FieldOptions& options) {
    return detail::nullable_schema(Codec<T>::schema(options));
  }
};

template <class T>
struct Codec<std::vector<T>> {
  static Read<std::vector<T>> read(const nlohmann::json& value, const FieldOptions& options) {
    if (!value.is_array()) return detail::found_other("an array", value);
    if (value.size() > options.items_max) {
      return detail::too_many_items(value.size(), options.items_max);
    }
    std::vector<T> items;
    items.reserve(value.size());
    for (const nlohmann::json& element : value) {
      Read<T> item = Codec<T>::read(element, options);
      if (!item) {
        const std::string index = "[" + std::to_string(items.size()) + "]";
        return std::unexpected(std::move(item).error().under(index));
      }
      items.push_back(*std::move(item));
    }
    return items;
  }
  static void write(std::string& out, const std::vector<T>& items) {
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out += ',';
      Codec<T>::write(out, items[i]);
    }
    out += ']';
  }
  static std::size_t heap_bytes(const std::vector<T>& items) {
    std::size_t bytes = items.capacity() * sizeof(T);
    for (const T& item : items) bytes += aggregates::heap_bytes(item);
    return bytes;
  }
  static nlohmann::ordered_json schema(const FieldOptions& options) {
    return {
        {"type", "array"}, {"items", Codec<T>::schema(options)}, {"maxItems", options.items_max}};
  }
};

template <class T>
struct Codec<std::map<std::string, T>> {
  static Read<std::map<std::string, T>> read(const nlohmann::json& value,
                                             const FieldOptions& options) {
    if (!value.is_object()) return detail::found_other("an object", value);
    if (value.size() > options.items_max) {
      return detail::too_many_items(value.size(), options.items_max);
    }
    std::map<std::string, T> entries;
    for (const auto& [name, element] : value.items()) {
      Read<T> entry = Codec<T>::read(element, options);
      if (!entry) return std::unexpected(std::move(entry).error().under(name));
      entries.emplace(name, *std::move(entry));
    }
    return entries;
  }
  static void write(std::string& out, const std::map<std::string, T>& entries) {
    out += '{';
    for (bool first = true; const auto& [name, value] : entries) {
      if (!std::exchange(first, false)) out += ',';
      append_json_string(out, name);
      out += ':';
      Codec<T>::write(out, value);
    }
    out += '}';
  }
  static std::size_t heap_bytes(const std::map<std::string, T>& entries) {
    constexpr std::size_t kNode = 48;  // colour, three pointers, the allocator's own
    std::size_t bytes = 0;
    for (const auto& [name, value] : entries) {
      bytes += kNode + sizeof(name) + sizeof(value);
      bytes += aggregates::heap_bytes(name) + aggregates::heap_bytes(value);
    }
    return bytes;
  }
  static nlohmann::ordered_json schema(const FieldOptions& options) {
    return {{"type", "object"},
            {"additionalProperties", Codec<T>::schema(options)},
            {"maxProperties", options.items_max}};
  }
};

template <Described T>
struct Codec<T> {
  static Read<T> read(const nlohmann::json& value, const FieldOptions&) {
    if (!value.is_object()) return detail::found_other("an object", value);
    T object{};
    detail::check_every_member_is_listed<std::tuple_size_v<decltype(detail::fields_of<T>())>>(
        object);
    std::optional<Problem> problem = unknown_member(value);
    if (!problem) {
      std::apply(
          [&](const auto&... field) {
            (void)((problem = detail::read_member(value, field, object)) || ...);
          },
          detail::fields_of<T>());
    }
    if (problem) return std::unexpected(*std::move(problem));
    return object;
  }

  /// The same, but for what is wrong, which `read` says of the parsed text.
  static std::optional<T> read_flat(const FlatObject& flat) {
    std::optional<T> object(std::in_place);
    std::size_t known = 0;
    const bool good = std::apply(
        [&](const auto&... field) {
          return (detail::read_flat_member(flat, field, known, *object) && ...);
        },
        detail::fields_of<T>());
    if (!good || known != flat.members().size()) object.reset();
    return object;
  }

  static void write(std::string& out, const T& object) {
    out += '{';
    std::apply(
        [&](const auto&... field) {
          [[maybe_unused]] bool first = true;
          (write_member(out, object, field, std::exchange(first, false)), ...);
        },
        detail::fields_of<T>());
    out += '}';
  }

  static std::size_t heap_bytes(const T& object) {
    return std::apply(
        [&](const auto&... field) {
          return (std::size_t{0} + ... + aggregates::heap_bytes(object.*field.member));
        },
        detail::fields_of<T>());
  }

  static nlohmann::ordered_json schema(const FieldOptions&) {
    auto properties = nlohmann::ordered_json::object();
    auto required = nlohmann::ordered_json::array();
    std::apply([&](const auto&... field) { (add_property(properties, required, field), ...); },
               detail::fields_of<T>());
    nlohmann::ordered_json schema = {{"type", "object"}, {"properties", std::move(properties)}};
    if (!required.empty()) schema["required"] = std::move(required);
    schema["additionalProperties"] = false;
    return schema;
  }

 private:
  static std::optional<Problem> unknown_member(const nlohmann::json& object) {
    for (const auto& [name, ignored] : object.items()) {
      const bool known =
          std::apply([&name = name](const auto&... field) { return ((field.name == name) || ...); },
                     detail::fields_of<T>());
      if (!known) return detail::unknown_member(name);
    }
    return {};
  }

  template <class Value>
  static void write_member(std::string& out, const T& object, const Field<T, Value>& field,
                           bool first) {
    if (!first) out += ',';
    append_json_string(out, field.name);
    out += ':';
    Codec<Value>::write(out, object.*field.member);
  }

  template <class Value>
  static void add_property(nlohmann::ordered_json& properties, nlohmann::ordered_json& required,
                           const Field<T, Value>& field) {
    const std::string name(field.name);
    properties[name] = Codec<Value>::schema(field.options);
    if (!field.options.summary.empty()) properties[name]["description"] = field.options.summary;
    if (!detail::kIsOptional<Value> && field.options.required) required.push_back(name);
  }
};

}  // namespace keelson::aggregates
