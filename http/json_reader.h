// Walks through JSON text without building a document.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "http/json_text.h"

namespace keelson::http {

/// Pulls values out of JSON text one after another. What it hands out as `std::string_view` points
/// into the text, so that a payload inside a request is taken as it stands, without a copy.
///
///     KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(body, limits));
///     KEELSON_TRY(reader.enter_object());
///     while (true) {
///       KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
///       if (!name) break;
///       if (*name == "type") { KEELSON_TRY_ASSIGN(type, reader.string()); }
///       else { KEELSON_TRY(reader.skip_value()); }
///     }
///     KEELSON_TRY(reader.finish());
///
/// Everything passed over is checked (see `check_json`); each function fails with `bad_request`, a
/// context that names the byte, and leaves the reader unusable. A name that stands twice in an
/// object is found at the latest at the object's end. Depth is bounded, nothing recurses.
class JsonReader {
 public:
  enum class Kind { object, array, string, number, boolean, null };

  /// `text` must outlive the reader.
  /// @error too_large  more than `limits.bytes_max`. @error bad_request  not UTF-8.
  [[nodiscard]] static Result<JsonReader> open(std::string_view text, const JsonLimits& limits);

  /// Kind of the next value, judged by its first byte.
  [[nodiscard]] Result<Kind> peek();

  /// Passes over the next value. @return its bytes, without white space around it.
  [[nodiscard]] Result<std::string_view> skip_value();
  /// The next value, a string, decoded.
  [[nodiscard]] Result<std::string> string();
  /// The next value, an integer from 0 to 2^64-1 written without fraction or exponent.
  [[nodiscard]] Result<std::uint64_t> number();
  /// Passes over a `null`, if that is the next value.
  [[nodiscard]] Result<bool> take_null();

  /// Enters the object that comes next. Afterwards: `next_member`, its value, and so on.
  [[nodiscard]] Result<void> enter_object();
  /// Name of the object's next member, valid up to the object's end; nothing at that end, which
  /// leaves the object.
  [[nodiscard]] Result<std::optional<std::string_view>> next_member();

  /// Enters the array that comes next. Afterwards: `next_element`, the element, and so on.
  [[nodiscard]] Result<void> enter_array();
  /// Whether an element follows; false at the array's end, which leaves the array.
  [[nodiscard]] Result<bool> next_element();

  /// Succeeds when nothing but white space is left.
  [[nodiscard]] Result<void> finish();

  /// Bytes passed so far.
  [[nodiscard]] std::size_t position() const { return at_; }

 private:
  /// An object or array that has been entered.
  struct Frame {
    bool object;
    bool started = false;  ///< a member or element has been passed
    std::size_t names;     ///< where its names begin in `names_`
    std::size_t decoded;   ///< where they begin in `decoded_`
  };

  JsonReader(std::string_view text, const JsonLimits& limits)
      : text_(text), depth_max_(limits.depth_max) {
    frames_.reserve(4);
    names_.reserve(16);
  }

  void skip_space();
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] std::unexpected<Error> malformed(std::string_view why) const;
  [[nodiscard]] Result<void> enter(bool object);
  void leave();
  [[nodiscard]] Result<bool> next_in_frame(char closing);
  [[nodiscard]] Result<void> add_name(std::string_view name);
  [[nodiscard]] Result<void> check_names_at_end();
  [[nodiscard]] Result<void> skip_container();
  [[nodiscard]] Result<void> skip_scalar(Kind kind);
  [[nodiscard]] Result<void> skip_number();
  [[nodiscard]] Result<void> skip_word(std::string_view word);
  /// Passes a string. @return what stands between its quotes, still escaped.
  [[nodiscard]] Result<std::string_view> raw_string();
  [[nodiscard]] Result<void> skip_escape();
  [[nodiscard]] Result<std::uint32_t> hex4();

  std::string_view text_;
  std::size_t depth_max_;
  std::size_t at_ = 0;
  std::vector<Frame> frames_;
  std::vector<std::string_view> names_;  ///< of all objects entered
  std::list<std::string> decoded_;       ///< names that had escapes; a list keeps views valid
};

}  // namespace keelson::http
