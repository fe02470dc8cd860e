// `keelson verify`: checks a data folder.
#pragma once

#include <string>
#include <vector>

namespace keelson::tools {

/// Prints what `verify_store` finds, as a table or with `--json` as one JSON object.
/// @return 0 when every event is as it was stored, 1 when not or when something cannot be read, 3
///         when that can be said of all but the end of a log, 2 when it could not be done.
[[nodiscard]] int run_verify(const std::vector<std::string>& arguments);

}  // namespace keelson::tools
