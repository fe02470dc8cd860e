#include "http/json_text.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace keelson;
using namespace keelson::http;

TEST_CASE("json string: what must be escaped is, and the rest is copied") {
  CHECK(json_string("") == R"("")");
  CHECK(json_string("account-42") == R"("account-42")");
  CHECK(json_string("a\"b\\c") == R"("a\"b\\c")");
  CHECK(json_string("\n\r\t\b\x01\x1f") == R"("\n\r\t\u0008\u0001\u001f")");
  CHECK(json_string(std::string_view("\0", 1)) == R"("\u0000")");
  CHECK(json_string("Žižkov €\U0001F600") == "\"Žižkov €\U0001F600\"");
}

TEST_CASE("json string: bytes that are not UTF-8 still give valid JSON") {
  CHECK(json_string("a\xff"
                    "b") ==
        "\"a\xef\xbf\xbd"
        "b\"");
  CHECK(json_string("\xc3") == "\"\xef\xbf\xbd\"");
  CHECK(json_string("\xed\xa0\x80") == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  std::string every_byte;
  for (int c = 0; c < 256; ++c) every_byte += static_cast<char>(c);
  CHECK(nlohmann::json::accept(json_string(every_byte)));
}

TEST_CASE("json text: valid text passes") {
  for (const auto* good : {"null", " true ", "false", "0", "-0", "-1.5e+10", "1E5", R"("")",
                           R"("\u00e9\ud83d\ude00\/")", "[]", "{}", "[1,[2,{}]]",
                           "{\"a\":{\"a\":1},\"b\":[{\"a\":2}]}", "\t[ 1 , 2 ]\r\n"}) {
    CAPTURE(good);
    CHECK(check_json(good));
    CHECK(nlohmann::json::accept(good));
  }
}

TEST_CASE("json text: malformed text is refused") {
  for (const auto* bad : {"",
                          " ",
                          "nul",
                          "truex",
                          "01",
                          "-",
                          "1.",
                          ".5",
                          "1e",
                          "+1",
                          "NaN",
                          "'a'",
                          "\"",
                          "\"\\\"",
                          "\"\\x\"",
                          "\"\\u12\"",
                          "\"\\u12g4\"",
                          "\"\n\"",
                          "[",
                          "]",
                          "[1,]",
                          "[,1]",
                          "[1 2]",
                          "{",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1,}",
                          "{a:1}",
                          "{\"a\" 1}",
                          "{\"a\":1 \"b\":2}",
                          "[1}",
                          "{]",
                          "1 2",
                          "{}{}",
                          "// c\n1",
                          "\"\xff\"",
                          "\xef\xbb\xbf{}"}) {
    CAPTURE(bad);
    const auto checked = check_json(bad);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == Errc::bad_request);
    CHECK_FALSE(nlohmann::json::accept(std::string_view(bad).starts_with("\xef") ? "" : bad));
  }
}

TEST_CASE("json text: what readers understand differently is refused") {
  for (const auto* bad :
       {R"({"a":1,"a":2})", R"({"a":1,"\u0061":2})", R"([{"x":{"b":1,"b":1}}])", R"("\ud800")",
        R"("\udc00")", R"("\ud800\u0041")", "1e400", "-1e309", "[1.0E+999]"}) {
    CAPTURE(bad);
    CHECK_FALSE(check_json(bad));
  }
}

TEST_CASE("json text: a number beyond a double is refused, one too small to tell from 0 is not") {
  CHECK_FALSE(check_json(std::string(400, '9')));
  CHECK(check_json(std::string(300, '9')));
  CHECK(check_json("1.7976931348623157e308"));
  CHECK(check_json("1e-400"));
  CHECK(check_json("18446744073709551616"));
}

TEST_CASE("json text: a name given twice is found in a large object as well") {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i) text += "\"name" + std::to_string(i) + "\":0,";
  CHECK(check_json(text + R"("last":0})"));
  const auto twice = check_json(text + R"("name7":0})");
  REQUIRE_FALSE(twice);
  CHECK(twice.error().context.find("\"name7\"") != std::string::npos);
}

TEST_CASE("json text: depth and size are bounded") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  const JsonLimits limits{.bytes_max = 1000, .depth_max = 3};
  CHECK(check_json(nested(3), limits));
  CHECK_FALSE(check_json(nested(4), limits));
  CHECK_FALSE(check_json(nested(100'000), {.bytes_max = 1u << 20, .depth_max = 64}));
  const auto large = check_json(std::string(1001, ' '), limits);
  REQUIRE_FALSE(large);
  CHECK(large.error().code == Errc::too_large);
}

TEST_CASE("json text: compacting removes white space between tokens only") {
  CHECK(compact_json(" { \"a b\" : [ 1 , \"c\\\" d\" ] }\n") == R"({"a b":[1,"c\" d"]})");
}

TEST_CASE("json text: on one line, a value is what it was") {
  std::string out = "keep\n";
  append_on_one_line(out, "{\"a\":\r\n1}");
  CHECK(out == "keep\n{\"a\":  1}");
}
