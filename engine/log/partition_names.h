// What a partition's folder may hold.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace keelson::log {

/// Whether Keelson gives a file or folder in a partition's folder such a name: those of
/// docs/log-format.md, of what a crash leaves of them, and of a replica's promise and record.
[[nodiscard]] bool is_partition_name(std::string_view name);

/// The indexes among `names` that no segment there has.
[[nodiscard]] std::vector<std::string> indexes_without_segment(
    const std::vector<std::string>& names);

}  // namespace keelson::log
