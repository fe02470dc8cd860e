#include "projections/value.h"

#include <nlohmann/json.hpp>

namespace keelson::projections {

namespace {

std::string_view name_of(Value::Type type) {
  switch (type) {
    case Value::Type::null: return "NULL";
    case Value::Type::integer: return "an integer";
    case Value::Type::real: return "a real";
    case Value::Type::text: return "text";
    case Value::Type::blob: return "a blob";
    case Value::Type::unfit: return "unfit";
  }
  return "unfit";
}

std::unexpected<Error> not_a(std::string_view wanted, const Value& value) {
  if (value.type() == Value::Type::unfit) {
    return fail(Errc::bad_request, std::string(value.bytes()));
  }
  return fail(Errc::bad_request,
              "expected " + std::string(wanted) + ", found " + std::string(name_of(value.type())));
}

}  // namespace

Value::Value(const nlohmann::json& json) {
  switch (json.type()) {
    case nlohmann::json::value_t::null: break;
    case nlohmann::json::value_t::boolean: *this = Value(json.get<bool>()); break;
    case nlohmann::json::value_t::number_integer: *this = Value(json.get<std::int64_t>()); break;
    case nlohmann::json::value_t::number_unsigned: *this = Value(json.get<std::uint64_t>()); break;
    case nlohmann::json::value_t::number_float: *this = Value(json.get<double>()); break;
    case nlohmann::json::value_t::string: *this = Value(json.get_ref<const std::string&>()); break;
    case nlohmann::json::value_t::array:
    case nlohmann::json::value_t::object: *this = Value(json.dump()); break;
    case nlohmann::json::value_t::binary:
    case nlohmann::json::value_t::discarded: *this = unfit("not a JSON value"); break;
  }
}

Value Value::blob(std::string bytes) {
  Value value;
  value.held_ = Blob{std::move(bytes)};
  return value;
}

Value Value::unfit(std::string why) {
  Value value;
  value.held_ = Unfit{std::move(why)};
  return value;
}

Value Value::over_64_bits(std::uint64_t number) {
  return unfit(std::to_string(number) + " is over the largest 64-bit integer");
}

Result<std::int64_t> Value::integer() const {
  if (const auto* number = std::get_if<std::int64_t>(&held_)) return *number;
  return not_a("an integer", *this);
}

Result<double> Value::real() const {
  if (const auto* number = std::get_if<double>(&held_)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&held_)) return static_cast<double>(*number);
  return not_a("a number", *this);
}

Result<std::string> Value::text() const {
  if (const auto* text = std::get_if<std::string>(&held_)) return *text;
  return not_a("text", *this);
}

std::string_view Value::bytes() const {
  if (const auto* text = std::get_if<std::string>(&held_)) return *text;
  if (const auto* blob = std::get_if<Blob>(&held_)) return blob->bytes;
  if (const auto* unfit = std::get_if<Unfit>(&held_)) return unfit->why;
  return {};
}

}  // namespace keelson::projections
