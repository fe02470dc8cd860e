#include "projections/bounded_functions.h"

#include <sqlite3.h>

#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <unordered_set>

#include "projections/query_budget.h"
#include "projections/sqlite_database.h"
#include "projections/text_pattern.h"

namespace keelson::projections {

namespace {

/// An argument as text; nothing for NULL, or without memory to convert it.
std::optional<std::string_view> text_of(sqlite3_value* value) {
  const auto* const text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (text == nullptr) return std::nullopt;
  return std::string_view(text, static_cast<std::size_t>(sqlite3_value_bytes(value)));
}

std::string_view blob_of(sqlite3_value* value) {
  const auto* const bytes = static_cast<const char*>(sqlite3_value_blob(value));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

bool is_null(sqlite3_value* value) { return sqlite3_value_type(value) == SQLITE_NULL; }

void give_text(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// The first place of `needle`, in time that both lengths are added up to, not multiplied: glibc's
/// memmem is the two-way algorithm. `std::string_view::find` is not.
std::size_t find(std::string_view text, std::string_view needle) {
  if (needle.empty()) return 0;
  if (needle.size() > text.size()) return std::string_view::npos;  // so neither is a null pointer
  const void* const found = ::memmem(text.data(), text.size(), needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// --- instr(text, needle) ---

/// From 1, in characters of a text and bytes of a blob; 0: nowhere.
sqlite3_int64 place_of(std::string_view text, std::string_view needle, bool characters) {
  if (needle.empty()) return 1;
  if (!characters) return static_cast<sqlite3_int64>(find(text, needle) + 1);
  // Only at the beginning can a character be one that begins in the midst of one.
  if (is_continuation(needle.front())) return text.starts_with(needle) ? 1 : 0;
  const std::size_t at = find(text, needle);
  if (at == std::string_view::npos) return 0;
  sqlite3_int64 place = 1;
  for (std::size_t i = 1; i <= at; ++i) place += is_continuation(text[i]) ? 0 : 1;
  return place;
}

void instr(sqlite3_context* context, sqlite3_value** arguments) {
  if (is_null(arguments[0]) || is_null(arguments[1])) return;
  const bool first_blob = sqlite3_value_type(arguments[0]) == SQLITE_BLOB;
  const bool second_blob = sqlite3_value_type(arguments[1]) == SQLITE_BLOB;
  if (first_blob && second_blob) {
    return sqlite3_result_int64(context,
                                place_of(blob_of(arguments[0]), blob_of(arguments[1]), false));
  }
  // Of copies: to read a blob as text changes the value, which others may still look at.
  using Copy = std::unique_ptr<sqlite3_value, decltype(&sqlite3_value_free)>;
  const Copy text(sqlite3_value_dup(arguments[0]), &sqlite3_value_free);
  const Copy needle(sqlite3_value_dup(arguments[1]), &sqlite3_value_free);
  if (!text || !needle) return sqlite3_result_error_nomem(context);
  const auto in = text_of(text.get());
  const auto what = text_of(needle.get());
  if (!in || !what) return sqlite3_result_error_nomem(context);
  sqlite3_result_int64(context, place_of(*in, *what, true));
}

// --- replace(text, what, by) ---

void replace(sqlite3_context* context, sqlite3_value** arguments) {
  const auto text = text_of(arguments[0]);
  if (!text) return;
  const auto what = text_of(arguments[1]);
  if (!what) return;
  if (what->empty() || what->front() == '\0') return sqlite3_result_value(context, arguments[0]);
  const auto by = text_of(arguments[2]);
  if (!by) return;
  const auto bytes_max = static_cast<std::size_t>(
      sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1));
  std::string out;
  std::string_view rest = *text;
  while (true) {
    const std::size_t at = find(rest, *what);
    out += rest.substr(0, at);
    if (at != std::string_view::npos) out += *by;
    if (out.size() > bytes_max) return sqlite3_result_error_toobig(context);
    if (at == std::string_view::npos) break;
    rest.remove_prefix(at + what->size());
  }
  give_text(context, out);
}

// --- trim, ltrim, rtrim(text [, characters]) ---

/// The bytes of the first character.
std::string_view first_character(std::string_view text) {
  std::string_view rest = text;
  (void)take_character(rest);
  return text.substr(0, text.size() - rest.size());
}

std::string_view last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && is_continuation(text[at])) --at;
  const bool whole = static_cast<unsigned char>(text[at]) >= 0xc0;
  return text.substr(whole ? at : text.size() - 1);
}

/// A set of characters. Malformed ones are characters of their own; SQLite may take them for parts
/// of others.
class CharacterSet {
 public:
  explicit CharacterSet(std::string_view characters) {
    characters = characters.substr(0, characters.find('\0'));
    while (!characters.empty()) {
      const std::string_view character = first_character(characters);
      if (character.size() == 1) {
        single_[static_cast<unsigned char>(character.front())] = true;
      } else {
        longer_.insert(character);
      }
      characters.remove_prefix(character.size());
    }
  }

  [[nodiscard]] bool contains(std::string_view character) const {
    if (character.size() == 1) return single_[static_cast<unsigned char>(character.front())];
    return longer_.contains(character);
  }

 private:
  bool single_[256] = {};
  std::unordered_set<std::string_view> longer_;
};

template <bool left, bool right>
void trim(sqlite3_context* context, int count, sqlite3_value** arguments) {
  if (is_null(arguments[0])) return;
  const auto text = text_of(arguments[0]);
  const auto characters = count > 1 ? text_of(arguments[1]) : " ";
  if (!text || !characters) return;
  const CharacterSet set(*characters);
  std::string_view rest = *text;
  while (left && !rest.empty()) {
    const std::string_view character = first_character(rest);
    if (!set.contains(character)) break;
    rest.remove_prefix(character.size());
  }
  while (right && !rest.empty()) {
    const std::string_view character = last_character(rest);
    if (!set.contains(character)) break;
    rest.remove_suffix(character.size());
  }
  give_text(context, rest);
}

// --- LIKE and GLOB ---

void give_error(sqlite3_context* context, const char* what) {
  sqlite3_result_error(context, what, -1);
}

/// Some builds of SQLite, Debian's among them, match no BLOB with a pattern.
bool blobs_never_match() {
  static const bool never = sqlite3_compileoption_used("LIKE_DOESNT_MATCH_BLOBS") != 0;
  return never;
}

bool is_blob(sqlite3_value* value) { return sqlite3_value_type(value) == SQLITE_BLOB; }

/// like(pattern, text [, escape]), glob(pattern, text)
template <bool is_like>
void match(sqlite3_context* context, int count, sqlite3_value** arguments) {
  if (blobs_never_match() && (is_blob(arguments[0]) || is_blob(arguments[1]))) {
    return sqlite3_result_int(context, 0);
  }
  const int pattern_bytes_max =
      sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LIKE_PATTERN_LENGTH, -1);
  const auto pattern = text_of(arguments[0]);
  if (pattern && pattern->size() > static_cast<std::size_t>(pattern_bytes_max)) {
    return give_error(context, "LIKE or GLOB pattern too complex");
  }
  char32_t escape = 0;
  if (count > 2) {
    auto given = text_of(arguments[2]);
    if (!given) return;
    if (given->empty()) return give_error(context, "ESCAPE expression must be a single character");
    escape = take_character(*given);
    if (!given->empty()) {
      return give_error(context, "ESCAPE expression must be a single character");
    }
  }
  const auto text = text_of(arguments[1]);
  if (!pattern || !text) return;

  // Kept with the statement where the pattern is the same for every row.
  auto* parsed = static_cast<TextPattern*>(sqlite3_get_auxdata(context, 0));
  std::optional<TextPattern> made;
  if (parsed == nullptr || count > 2) {
    made = is_like ? TextPattern::like(*pattern, escape) : TextPattern::glob(*pattern);
  }
  const auto matched = (made ? *made : *parsed).matches(*text, [] {
    QueryBudget* const budget = QueryBudget::current();
    return budget != nullptr && budget->out_of_time();
  });
  if (!matched) return sqlite3_result_error_code(context, SQLITE_INTERRUPT);
  sqlite3_result_int(context, *matched ? 1 : 0);
  if (made && count == 2) {
    sqlite3_set_auxdata(context, 0, new TextPattern(*std::move(made)),
                        [](void* kept) { delete static_cast<TextPattern*>(kept); });
  }
}

/// SQLite must not see an exception.
template <auto function>
void called(sqlite3_context* context, int count, sqlite3_value** arguments) {
  try {
    if constexpr (std::is_invocable_v<decltype(function), sqlite3_context*, sqlite3_value**>) {
      function(context, arguments);
    } else {
      function(context, count, arguments);
    }
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

struct Replacement {
  const char* name;
  int arguments;
  void (*function)(sqlite3_context*, int, sqlite3_value**);
};

constexpr Replacement kReplacements[] = {
    {"instr", 2, called<instr>},
    {"replace", 3, called<replace>},
    {"trim", 1, called<trim<true, true>>},
    {"trim", 2, called<trim<true, true>>},
    {"ltrim", 1, called<trim<true, false>>},
    {"ltrim", 2, called<trim<true, false>>},
    {"rtrim", 1, called<trim<false, true>>},
    {"rtrim", 2, called<trim<false, true>>},
    {"like", 2, called<match<true>>},
    {"like", 3, called<match<true>>},
    {"glob", 2, called<match<false>>},
};

}  // namespace

Result<void> register_bounded_functions(Database& database) {
  for (const Replacement& replacement : kReplacements) {
    const int code =
        sqlite3_create_function_v2(database.handle(), replacement.name, replacement.arguments,
                                   SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr,
                                   replacement.function, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
      return std::unexpected(database.error(code, "register " + std::string(replacement.name)));
    }
  }
  return {};
}

bool is_unbounded_function(std::string_view name) {
  // It looks for each member of the patch among all members of the target.
  return sqlite3_stricmp(std::string(name).c_str(), "json_patch") == 0;
}

}  // namespace keelson::projections
