// Which SQL functions give the same answer at every replay.
#pragma once

#include <string_view>

namespace keelson::projections {

/// Whether `name` is a built-in function of SQLite that depends on its arguments only. What is not
/// known to be so is not allowed; date and time functions are not, because they read the clock when
/// an argument is 'now' or missing, and a gate sees names only.
[[nodiscard]] bool is_deterministic_function(std::string_view name);

}  // namespace keelson::projections
