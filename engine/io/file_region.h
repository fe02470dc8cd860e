// A part of a file, for whoever sends it on as it lies there.
#pragma once

#include <cstdint>
#include <memory>

namespace keelson::io {

class File;

/// It must not change until it has been sent.
struct FileRegion {
  std::shared_ptr<const File> file;
  std::uint64_t position = 0;
  std::uint32_t length = 0;
  bool operator==(const FileRegion&) const = default;
};

}  // namespace keelson::io
