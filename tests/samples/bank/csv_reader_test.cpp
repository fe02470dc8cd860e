#include "samples/bank/csv_reader.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/samples/bank/text_source.h"
#include "tests/support/temporary_folder.h"

namespace bank::test {

namespace {

using Fields = std::vector<std::string>;

std::vector<Fields> read_all(const std::string& text, std::size_t step = 3) {
  CsvReader reader(text_source(text, step));
  std::vector<Fields> records;
  Fields fields;
  for (;;) {
    auto more = reader.next(fields);
    REQUIRE_MESSAGE(more.has_value(), more.error().context);
    if (!*more) return records;
    records.push_back(fields);
  }
}

std::string read_error(const std::string& text) {
  CsvReader reader(text_source(text));
  Fields fields;
  for (;;) {
    auto more = reader.next(fields);
    if (!more) return more.error().context;
    if (!*more) return "no error";
  }
}

}  // namespace

TEST_CASE("csv: records are the same however the bytes are cut") {
  const std::string text = "a,b,c\r\n1,\"x,\"\"y\"\"\r\nz\",\n,,\n\"\",last,\"q\"";
  const std::vector<Fields> expected = {
      {"a", "b", "c"}, {"1", "x,\"y\"\r\nz", ""}, {"", "", ""}, {"", "last", "q"}};
  for (const std::size_t step : {1, 2, 3, 7, 1000}) CHECK(read_all(text, step) == expected);
}

TEST_CASE("csv: a byte order mark is skipped, at the very start only") {
  CHECK(read_all("\xef\xbb\xbf"
                 "a,b\n") == std::vector<Fields>{{"a", "b"}});
  CHECK(read_all("a\n\xef\xbb\xbf"
                 "b\n") == std::vector<Fields>{{"a"},
                                               {"\xef\xbb\xbf"
                                                "b"}});
  CHECK(read_error("\xef\xbb"
                   "a,b\n")
            .find("byte order mark") != std::string::npos);
}

TEST_CASE("csv: an empty input has no records") { CHECK(read_all("").empty()); }

TEST_CASE("csv: what is not CSV is refused with its line") {
  CHECK(read_error("a\n\nb\n") == "line 2: an empty line");
  CHECK(read_error("a,b\nc,d\"e\n") == "line 2, field 2: a quote inside an unquoted field");
  CHECK(read_error("\"a\"b\n") == "line 1, field 1: text after the closing quote");
  CHECK(read_error("a\n\"b\nc") == "line 2, field 1: the quoted field never ends");
  CHECK(read_error("a\rb\n") == "line 1, field 1: a carriage return without a line feed");
}

TEST_CASE("csv: a line number counts the line breaks inside quotes") {
  CHECK(read_error("\"a\n\nb\"\nc\"\n") == "line 4, field 1: a quote inside an unquoted field");
}

TEST_CASE("csv: a record without an end does not take memory without an end") {
  const std::string megabyte(1u << 20, 'x');
  CHECK(read_error("a\n\"" + megabyte).find("line 2: longer than") == 0);
  CHECK(read_error(std::string(1u << 20, ',')).find("line 1: longer than") == 0);
}

TEST_CASE("byte source: zstd is known by its first bytes, and a frame cut off is an error") {
  const keelson::test::TemporaryFolder folder;
  // `printf 'seq,date\n1,2\n' | zstd`, as bytes: the frame header, one raw block, a checksum.
  const unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x69, 0x00, 0x00, 's', 'e',
                                 'q',  ',',  'd',  'a',  't',  'e',  '\n', '1',  ',',  '2', '\n'};
  const auto write = [&folder](const std::string& name, std::string_view bytes) {
    const std::string path = folder.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  };
  const std::string_view bytes(reinterpret_cast<const char*>(frame), sizeof frame);

  auto cut = open_byte_source(write("cut", bytes));
  REQUIRE(cut.has_value());
  CsvReader reader(*std::move(cut));
  Fields fields;
  REQUIRE(reader.next(fields).value());
  CHECK(fields == Fields{"seq", "date"});
  REQUIRE(reader.next(fields).value());
  const auto end = reader.next(fields);
  REQUIRE_FALSE(end.has_value());  // the checksum is missing
  CHECK(end.error().context.find("inside a zstd frame") != std::string::npos);

  auto plain = open_byte_source(write("plain", "x,y"));
  REQUIRE(plain.has_value());
  CHECK(plain.value()->fraction_read() == 1.0);  // looking at the start of so little reads it all
  CsvReader plain_reader(*std::move(plain));
  REQUIRE(plain_reader.next(fields).value());
  CHECK(fields == Fields{"x", "y"});

  CHECK(open_byte_source(folder.path() + "/none").error().code == keelson::Errc::not_found);
  auto empty = open_byte_source(write("empty", ""));
  REQUIRE(empty.has_value());
  CHECK_FALSE(CsvReader(*std::move(empty)).next(fields).value());
}

}  // namespace bank::test
