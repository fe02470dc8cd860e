// `keelson inspect`: shows what a data folder holds.
#pragma once

#include <string>
#include <vector>

namespace keelson::tools {

/// Prints topics, the segments or batches of a partition, or one event; a table, or with `--json`
/// one JSON object.
/// @return 0; 1 when something of it is damaged, and the rest is shown; 2 when it could not be
/// done.
[[nodiscard]] int run_inspect(const std::vector<std::string>& arguments);

}  // namespace keelson::tools
