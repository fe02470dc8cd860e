// Functions of SQLite whose time grows with the product of their arguments, done otherwise.
#pragma once

#include <string_view>

#include "engine/base/result.h"

namespace keelson::projections {

class Database;

/// Puts `instr`, `replace`, `trim`, `ltrim`, `rtrim`, LIKE and GLOB of this connection in the place
/// of SQLite's. They give the same answers. SQLite's take a needle's length for each byte of the
/// text, all in one step of the statement, so that no deadline is looked at meanwhile: trimming
/// 1 MiB of text by a set of 1 MiB takes hours. These take time in proportion to the text; LIKE and
/// GLOB, of which only patterns are short, look at the query's deadline while they work.
[[nodiscard]] Result<void> register_bounded_functions(Database& database);

/// Whether `name` is a function of this kind that has no such replacement.
[[nodiscard]] bool is_unbounded_function(std::string_view name);

}  // namespace keelson::projections
