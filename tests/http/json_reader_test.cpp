#include "http/json_reader.h"

#include <doctest/doctest.h>

using namespace keelson;
using namespace keelson::http;

namespace {

JsonReader reader_of(std::string_view text) {
  auto reader = JsonReader::open(text, {});
  REQUIRE(reader);
  return *std::move(reader);
}

}  // namespace

TEST_CASE("json reader: members come in order, payloads as they stand in the text") {
  const std::string text =
      R"( {"type":"account", "data": {"amount" : 5} , "v":18446744073709551615,"n":null} )";
  JsonReader reader = reader_of(text);
  REQUIRE(reader.enter_object());
  CHECK(reader.next_member().value() == "type");
  CHECK(reader.string() == "account");
  CHECK(reader.next_member().value() == "data");
  const auto raw = reader.skip_value();
  REQUIRE(raw);
  CHECK(*raw == R"({"amount" : 5})");
  CHECK(raw->data() >= text.data());
  CHECK(reader.next_member().value() == "v");
  CHECK(reader.number() == UINT64_MAX);
  CHECK(reader.next_member().value() == "n");
  CHECK(reader.take_null() == true);
  CHECK_FALSE(reader.next_member().value().has_value());
  CHECK(reader.finish());
}

TEST_CASE("json reader: elements of an array, each by its kind") {
  JsonReader reader = reader_of(R"([1,"a",{},[],true,null])");
  REQUIRE(reader.enter_array());
  using Kind = JsonReader::Kind;
  for (const Kind kind :
       {Kind::number, Kind::string, Kind::object, Kind::array, Kind::boolean, Kind::null}) {
    CHECK(reader.next_element() == true);
    CHECK(reader.peek() == kind);
    CHECK(reader.skip_value());
  }
  CHECK(reader.next_element() == false);
  CHECK(reader.finish());
}

TEST_CASE("json reader: strings and names are decoded") {
  JsonReader reader = reader_of(R"({"\u0061\n":"\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00"})");
  REQUIRE(reader.enter_object());
  CHECK(reader.next_member().value() == "a\n");
  CHECK(reader.string() == "\"\\/\b\f\n\r\té€\U0001F600");
}

TEST_CASE("json reader: a number out of range or with a fraction is refused") {
  for (const auto* bad : {"-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "true"}) {
    CAPTURE(bad);
    CHECK_FALSE(reader_of(bad).number());
  }
}

TEST_CASE("json reader: another kind than wanted is refused with the byte") {
  CHECK_FALSE(reader_of("[]").enter_object());
  CHECK_FALSE(reader_of("{}").enter_array());
  const auto wrong = reader_of("  1").string();
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code == Errc::bad_request);
  CHECK(wrong.error().context == "malformed JSON at byte 2: a string is expected here");
}

TEST_CASE("json reader: something after the value is refused") {
  JsonReader reader = reader_of("1 2");
  CHECK(reader.skip_value());
  CHECK_FALSE(reader.finish());
}
