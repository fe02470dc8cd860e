#include "samples/bank/generator.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "samples/bank/transactions.h"
#include "tests/samples/bank/text_source.h"

namespace bank::test {

namespace {

std::string generate(const GeneratorOptions& options) {
  std::string text = csv_header();
  TransactionGenerator generator(options);
  while (const auto row = generator.next()) append_csv(text, *row);
  return text;
}

/// FNV-1a: enough to notice any change of a file.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

TEST_CASE("generator: the same options give the same bytes, on every machine and for ever") {
  const std::string text = generate({.accounts = 50, .rows = 3000, .seed = 7});
  CHECK(text == generate({.accounts = 50, .rows = 3000, .seed = 7}));
  CHECK(text != generate({.accounts = 50, .rows = 3000, .seed = 8}));
  CHECK(hash_of(text) == 0x48cfc0a96276c714u);
}

TEST_CASE("generator: its file can be read, its balances chain, its ids are unique") {
  const GeneratorOptions options{.accounts = 300, .rows = 30'000, .seed = 3};
  auto reader = TransactionReader::open("generated", text_source(generate(options), 4096));
  REQUIRE_MESSAGE(reader.has_value(), reader.error().context);
  std::map<std::string, std::int64_t> balances;
  std::set<std::string> ids;
  std::string last_date;
  std::uint64_t rows = 0;
  std::uint64_t below_zero = 0;
  for (;;) {
    auto row = reader->next();
    REQUIRE_MESSAGE(row.has_value(), row.error().context);
    if (!row->has_value()) break;
    const Transaction& transaction = **row;
    ++rows;
    REQUIRE(balances[transaction.account_id] + transaction.delta == transaction.balance_after);
    balances[transaction.account_id] = transaction.balance_after;
    REQUIRE(ids.insert(transaction.trans_id).second);
    REQUIRE(transaction.date.text() >= last_date);
    last_date = transaction.date.text();
    below_zero += transaction.balance_after < 0 ? 1 : 0;
  }
  CHECK(rows == options.rows);
  CHECK(balances.size() == options.accounts);
  CHECK(below_zero > 0);          // it happens
  CHECK(below_zero < rows / 50);  // and is rare
}

TEST_CASE("generator: a row's amount, sign and type agree, and seq counts from 1") {
  TransactionGenerator generator({.accounts = 20, .rows = 2000, .seed = 5});
  std::uint64_t seq = 0;
  std::set<std::string> kinds;
  while (const auto row = generator.next()) {
    REQUIRE(row->seq == ++seq);
    REQUIRE(row->delta != 0);
    const bool credit = row->operation == "cash_deposit" || row->operation == "transfer_in" ||
                        row->purpose == "interest";
    REQUIRE(credit == (row->delta > 0));
    kinds.insert(std::string(row->operation) + "/" + std::string(row->purpose));
  }
  for (const auto* kind :
       {"cash_deposit/", "transfer_in/", "transfer_in/pension", "none/interest", "cash_withdrawal/",
        "card_withdrawal/", "transfer_out/household", "cash_withdrawal/statement_fee"}) {
    CAPTURE(kind);
    CHECK(kinds.contains(kind));
  }
}

TEST_CASE("generator: fewer rows are a beginning of more, and one account is enough") {
  const std::string few = generate({.accounts = 1, .rows = 0, .seed = 1});
  CHECK(few == csv_header());
  TransactionGenerator one({.accounts = 1, .rows = 1, .seed = 1});
  REQUIRE(one.next().has_value());
  CHECK_FALSE(one.next().has_value());
}

}  // namespace bank::test
