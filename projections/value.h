// A value on its way into or out of a read model.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/strong_number.h"

namespace keelson::projections {

/// NULL, a 64-bit integer, a real, text (UTF-8) or bytes, as SQLite stores them. Converts from what
/// handlers have at hand. What does not fit (an unsigned number over 2^63-1, a field that is not
/// there) is kept as a value that no statement accepts, so the event fails with the reason.
class Value {
 public:
  enum class Type { null, integer, real, text, blob, unfit };

  Value() = default;
  Value(std::nullptr_t) {}  // NOLINT: implicit, as all of these
  Value(bool truth) : held_(std::int64_t{truth}) {}
  template <std::integral Number>
  Value(Number number) : held_(std::int64_t(number)) {
    if constexpr (std::unsigned_integral<Number> && sizeof(Number) == sizeof(std::int64_t)) {
      if (number > Number{std::numeric_limits<std::int64_t>::max()}) *this = over_64_bits(number);
    }
  }
  template <class Tag, class Rep>
  Value(StrongNumber<Tag, Rep> number) : Value(number.value) {}
  Value(double number) : held_(number) {}
  Value(std::string text) : held_(std::move(text)) {}
  Value(std::string_view text) : held_(std::string(text)) {}
  Value(const char* text) : held_(std::string(text)) {}
  /// JSON null, boolean, number or string as such; an array or object as its JSON text.
  Value(const nlohmann::json& json);

  [[nodiscard]] static Value blob(std::string bytes);
  /// A value that fails whatever uses it, saying `why`.
  [[nodiscard]] static Value unfit(std::string why);

  [[nodiscard]] Type type() const { return Type(held_.index()); }
  [[nodiscard]] bool is_null() const { return type() == Type::null; }

  /// @error bad_request  it is not an integer.
  [[nodiscard]] Result<std::int64_t> integer() const;
  /// An integer counts as a real. @error bad_request  it is no number.
  [[nodiscard]] Result<double> real() const;
  /// @error bad_request  it is not text.
  [[nodiscard]] Result<std::string> text() const;
  /// Bytes of a text or blob, the reason of an unfit value; empty for anything else.
  [[nodiscard]] std::string_view bytes() const;

  bool operator==(const Value&) const = default;

 private:
  struct Blob {
    std::string bytes;
    bool operator==(const Blob&) const = default;
  };
  struct Unfit {
    std::string why;
    bool operator==(const Unfit&) const = default;
  };
  static Value over_64_bits(std::uint64_t number);

  // In the order of Type.
  std::variant<std::monostate, std::int64_t, double, std::string, Blob, Unfit> held_;
};

/// `{{"id", event.stream_id()}, {"amount", event["amount"]}}`: values for the `:id` and `:amount`
/// of a statement.
struct Parameter {
  std::string name;
  Value value;
};
using Parameters = std::vector<Parameter>;

/// The columns of one row, in the order of the SELECT.
using Row = std::vector<Value>;

}  // namespace keelson::projections
