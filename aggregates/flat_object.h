// The commonest sort of JSON text, read where it stands.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace keelson::aggregates {

/// An object with few members, each a string without escapes, an integer of up to 18 digits, true,
/// false or null: what nearly every command and event is. Reading one allocates nothing, where
/// parsing it makes a tree with a node for each member. The views are into the text.
class FlatObject {
 public:
  static constexpr std::size_t kMembersMax = 16;

  enum class Kind : std::uint8_t { string, integer, boolean, null };
  struct Member {
    std::string_view name;
    Kind kind = Kind::null;
    std::string_view text;  ///< of a string what is between its quotes
    std::int64_t integer = 0;

    /// The value as `parse_json` would have it.
    [[nodiscard]] nlohmann::json value() const;
  };

  /// Nothing for every other text, valid or not: `parse_json` is to be asked then. What is read
  /// here is read there as well, and is the same.
  [[nodiscard]] static std::optional<FlatObject> read(std::string_view text);

  /// Sorted by name; no two have the same.
  [[nodiscard]] std::span<const Member> members() const { return {members_.data(), count_}; }
  /// Nullptr when there is none of this name.
  [[nodiscard]] const Member* find(std::string_view name) const;
  /// What `canonical_json` makes of the parsed text.
  [[nodiscard]] std::string canonical() const;

 private:
  class Reader;

  /// False: there are too many, or one of this name.
  [[nodiscard]] bool add(const Member& member);

  std::array<Member, kMembersMax> members_;
  std::size_t count_ = 0;
};

}  // namespace keelson::aggregates
