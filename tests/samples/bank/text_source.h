// An input for the bank's readers, from memory.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "samples/bank/byte_source.h"

namespace bank::test {

/// Hands out a few bytes at a time, so that everything is cut everywhere.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text, std::size_t step = 3)
      : text_(std::move(text)), step_(step) {}

  Result<std::size_t> read(std::span<char> buffer) override {
    const std::size_t length = std::min({buffer.size(), step_, text_.size() - position_});
    std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(position_), length, buffer.begin());
    position_ += length;
    return length;
  }

 private:
  std::string text_;
  std::size_t step_;
  std::size_t position_ = 0;
};

inline std::unique_ptr<ByteSource> text_source(std::string text, std::size_t step = 3) {
  return std::make_unique<TextSource>(std::move(text), step);
}

}  // namespace bank::test
