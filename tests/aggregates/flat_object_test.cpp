#include "aggregates/flat_object.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "aggregates/fields.h"
#include "aggregates/json_text.h"

using namespace keelson;
using namespace keelson::aggregates;

namespace {

struct Order {
  std::int64_t amount = 0;
  std::string owner = "nobody";
  std::optional<std::string> reference;
  static constexpr auto kFields =
      fields(field("amount", &Order::amount, {.max = 1000}),
             field("owner", &Order::owner, {.required = false, .length_max = 5}),
             field("reference", &Order::reference));
};

/// The text of a member whose value is `value`.
std::string object_with(const std::string& value) { return R"({"a":)" + value + "}"; }

std::string with_members(int count) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) {
    text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + std::to_string(i);
  }
  return text + "}";
}

}  // namespace

TEST_CASE("flat object: what is read is what the parser makes of it") {
  for (const std::string& text : {
           std::string("{}"),
           std::string(" {\t} \r\n"),
           std::string(R"({"b":1,"a":"x","B":-7,"":true})"),
           std::string("{ \"a\" : null ,\n\"b\"\t:\rfalse }"),
           object_with("0"),
           object_with("-1"),
           object_with("999999999999999999"),
           object_with("-999999999999999999"),
           object_with(R"("")"),
           object_with("\"a b / \x7f <\xc4\x8d> \xf0\x9f\x8d\xba\""),
           with_members(16),
       }) {
    CAPTURE(text);
    const auto flat = FlatObject::read(text);
    REQUIRE(flat.has_value());
    const auto parsed = parse_json(text);
    REQUIRE(parsed.has_value());
    CHECK(flat->canonical() == canonical_json(*parsed));
    REQUIRE(flat->members().size() == parsed->size());
    for (const auto& [name, value] : parsed->items()) {
      REQUIRE(flat->find(name) != nullptr);
      CHECK(flat->find(name)->value() == value);
      CHECK(flat->find(name)->value().type() == value.type());
    }
    CHECK(flat->find("none") == nullptr);
  }
}

TEST_CASE("flat object: everything else is left to the parser") {
  for (const std::string& text : {
           std::string(),
           std::string("{"),
           std::string("[]"),
           std::string("1"),
           std::string("{}x"),
           std::string("{} {}"),
           std::string("\xef\xbb\xbf{}"),
           std::string("{}\0", 3),
           std::string(R"({"a"})"),
           std::string(R"({"a":1,})"),
           std::string(R"({,})"),
           std::string(R"({"a" 1})"),
           std::string(R"({"a":1 "b":2})"),
           std::string(R"({a:1})"),
           std::string(R"({"a":1,"a":1})"),
           std::string(R"({"a":1,"b":2,"a":3})"),
           std::string(R"({"\u0061":1})"),
           object_with(""),
           object_with("{}"),
           object_with("[1]"),
           object_with("tru"),
           object_with("nulls"),
           object_with("+1"),
           object_with("-"),
           object_with("01"),
           object_with("-0"),
           object_with("-01"),
           object_with("1.0"),
           object_with("1e2"),
           object_with("1000000000000000000"),
           object_with("-1000000000000000000"),
           object_with("1x"),
           object_with(R"("\n")"),
           object_with("\"\n\""),
           object_with("\"\x1f\""),
           object_with("\"\xff\""),
           object_with("\"\xc3\""),
           object_with("\"\xed\xa0\x80\""),
           object_with("\"open"),
           with_members(17),
       }) {
    CAPTURE(text);
    CHECK_FALSE(FlatObject::read(text).has_value());
  }
}

TEST_CASE("json document: flat or not, the same is read and the same is refused") {
  const auto read = [](std::string_view text) { return decode<Order>(text); };
  // An escape makes a text that is not flat, and says the same.
  for (const std::string_view owner : {"anna", "\\u0061nna"}) {
    const std::string text =
        R"({"reference":null,"owner":")" + std::string(owner) + R"(","amount":7})";
    const auto order = read(text);
    REQUIRE(order.has_value());
    CHECK(order->amount == 7);
    CHECK(order->owner == "anna");
    CHECK_FALSE(order->reference.has_value());
    CHECK(JsonDocument::parse(text).value().canonical() ==
          R"({"amount":7,"owner":"anna","reference":null})");
  }
  CHECK(read(R"({"amount":7})").value().owner == "nobody");
  const auto refused = [&](std::string_view text) { return read(text).error().context; };
  CHECK(refused(R"({})") == "amount: required member is missing");
  CHECK(refused(R"({"amount":1001})") ==
        "amount: expected an integer from -9223372036854775808 to 1000, found 1001");
  CHECK(refused(R"({"amount":"1"})") ==
        "amount: expected an integer from -9223372036854775808 to 1000, found \"1\"");
  CHECK(refused(R"({"amount":1,"owner":"abcdef"})") ==
        "owner: expected a string of at most 5 characters");
  CHECK(refused(R"({"amount":"1","other":2})") == "other: unknown member");
  CHECK(refused(R"({"amount":1,"amount":1})") == "member 'amount' is there twice");
  CHECK(refused(R"([])") == "expected an object, found an array");
}
