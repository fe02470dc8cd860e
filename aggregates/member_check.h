// Compiles only if a struct has as many members as its kFields lists: one that was forgotten there
// would be lost on the way to the log.
#pragma once

#include <cstddef>

namespace keelson::aggregates::detail {

/// "N names provided for structured binding, while 'X' decomposes into M elements" means: kFields
/// of X must list every member of X. Structs of more than 24 members are not checked.
template <std::size_t N, class T>
constexpr void check_every_member_is_listed([[maybe_unused]] const T& object) {
  if constexpr (N == 1) {
    [[maybe_unused]] const auto& [a] = object;
  }
  if constexpr (N == 2) {
    [[maybe_unused]] const auto& [a, b] = object;
  }
  if constexpr (N == 3) {
    [[maybe_unused]] const auto& [a, b, c] = object;
  }
  if constexpr (N == 4) {
    [[maybe_unused]] const auto& [a, b, c, d] = object;
  }
  if constexpr (N == 5) {
    [[maybe_unused]] const auto& [a, b, c, d, e] = object;
  }
  if constexpr (N == 6) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f] = object;
  }
  if constexpr (N == 7) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g] = object;
  }
  if constexpr (N == 8) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h] = object;
  }
  if constexpr (N == 9) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i] = object;
  }
  if constexpr (N == 10) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j] = object;
  }
  if constexpr (N == 11) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k] = object;
  }
  if constexpr (N == 12) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l] = object;
  }
  if constexpr (N == 13) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = object;
  }
  if constexpr (N == 14) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = object;
  }
  if constexpr (N == 15) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = object;
  }
  if constexpr (N == 16) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = object;
  }
  if constexpr (N == 17) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = object;
  }
  if constexpr (N == 18) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r] = object;
  }
  if constexpr (N == 19) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] = object;
  }
  if constexpr (N == 20) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] =
        object;
  }
  if constexpr (N == 21) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u] =
        object;
  }
  if constexpr (N == 22) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u,
                                  v] = object;
  }
  if constexpr (N == 23) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v,
                                  w] = object;
  }
  if constexpr (N == 24) {
    [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v,
                                  w, x] = object;
  }
}

}  // namespace keelson::aggregates::detail
