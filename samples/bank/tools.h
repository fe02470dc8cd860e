// The bank's own subcommands beside `serve`: generate, import, watch.
#pragma once

#include <optional>

namespace bank {

/// Runs the tool that `argv[1]` names and returns the exit code: 0 good, 1 bad (the reason is on
/// standard error), 2 wrong usage, 130 interrupted. Nothing when `argv[1]` names none of them.
[[nodiscard]] std::optional<int> run_tool(int argc, char** argv);

}  // namespace bank
