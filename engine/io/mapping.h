// A file in memory, whose pages may turn out unreadable.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "engine/base/result.h"
#include "engine/io/read_faults.h"

namespace keelson::io {

/// A file mapped for reading. Touching a page that the disk cannot read, or that has been cut off,
/// is a SIGBUS: the first mapping of the process installs a handler for it, which puts a page of
/// zeros in the place of that one, remembers that in `faults`, and goes on. After too many in one
/// mapping all of it becomes zeros.
///
/// A SIGBUS that is not about one of these mappings goes to the handler that was there before; by
/// default the process ends, as without this. A process that installs a handler of its own later
/// must pass on what is not its own in the same way.
class Mapping {
 public:
  /// Maps the first `bytes` bytes, at least one, of the open file `fd`.
  /// @error io_error  context has the call, not the file.
  [[nodiscard]] static Result<std::unique_ptr<Mapping>> open(int fd, std::size_t bytes);
  /// While nobody reads it.
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::string_view bytes() const { return {static_cast<const char*>(at_), bytes_}; }
  [[nodiscard]] const ReadFaults& faults() const { return faults_; }

 private:
  friend struct MappingAccess;
  struct Slot;

  Mapping(void* at, std::size_t bytes) : at_(at), bytes_(bytes) {}

  void* const at_;
  const std::size_t bytes_;
  ReadFaults faults_;
  Slot* slot_ = nullptr;  ///< where the handler finds it
};

}  // namespace keelson::io
