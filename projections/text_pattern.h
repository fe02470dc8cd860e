// LIKE and GLOB: a pattern taken apart once, matched with an eye on the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace keelson::projections {

/// Matches what SQLite's LIKE or GLOB matches (https://www.sqlite.org/lang_expr.html#like): LIKE
/// folds the case of ASCII letters, GLOB knows `[…]`. Text ends at a NUL, as it does there.
class TextPattern {
 public:
  /// @param escape  of LIKE's ESCAPE; 0 when there is none.
  [[nodiscard]] static TextPattern like(std::string_view pattern, char32_t escape);
  [[nodiscard]] static TextPattern glob(std::string_view pattern);

  /// Nothing when `give_up`, called every few thousand characters, says so.
  [[nodiscard]] std::optional<bool> matches(std::string_view text,
                                            const std::function<bool()>& give_up) const;

 private:
  enum class Kind : std::uint8_t { literal, one, many, set };
  struct Range {
    char32_t first, last;  ///< both within
  };
  struct Token {
    Kind kind;
    char32_t literal = 0;
    bool inverted = false;
    std::vector<Range> ranges{};
  };

  [[nodiscard]] bool takes(const Token& token, char32_t character) const;
  [[nodiscard]] static std::optional<Token> read_set(std::string_view& pattern);

  std::vector<Token> tokens_;
  bool fold_case_ = false;
  bool never_ = false;  ///< an escape of nothing, a set without its end
};

/// Takes the first character off `text`, which is not empty, as SQLite reads UTF-8 that may be
/// malformed.
[[nodiscard]] char32_t take_character(std::string_view& text);

}  // namespace keelson::projections
