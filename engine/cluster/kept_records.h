// Verifies what a node keeps in the folders of its topics and partitions beside their logs.
#pragma once

#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/io/file_system.h"
#include "engine/log/log_finding.h"

namespace keelson::cluster {

/// The promise of a replica and the record it has seen last, in a partition's folder: a replica
/// does not take part with one that is damaged. Changes nothing.
[[nodiscard]] std::vector<log::LogFinding> check_kept_of_partition(io::FileSystem& files,
                                                                   const std::string& folder,
                                                                   const Uuid& partition);
/// The placement of a topic that was seen last, in the topic's folder.
[[nodiscard]] std::vector<log::LogFinding> check_kept_of_topic(io::FileSystem& files,
                                                               const std::string& folder);

}  // namespace keelson::cluster
