#include "aggregates/fields.h"

#include <doctest/doctest.h>

#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

enum class Colour { red, green };
constexpr auto names_of(Colour) {
  return std::array{EnumName{Colour::red, "red"}, EnumName{Colour::green, "green"}};
}

struct Line {
  std::string name;
  std::uint8_t count = 0;
  static constexpr auto kFields = fields(field("name", &Line::name), field("count", &Line::count));
  bool operator==(const Line&) const = default;
};

struct Order {
  Colour colour = Colour::red;
  bool urgent = false;
  std::uint64_t number = 0;
  std::vector<Line> lines;
  std::optional<Line> gift;
  std::map<std::string, std::int64_t> extras;
  static constexpr auto kFields =
      fields(field("colour", &Order::colour), field("urgent", &Order::urgent, {.required = false}),
             field("number", &Order::number), field("lines", &Order::lines, {.items_max = 3}),
             field("gift", &Order::gift),
             field("extras", &Order::extras, {.required = false, .items_max = 2}));
  bool operator==(const Order&) const = default;
};

struct Whole {
  std::int64_t value = 0;
  static constexpr auto kFields = fields(field("value", &Whole::value));
};

std::string problem_of(const auto& result) {
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == Errc::bad_request);
  return result.error().context;
}

}  // namespace

TEST_CASE("fields: what is written is read back, whatever the type of member") {
  const Order order{Colour::green, true,       UINT64_MAX, {{"a \"b\"\n\xc3\xa4", 255}, {"", 0}},
                    Line{"g", 1},  {{"x", -1}}};
  const std::string text = encode(order);
  CHECK(text == R"({"colour":"green","urgent":true,"number":18446744073709551615,"lines":[)"
                R"({"name":"a \"b\"\nä","count":255},{"name":"","count":0}],)"
                R"("gift":{"name":"g","count":1},"extras":{"x":-1}})");
  const auto read = decode<Order>(text);
  REQUIRE(read.has_value());
  CHECK(*read == order);
}

TEST_CASE("fields: an optional may be null or absent, a required member may not be absent") {
  CHECK(encode(Order{}).find(R"("gift":null)") != std::string::npos);
  CHECK_FALSE(decode<Order>(R"({"colour":"red","number":1,"lines":[]})").value().gift);
  CHECK_FALSE(decode<Order>(R"({"colour":"red","number":1,"lines":[],"gift":null})").value().gift);
  CHECK(problem_of(decode<Order>(R"({"colour":"red","lines":[]})")) ==
        "number: required member is missing");
  CHECK(problem_of(decode<Order>(R"({"colour":"red","number":null,"lines":[]})"))
            .starts_with("number: expected an integer"));
}

TEST_CASE("fields: a problem names the member by its whole path") {
  CHECK(problem_of(decode<Order>(
            R"({"colour":"red","number":1,"lines":[{"name":"a","count":1},{"name":"b"}]})")) ==
        "lines[1].count: required member is missing");
  CHECK(problem_of(decode<Order>(R"({"colour":"red","number":1,"lines":[],"gift":{"nam":1}})")) ==
        "gift.nam: unknown member");
  CHECK(problem_of(decode<Order>(R"({"colour":"blue","number":1,"lines":[]})")) ==
        R"(colour: expected one of "red", "green", found "blue")");
  CHECK(problem_of(decode<Order>(R"({"colour":"red","number":1,"lines":[],"extras":{"k":[]}})"))
            .starts_with("extras.k: expected an integer"));
  CHECK(problem_of(decode<Order>(R"({"colour":"red","number":1,"lines":{}})")) ==
        "lines: expected an array, found an object");
  CHECK(problem_of(decode<Order>(R"([])")) == "expected an object, found an array");
  CHECK(problem_of(decode<Order>(R"({"colour":"red","number":1,"lines":[1,2,3,4]})")) ==
        "lines: expected at most 3 items, found 4");
}

TEST_CASE("fields: an integer is read exactly or refused, never converted") {
  const auto value = [](std::string_view number) {
    return decode<Whole>(R"({"value":)" + std::string(number) + "}");
  };
  CHECK(value("9223372036854775807").value().value == INT64_MAX);
  CHECK(value("-9223372036854775808").value().value == INT64_MIN);
  CHECK(value("-0").value().value == 0);
  for (const auto* bad : {"9223372036854775808", "-9223372036854775809", "18446744073709551616",
                          "1e30", "1.5", "1.0", "1e0", "\"1\"", "true", "null", "[1]"}) {
    CAPTURE(bad);
    CHECK(problem_of(value(bad))
              .starts_with("value: expected an integer from "
                           "-9223372036854775808 to 9223372036854775807, found"));
  }
  CHECK(problem_of(value("9223372036854775808")).ends_with("found 9223372036854775808"));
  CHECK(problem_of(value("1.5")).ends_with("found 1.5"));
  problem_of(value("1e999"));
  problem_of(value("01"));
  problem_of(value("NaN"));

  CHECK(decode<Line>(R"({"name":"","count":255})").has_value());
  CHECK(problem_of(decode<Line>(R"({"name":"","count":256})")) ==
        "count: expected an integer from 0 to 255, found 256");
  CHECK(problem_of(decode<Line>(R"({"name":"","count":-1})")) ==
        "count: expected an integer from 0 to 255, found -1");
  CHECK(problem_of(decode<Wallet::Put>(R"({"amount":0})")).starts_with("amount: expected"));
}

