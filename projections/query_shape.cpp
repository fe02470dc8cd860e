#include "projections/query_shape.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace keelson::projections {

namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_compound(std::string_view word) {
  return word == "union" || word == "intersect" || word == "except" || word == "values";
}

/// The words of an SQL text in lower case, and its other signs one by one. Blanks, comments, quoted
/// names and literals are left out.
class Words {
 public:
  explicit Words(std::string_view sql) : rest_(sql) {}

  /// Empty at the end.
  std::string next() {
    while (!rest_.empty()) {
      if (is_blank(rest_.front())) {
        rest_.remove_prefix(1);
      } else if (rest_.starts_with("--")) {
        skip_past("\n", 2);
      } else if (rest_.starts_with("/*")) {
        skip_past("*/", 2);
      } else if (const auto quote = rest_.front(); std::string_view("'\"`[").contains(quote)) {
        // A doubled quote ends one literal and begins the next: the same is left out.
        skip_past(quote == '[' ? "]" : rest_.substr(0, 1), 1);
      } else {
        return take();
      }
    }
    return {};
  }

 private:
  void skip_past(std::string_view end, std::size_t from) {
    const std::size_t found = rest_.find(end, from);
    rest_.remove_prefix(found == std::string_view::npos ? rest_.size() : found + end.size());
  }
  std::string take() {
    const auto end = std::ranges::find_if_not(rest_, is_word);
    const auto size = std::max<std::size_t>(1, static_cast<std::size_t>(end - rest_.begin()));
    std::string word(rest_.substr(0, size));
    for (char& c : word) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    rest_.remove_prefix(size);
    return word;
  }

  std::string_view rest_;
};

}  // namespace

bool compares_text_as_numbers(std::string_view sql, bool inner) {
  Words words(sql);
  int depth = inner ? 1 : 0;
  std::string before;
  for (std::string word = words.next(); !word.empty(); word = words.next()) {
    if (depth > 0 && is_compound(word)) return true;
    if (before == ")" && word == "in") return true;
    if (word == "(") ++depth;
    if (word == ")") --depth;
    before = std::move(word);
  }
  return false;
}

}  // namespace keelson::projections
