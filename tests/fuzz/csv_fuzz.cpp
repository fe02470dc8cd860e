// The bank's transactions: CSV that arrives in pieces of any size is the same records, what was
// read can be written and read again, and rows hold what they promise.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "samples/bank/csv_reader.h"
#include "samples/bank/transactions.h"
#include "tests/fuzz/input.h"
#include "tests/samples/bank/text_source.h"

namespace {

using namespace bank;
using bank::test::text_source;

struct Records {
  std::vector<std::vector<std::string>> all;
  std::string error;  ///< that ended it, or empty
  std::uint64_t line = 0;
  bool operator==(const Records&) const = default;
};

Records read(std::string_view text, std::size_t step) {
  CsvReader reader(text_source(std::string(text), step));
  Records records;
  std::vector<std::string> fields;
  while (true) {
    const auto more = reader.next(fields);
    records.line = reader.line();
    if (!more) records.error = more.error().message();
    if (!more || !*more) return records;
    KEELSON_ASSERT(!fields.empty());
    std::size_t bytes = 0;
    for (const std::string& field : fields) bytes += field.size();
    KEELSON_ASSERT(bytes <= CsvReader::kRecordBytesMax);
    records.all.push_back(fields);
  }
}

std::string written(const Records& records, std::string_view line_end) {
  std::string text;
  for (const auto& fields : records.all) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      text += i == 0 ? "\"" : ",\"";
      for (const char c : fields[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
      text += '"';
    }
    text += line_end;
  }
  return text;
}

void rows(std::string_view text, std::size_t step) {
  auto reader = TransactionReader::open("f", text_source(std::string(text), step));
  if (!reader) return;
  std::uint64_t line = 1;
  while (true) {
    const auto row = reader->next();
    if (!row || !*row) return;
    const Transaction& transaction = **row;
    KEELSON_ASSERT(transaction.line > line);
    line = transaction.line;
    KEELSON_ASSERT(transaction.delta != 0 && transaction.delta != INT64_MIN);
    KEELSON_ASSERT(Day::parse(transaction.date.text()) == transaction.date);
    for (const std::string& id : {transaction.account_id, transaction.trans_id}) {
      KEELSON_ASSERT(!id.empty() && id.size() <= 200);
      for (const char c : id) KEELSON_ASSERT(c > ' ' && c < 0x7f);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  const std::size_t step = input.byte() % 32 + 1u;
  const std::string_view text = input.rest();
  const Records records = read(text, step);
  KEELSON_ASSERT(records == read(text, text.size() + 1));
  for (const std::string_view line_end : {"\n", "\r\n"}) {
    const Records again = read(written(records, line_end), step);
    KEELSON_ASSERT(again.all == records.all && again.error.empty());
  }
  rows(text, step);
  rows("date,account_id,trans_id,delta,balance_after\n" + std::string(text), step);
  return 0;
}
