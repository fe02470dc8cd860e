#include "samples/bank/transactions.h"

#include <doctest/doctest.h>

#include "tests/samples/bank/text_source.h"

namespace bank::test {

namespace {

constexpr std::string_view kHeader = "date,account_id,trans_id,delta,balance_after\n";

Result<Transaction> read_one(const std::string& text) {
  auto reader = TransactionReader::open("file.csv", text_source(text));
  if (!reader) return std::unexpected(reader.error());
  auto row = reader->next();
  if (!row) return std::unexpected(row.error());
  if (!*row) return keelson::fail(keelson::Errc::not_found, "no row");
  return **row;
}

std::string error_of_row(const std::string& row) {
  auto read = read_one(std::string(kHeader) + row);
  return read ? "no error" : read.error().context;
}

}  // namespace

TEST_CASE("transactions: columns are found by name, others are ignored") {
  const auto row = read_one(
      "balance_after,extra,trans_id,account_id,date,delta\r\n-7,\"a,b\",t9,42,1993-01-05,-12\r\n");
  REQUIRE_MESSAGE(row.has_value(), row.error().context);
  CHECK(row->account_id == "42");
  CHECK(row->trans_id == "t9");
  CHECK(row->date.text() == "1993-01-05");
  CHECK(row->delta == -12);
  CHECK(row->balance_after == -7);
  CHECK(row->line == 2);
}

TEST_CASE("transactions: a header that does not serve is refused by its column") {
  CHECK(read_one("").error().context == "file.csv: line 1: empty, a header line is needed");
  CHECK(read_one("date,account_id,trans_id,balance_after\n").error().context ==
        "file.csv: line 1, column delta: missing");
  CHECK(read_one("date,date,account_id,trans_id,delta,balance_after\n").error().context ==
        "file.csv: line 1, column date: given twice");
}

TEST_CASE("transactions: a row that does not serve is refused by line and column") {
  const std::string at = "file.csv: line 2, column ";
  CHECK(error_of_row("1993-02-29,1,t,5,5\n") ==
        at + "date: '1993-02-29' is no date like 1993-01-05");
  CHECK(error_of_row("1993-01-05,,t,5,5\n").find(at + "account_id: ''") == 0);
  CHECK(error_of_row("1993-01-05,a b,t,5,5\n").find(at + "account_id: 'a b'") == 0);
  CHECK(error_of_row("1993-01-05,1,\xc3\xa4,5,5\n").find(at + "trans_id: ") == 0);
  CHECK(error_of_row("1993-01-05,1,t,5.0,5\n") == at + "delta: '5.0' is no 64-bit integer");
  CHECK(error_of_row("1993-01-05,1,t,,5\n") == at + "delta: '' is no 64-bit integer");
  CHECK(error_of_row("1993-01-05,1,t,+5,5\n") == at + "delta: '+5' is no 64-bit integer");
  CHECK(error_of_row("1993-01-05,1,t,0,5\n") == at + "delta: '0' moves no money");
  CHECK(error_of_row("1993-01-05,1,t,9223372036854775808,5\n").find(at + "delta") == 0);
  CHECK(error_of_row("1993-01-05,1,t,-9223372036854775808,5\n").find("too large") !=
        std::string::npos);
  CHECK(error_of_row("1993-01-05,1,t,5,x\x01\n") ==
        at + "balance_after: 'x?' is no 64-bit integer");
  CHECK(error_of_row("1993-01-05,1,t,5\n") == "file.csv: line 2: 4 columns where the header has 5");
  CHECK(error_of_row("1993-01-05,1,t,5,5,6\n") ==
        "file.csv: line 2: 6 columns where the header has 5");
  CHECK(error_of_row("1993-01-05,1,t,\"5\n") ==
        "file.csv: line 2, field 4: the quoted field never ends");
}

TEST_CASE("transactions: amounts reach to the ends of 64 bits") {
  const std::string row = "1993-01-05,1,t,-9223372036854775807,-9223372036854775808\n";
  const auto read = read_one(std::string(kHeader) + row);
  REQUIRE_MESSAGE(read.has_value(), read.error().context);
  CHECK(read->delta == -INT64_MAX);
  CHECK(read->balance_after == INT64_MIN);
}

}  // namespace bank::test
