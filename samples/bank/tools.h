// The bank's own commands beside `serve`: generate, import, watch.
#pragma once

#include <string>
#include <vector>

namespace bank {

// Each takes the arguments behind its name (`--help` lists them) and returns the exit status: 0
// good, 1 bad (the reason is on standard error), 2 wrong usage, 130 interrupted.

/// Invents a transactions file.
[[nodiscard]] int run_generate(const std::vector<std::string>& arguments);
/// Feeds a transactions file to a server, checking every balance.
[[nodiscard]] int run_import(const std::vector<std::string>& arguments);
/// Prints events as they happen.
[[nodiscard]] int run_watch(const std::vector<std::string>& arguments);

}  // namespace bank
