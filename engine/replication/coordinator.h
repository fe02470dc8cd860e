// Small records that a cluster agrees on: who leads a partition, at which epoch, with which
// members.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/result.h"
#include "engine/base/strong_number.h"

namespace keelson::replication {

/// Order of changes across all records; grows with each.
using Revision = StrongNumber<struct RevisionTag>;

struct Record {
  std::string value;
  Revision revision;  ///< of its last change

  bool operator==(const Record&) const = default;
};

/// Records changed by compare-and-set, and by nothing else: so each epoch of a partition has one
/// leader by construction. Thread-safe. Answers come on no particular thread.
class Coordinator {
 public:
  virtual ~Coordinator() = default;

  using Read = std::move_only_function<void(Result<std::optional<Record>>)>;
  /// Linearizable.
  virtual void get(std::string key, Read done) = 0;

  /// Whether the record was the expected one and now holds the value, or the record that
  /// stood in the way.
  struct Swapped {
    bool swapped = false;
    std::optional<Record> current;
  };
  using Swap = std::move_only_function<void(Result<Swapped>)>;
  /// @param expected  what the record must be, in value and revision: revisions alone repeat when
  ///     the coordinator has lost its data, or is put back. Nothing: it must not exist.
  /// @error outcome_unknown  the answer was lost: only a later revision seen proves anything.
  virtual void compare_and_set(std::string key, std::optional<Record> expected, std::string value,
                               Swap done) = 0;

  /// Ends the watch when dropped.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  struct Change {
    std::string key;
    std::optional<Record> record;  ///< nothing: it is gone
    /// How often this watch has seen the coordinator go back, having lost its data or been put back
    /// from a backup: revisions of different lives say nothing of each other.
    std::uint64_t life = 0;
  };
  /// Calls `changed` with each record under `prefix`, first as it is, then at each change. May skip
  /// intermediate ones and repeat old ones: adopt a record only at an increasing revision. Goes on
  /// by itself after the coordinator was away. Once the watch is dropped `changed` does not run.
  [[nodiscard]] virtual std::unique_ptr<Watch> watch(
      std::string prefix, std::function<void(const Change&)> changed) = 0;

  /// Takes its record away when dropped.
  class Presence {
   public:
    virtual ~Presence() = default;
  };
  /// Keeps a record for as long as this process lives and reaches the coordinator; it is gone
  /// `time_to_live` after the last sign of life, and comes again with the next. A record that is
  /// somebody else's, with another value, is waited for and not replaced.
  /// @param replaces  one that is: of somebody who is known to be gone. In value and revision, as
  ///     `expected` above.
  [[nodiscard]] virtual std::unique_ptr<Presence> appear(
      std::string key, std::string value, std::chrono::seconds time_to_live,
      std::optional<Record> replaces = std::nullopt) = 0;
};

}  // namespace keelson::replication
