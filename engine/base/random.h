// Randomness, injected: a simulation runs from one seed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

/// 32 lower-case hexadecimal digits.
[[nodiscard]] std::string to_hex(const Uuid& uuid);
/// Accepts what `to_hex` writes and nothing else.
[[nodiscard]] std::optional<Uuid> uuid_from_hex(std::string_view text);

}  // namespace keelson
