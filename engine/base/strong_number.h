// Strong integer types for ids and positions: swapping two of them is a compile error.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace keelson {

/// An integer that is an ordinal of one kind of thing, named by `Tag`. Differences are plain
/// integers: `Offset + 3` is an `Offset`, `Offset - Offset` is a count.
template <class Tag, class Rep = std::uint64_t>
struct StrongNumber {
  using rep = Rep;

  Rep value{};

  constexpr StrongNumber() = default;
  constexpr explicit StrongNumber(Rep v) : value(v) {}

  constexpr auto operator<=>(const StrongNumber&) const = default;

  constexpr StrongNumber& operator++() {
    ++value;
    return *this;
  }
  constexpr StrongNumber& operator+=(Rep n) {
    value += n;
    return *this;
  }
  friend constexpr StrongNumber operator+(StrongNumber a, Rep n) {
    return StrongNumber(static_cast<Rep>(a.value + n));
  }
  friend constexpr StrongNumber operator-(StrongNumber a, Rep n) {
    return StrongNumber(static_cast<Rep>(a.value - n));
  }
  friend constexpr Rep operator-(StrongNumber a, StrongNumber b) {
    return static_cast<Rep>(a.value - b.value);
  }
};

}  // namespace keelson

template <class Tag, class Rep>
struct std::hash<keelson::StrongNumber<Tag, Rep>> {
  std::size_t operator()(keelson::StrongNumber<Tag, Rep> n) const noexcept {
    return std::hash<Rep>{}(n.value);
  }
};
