// `keelson inspect`: shows what a data folder holds.
#pragma once

#include <string>
#include <vector>

namespace keelson::tools {

/// Prints topics, the segments or batches of a partition, or one event; a table, or with `--json`
/// one JSON object.
/// @return 0; 1 when what was asked for is not there or damaged; 2 for a wrong command line.
[[nodiscard]] int run_inspect(const std::vector<std::string>& arguments);

}  // namespace keelson::tools
