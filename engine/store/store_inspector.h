// Looks into a store as it lies on disk, without opening it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/log_inspector.h"
#include "engine/store/options.h"

namespace keelson {

struct TopicInfo {
  std::string name;
  TopicOptions options;
};

/// Reads only; a server may be running on the store.
class StoreInspector {
 public:
  /// @param folder  of the store.
  StoreInspector(io::FileSystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  /// By name. Topics that were never wholly made are left out.
  /// @error not_found   there is no store in the folder.
  /// @error corruption  of a topic's record; context has the file.
  [[nodiscard]] Result<std::vector<TopicInfo>> topics() const;

  /// @error not_found   no such topic, or no such partition of it.
  /// @error corruption  as above
  [[nodiscard]] Result<log::LogInspector> partition(const std::string& topic,
                                                    PartitionId partition) const;

 private:
  io::FileSystem& files_;
  std::string folder_;
};

}  // namespace keelson
