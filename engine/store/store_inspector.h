// Looks into a store as it lies on disk, without opening it.
#pragma once

#include <cstdint>
#include <optional>
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
  /// Its record cannot be read: there are no options. Context has the file.
  std::optional<Error> damage{};
};

/// Reads only; a server may be running on the store.
class StoreInspector {
 public:
  /// @param folder  of the store.
  StoreInspector(io::FileSystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  /// By name. Topics that were never wholly made are left out, and what no topic is called.
  /// @error not_found  there is no store in the folder. @error io_error  it cannot be listed.
  [[nodiscard]] Result<std::vector<TopicInfo>> topics() const;

  /// @error not_found   no such topic, or no such partition of it.
  /// @error corruption, unsupported_format  of the topic's record; context has the file.
  [[nodiscard]] Result<log::LogInspector> partition(const std::string& topic,
                                                    PartitionId partition) const;
  /// What cuts of the partition's log have removed and is kept: see engine/log/cut_copies.h. The
  /// names of all, oldest first; and one of them, which is read as a log. Errors as above.
  [[nodiscard]] Result<std::vector<std::string>> cuts(const std::string& topic,
                                                      PartitionId partition) const;
  [[nodiscard]] Result<log::LogInspector> cut(const std::string& topic, PartitionId partition,
                                              const std::string& name) const;

 private:
  struct Place {
    std::string folder;
    Uuid identity;
  };
  [[nodiscard]] Result<Place> place_of(const std::string& topic, PartitionId partition) const;

  io::FileSystem& files_;
  std::string folder_;
};

}  // namespace keelson