TEST_CASE("fields: a string is valid UTF-8, bounded in characters and without U+0000") {
  const auto note = [](const std::string& text) {
    return decode<Wallet::Put>(R"({"amount":1,"note":")" + text + "\"}");
  };
  std::string twenty;
  for (int i = 0; i < 20; ++i) twenty += "ä";
  CHECK(note(twenty).value().note == twenty);
  CHECK(problem_of(note(twenty + "a")) == "note: expected a string of at most 20 characters");
  problem_of(note("\xff"));
  problem_of(note("\xc0\xaf"));
  problem_of(note("\\ud800"));
  CHECK(problem_of(note("a\\u0000b")) == "note: the character U+0000 is not allowed");
}

TEST_CASE("fields: invalid UTF-8 made by the domain is still written as valid JSON") {
  const std::string text = encode(Wallet::Added{1, "a\xff"});
  CHECK(decode<Wallet::Added>(text).value().note == "a\xef\xbf\xbd");
}

TEST_CASE("json text: a member that is there twice is refused, at any depth") {
  CHECK(problem_of(parse_json(R"({"a":1,"a":1})")) == "member 'a' is there twice");
  CHECK(problem_of(parse_json(R"([{"b":{"a":1,"c":2,"a":3}}])")) == "member 'a' is there twice");
  CHECK(problem_of(parse_json(R"({"a":1,"\u0061":2})")) == "member 'a' is there twice");
  CHECK(parse_json(R"([{"a":1},{"a":2}])").has_value());
}

TEST_CASE("json text: nesting is bounded") {
  const std::string deep(kJsonDepthMax, '[');
  CHECK(parse_json(deep + std::string(kJsonDepthMax, ']')).has_value());
  CHECK(problem_of(parse_json("[" + deep)) == "nested deeper than 32 levels");
  CHECK(problem_of(parse_json(std::string(1'000'000, '['))) == "nested deeper than 32 levels");
}

TEST_CASE("json text: what is not one JSON text is refused with its place") {
  for (const auto* bad :
       {"", " ", "{", "{\"a\":1,}", "{} {}", "{'a':1}", "// c\n{}", "nul", "\xef\xbb\xbf{}"}) {
    CAPTURE(bad);
    CHECK(problem_of(parse_json(bad)).starts_with("not valid JSON at byte"));
  }
  // What many parsers take for the end, or pass over.
  CHECK(problem_of(parse_json(std::string_view("{}\0{", 4))) == "not valid JSON at byte 3");
  CHECK(problem_of(parse_json(std::string_view("{}\0", 3))) == "not valid JSON at byte 3");
  CHECK(problem_of(parse_json("\xef\xbb\xbf{}")) == "not valid JSON at byte 1: a byte order mark");
}

TEST_CASE("json text: the canonical spelling ignores order, whitespace and escapes") {
  const auto canonical = [](std::string_view text) {
    return canonical_json(parse_json(text).value());
  };
  CHECK(canonical(R"( { "b" : [1 , 2], "a":"\u00e4\/" })") == R"({"a":"ä/","b":[1,2]})");
  CHECK(canonical(R"({"a":1})") != canonical(R"({"a":"1"})"));
}

TEST_CASE("fields: the schema says type, bounds and what is required") {
  CHECK(schema<Wallet::Put>() ==
        R"({"type":"object","properties":{"amount":{"type":"integer","minimum":1,)"
        R"("maximum":9223372036854775807,"description":"Minor units"},)"
        R"("note":{"type":["string","null"],"maxLength":20}},"required":["amount"],)"
        R"("additionalProperties":false})");
  CHECK(schema<Wallet::Open>() ==
        R"({"type":"object","properties":{},"additionalProperties":false})");
  const auto order = nlohmann::json::parse(schema<Order>());
  CHECK(order["properties"]["colour"]["enum"] == nlohmann::json({"red", "green"}));
  CHECK(order["properties"]["number"]["maximum"] == UINT64_MAX);
  CHECK(order["properties"]["lines"]["items"]["properties"]["count"]["maximum"] == 255);
  CHECK(order["properties"]["gift"]["type"] == nlohmann::json({"object", "null"}));
  CHECK(order["required"] == nlohmann::json({"colour", "number", "lines"}));
}

}  // namespace keelson::test
