// Comma-separated values as RFC 4180 defines them, read strictly and in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "samples/bank/byte_source.h"

namespace bank {

/// Splits a byte source into records of fields.
///
/// Fields may be quoted with `"`, and then hold commas, line breaks and `""` for one quote. Lines
/// end with LF or CRLF; the last one need not. A byte order mark at the very start is skipped. What
/// is not CSV is an error that names the line, never a guess: a quote inside an unquoted field,
/// text after a closing quote, a quoted field without an end, a lone CR, an empty line. Not
/// thread-safe.
class CsvReader {
 public:
  static constexpr std::size_t kRecordBytesMax = 64u << 10;

  explicit CsvReader(std::unique_ptr<ByteSource> source);

  /// Reads the next record into `fields`, reusing its memory; false at the end.
  /// @error bad_request  not CSV; the context begins with `line N`.
  /// @error too_large    a record over `kRecordBytesMax`. And whatever the source gives.
  [[nodiscard]] Result<bool> next(std::vector<std::string>& fields);

  /// Line on which the last record read began, from 1.
  [[nodiscard]] std::uint64_t line() const { return record_line_; }
  [[nodiscard]] const ByteSource& source() const { return *source_; }

 private:
  static constexpr int kEnd = -1;

  [[nodiscard]] Result<int> peek();
  void skip();
  [[nodiscard]] Result<void> skip_byte_order_mark();
  [[nodiscard]] Result<bool> at_line_end();
  [[nodiscard]] Result<void> read_quoted(std::string& field);
  [[nodiscard]] Result<void> read_unquoted(std::string& field);
  [[nodiscard]] Result<void> add(std::string& field, int byte);
  [[nodiscard]] std::unexpected<keelson::Error> bad(const std::string& what) const;

  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
  std::size_t position_ = 0;
  std::size_t length_ = 0;
  bool started_ = false;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 0;
  std::size_t record_bytes_ = 0;
  std::size_t field_number_ = 0;
};

}  // namespace bank
