#include "samples/bank/csv_reader.h"

#include <utility>

namespace bank {

using keelson::Errc;
using keelson::fail;

namespace {
constexpr std::size_t kBufferBytes = 64u << 10;
}

CsvReader::CsvReader(std::unique_ptr<ByteSource> source)
    : source_(std::move(source)), buffer_(kBufferBytes) {}

Result<bool> CsvReader::next(std::vector<std::string>& fields) {
  record_line_ = line_;
  record_bytes_ = 0;
  field_number_ = 0;
  if (!std::exchange(started_, true)) KEELSON_TRY(skip_byte_order_mark());
  KEELSON_TRY_ASSIGN(const int first, peek());
  if (first == kEnd) return false;
  if (first == '\n' || first == '\r') return bad("an empty line");

  for (;;) {
    if (field_number_ == fields.size()) fields.emplace_back();
    std::string& field = fields[field_number_++];
    field.clear();
    KEELSON_TRY_ASSIGN(const int byte, peek());
    if (byte == '"') {
      skip();
      KEELSON_TRY(read_quoted(field));
    } else {
      KEELSON_TRY(read_unquoted(field));
    }
    KEELSON_TRY_ASSIGN(const int after, peek());
    if (after == ',') {
      skip();
      KEELSON_TRY(add(field, kEnd));
      continue;
    }
    KEELSON_TRY_ASSIGN(const bool ended, at_line_end());
    if (!ended) return bad("text after the closing quote");
    fields.resize(field_number_);
    return true;
  }
}

Result<void> CsvReader::skip_byte_order_mark() {
  constexpr unsigned char kMark[] = {0xef, 0xbb, 0xbf};
  for (const unsigned char expected : kMark) {
    KEELSON_TRY_ASSIGN(const int byte, peek());
    if (byte != expected) {
      if (expected == kMark[0]) return {};
      return bad("begins with half a byte order mark");
    }
    skip();
  }
  return {};
}

Result<void> CsvReader::read_quoted(std::string& field) {
  for (;;) {
    KEELSON_TRY_ASSIGN(const int byte, peek());
    if (byte == kEnd) return bad("the quoted field never ends");
    skip();
    if (byte == '"') {
      KEELSON_TRY_ASSIGN(const int after, peek());
      if (after != '"') return {};
      skip();
    }
    KEELSON_TRY(add(field, byte));
  }
}

Result<void> CsvReader::read_unquoted(std::string& field) {
  for (;;) {
    KEELSON_TRY_ASSIGN(const int byte, peek());
    if (byte == kEnd || byte == ',' || byte == '\n' || byte == '\r') return {};
    if (byte == '"') return bad("a quote inside an unquoted field");
    skip();
    KEELSON_TRY(add(field, byte));
  }
}

Result<bool> CsvReader::at_line_end() {
  KEELSON_TRY_ASSIGN(const int byte, peek());
  if (byte == kEnd) return true;
  if (byte == '\n') {
    skip();
    return true;
  }
  if (byte != '\r') return false;
  skip();
  KEELSON_TRY_ASSIGN(const int after, peek());
  if (after != '\n') return bad("a carriage return without a line feed");
  skip();
  return true;
}

Result<int> CsvReader::peek() {
  if (position_ == length_) {
    KEELSON_TRY_ASSIGN(length_, source_->read(buffer_));
    position_ = 0;
    if (length_ == 0) return kEnd;
  }
  return static_cast<unsigned char>(buffer_[position_]);
}

void CsvReader::skip() {
  if (buffer_[position_] == '\n') ++line_;
  ++position_;
}

/// Counts every byte of the record, separators (`kEnd`) too: many empty fields are bounded as well.
Result<void> CsvReader::add(std::string& field, int byte) {
  if (++record_bytes_ > kRecordBytesMax)
    return fail(Errc::too_large, "line " + std::to_string(record_line_) + ": longer than " +
                                     std::to_string(kRecordBytesMax) + " bytes");
  if (byte != kEnd) field.push_back(static_cast<char>(byte));
  return {};
}

std::unexpected<keelson::Error> CsvReader::bad(const std::string& what) const {
  std::string context = "line " + std::to_string(record_line_);
  if (field_number_ > 0) context += ", field " + std::to_string(field_number_);
  return fail(Errc::bad_request, context + ": " + what);
}

}  // namespace bank
