// Who is asking, and what they may do.
#pragma once

#include <cstdint>
#include <string>

namespace keelson::http {

enum class Role : std::uint8_t { read = 1, write = 2, admin = 4 };

/// A set of roles. `admin` does not imply the others: a token names each role it has.
class Roles {
 public:
  constexpr Roles() = default;
  [[nodiscard]] static constexpr Roles all() {
    Roles roles;
    roles.add(Role::read);
    roles.add(Role::write);
    roles.add(Role::admin);
    return roles;
  }
  constexpr void add(Role role) { bits_ |= static_cast<std::uint8_t>(role); }
  [[nodiscard]] constexpr bool has(Role role) const {
    return (bits_ & static_cast<std::uint8_t>(role)) != 0;
  }

 private:
  std::uint8_t bits_ = 0;
};

/// The authenticated caller. Without a tokens file: anonymous (an empty name) with all roles.
struct Principal {
  std::string name;
  Roles roles;
};

}  // namespace keelson::http
