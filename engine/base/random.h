// Randomness, injected: a simulation runs from one seed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace keelson {

/// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  [[nodiscard]] virtual std::uint64_t next() = 0;
};

/// The operating system's generator (`getrandom`).
class SystemRandom final : public Random {
 public:
  [[nodiscard]] std::uint64_t next() override;
};

/// 128 random bits, naming a data folder, a topic or a partition for ever.
struct Uuid {
  std::array<std::byte, 16> bytes{};
  auto operator<=>(const Uuid&) const = default;
};

[[nodiscard]] Uuid make_uuid(Random& random);

}  // namespace keelson
