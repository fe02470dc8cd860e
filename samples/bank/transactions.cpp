#include "samples/bank/transactions.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace bank {

using keelson::Errc;
using keelson::fail;

namespace {

constexpr std::size_t kIdBytesMax = 200;

/// Ids become parts of stream names, command ids and URLs: visible ASCII only.
bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

template <class Integer>
bool parse_integer(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// What a message may show of a field: short, and without control characters.
std::string shown(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string start(text.substr(0, kShown));
  for (char& c : start)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return "'" + start + (text.size() > kShown ? "…'" : "'");
}

Result<std::size_t> find_column(const std::vector<std::string>& header, std::string_view name) {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end())
    return fail(Errc::bad_request, "line 1, column " + std::string(name) + ": missing");
  if (std::find(found + 1, header.end(), name) != header.end())
    return fail(Errc::bad_request, "line 1, column " + std::string(name) + ": given twice");
  return static_cast<std::size_t>(found - header.begin());
}

keelson::Error in_file(const std::string& name, keelson::Error error) {
  error.context = name + ": " + error.context;
  return error;
}

}  // namespace

Result<TransactionReader> TransactionReader::open(std::string name,
                                                  std::unique_ptr<ByteSource> source) {
  CsvReader csv(std::move(source));
  std::vector<std::string> header;
  auto read = csv.next(header);
  if (!read) return std::unexpected(in_file(name, std::move(read).error()));
  if (!*read) return fail(Errc::bad_request, name + ": line 1: empty, a header line is needed");

  Columns columns{};
  const std::pair<std::string_view, std::size_t*> needed[] = {
      {"date", &columns.date},
      {"account_id", &columns.account_id},
      {"trans_id", &columns.trans_id},
      {"delta", &columns.delta},
      {"balance_after", &columns.balance_after}};
  for (const auto& [column, index] : needed) {
    auto found = find_column(header, column);
    if (!found) return std::unexpected(in_file(name, std::move(found).error()));
    *index = *found;
  }
  return TransactionReader(std::move(name), std::move(csv), std::move(header), columns);
}

TransactionReader::TransactionReader(std::string name, CsvReader csv,
                                     std::vector<std::string> header, Columns columns)
    : name_(std::move(name)), csv_(std::move(csv)), header_(std::move(header)), columns_(columns) {}

Result<std::optional<Transaction>> TransactionReader::next() {
  auto read = csv_.next(fields_);
  if (!read) return std::unexpected(in_file(name_, std::move(read).error()));
  if (!*read) return std::nullopt;
  KEELSON_TRY_ASSIGN(Transaction transaction, parse());
  return transaction;
}

Result<Transaction> TransactionReader::parse() const {
  if (fields_.size() != header_.size())
    return fail(Errc::bad_request, name_ + ": line " + std::to_string(csv_.line()) + ": " +
                                       std::to_string(fields_.size()) +
                                       " columns where the header has " +
                                       std::to_string(header_.size()));
  Transaction transaction;
  transaction.line = csv_.line();
  transaction.account_id = fields_[columns_.account_id];
  transaction.trans_id = fields_[columns_.trans_id];
  auto date = Day::parse(fields_[columns_.date]);
  if (!date) return bad(columns_.date, "is no date like 1993-01-05");
  transaction.date = *std::move(date);
  for (const std::size_t column : {columns_.account_id, columns_.trans_id})
    if (!is_id(fields_[column])) return bad(column, "is no id (1 to 200 visible ASCII characters)");
  if (!parse_integer(fields_[columns_.delta], transaction.delta))
    return bad(columns_.delta, "is no 64-bit integer");
  if (transaction.delta == 0) return bad(columns_.delta, "moves no money");
  if (transaction.delta == std::numeric_limits<std::int64_t>::min())
    return bad(columns_.delta, "is too large an amount");
  if (!parse_integer(fields_[columns_.balance_after], transaction.balance_after))
    return bad(columns_.balance_after, "is no 64-bit integer");
  return transaction;
}

std::unexpected<keelson::Error> TransactionReader::bad(std::size_t column,
                                                       const std::string& what) const {
  return fail(Errc::bad_request, name_ + ": line " + std::to_string(csv_.line()) + ", column " +
                                     header_[column] + ": " + shown(fields_[column]) + " " + what);
}

}  // namespace bank
