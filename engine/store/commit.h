// What a writer asks of a partition, and what it gets back.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"

namespace keelson {

struct NewEvent {
  std::string type;      ///< 1…`Limits::name_bytes_max` bytes
  std::string data;      ///< JSON text
  std::string metadata;  ///< JSON text, or empty
};

/// What a stream's version must be for a commit to happen.
struct ExpectedVersion {
  enum class Kind { any, none, exists, exact };
  Kind kind = Kind::any;
  Version version{};  ///< for `exact`; `exact` 0 is the same as `none`

  [[nodiscard]] static ExpectedVersion any() { return {}; }
  [[nodiscard]] static ExpectedVersion none() { return {Kind::none, Version(0)}; }
  [[nodiscard]] static ExpectedVersion exists() { return {Kind::exists, Version(0)}; }
  [[nodiscard]] static ExpectedVersion exact(Version v) { return {Kind::exact, v}; }

  [[nodiscard]] bool met_by(Version current) const;
  [[nodiscard]] std::string to_string() const;
};

struct StreamWrite {
  std::string stream;
  ExpectedVersion expected;
  std::vector<NewEvent> events;  ///< at least one
};

/// A condition on a stream that the commit does not write.
struct StreamCheck {
  std::string stream;
  ExpectedVersion expected;
};

/// SHA-256, cut to 128 bits, of what a command asks (target, command and body).
using Fingerprint = std::array<std::byte, 16>;

/// Names a command for ever. A command id belongs to its caller and to the stream it addresses.
struct CommandStamp {
  std::string principal;  ///< the authenticated caller; empty for anonymous
  std::string target;     ///< the stream the command addresses; it decides the partition
  std::string id;         ///< the Idempotency-Key, 1…256 bytes
  Fingerprint fingerprint{};
};

/// All of it happens or none of it.
struct Commit {
  /// Writes to distinct streams of one partition. Empty only for a rejection.
  std::vector<StreamWrite> writes;
  std::vector<StreamCheck> checks;
  /// The domain refused the command: a commit without events, remembered when the command has an
  /// id, so that a retry gets the same refusal.
  bool rejected = false;
  std::string detail;  ///< opaque to the engine, kept with the outcome (a rejection's reason)
};

/// The outcome of a command or an append; a repeated command gets the first one again.
struct CommitOutcome {
  /// What one write of the commit became.
  struct Written {
    std::string stream;
    Version first;  ///< versions [first, end)
    Version end;
    Offset first_offset;  ///< offsets dense from here
  };
  PartitionId partition;
  bool rejected = false;
  bool replayed = false;  ///< this is the outcome of an earlier command with the same id
  Offset first;           ///< offsets [first, end); empty for a rejection
  Offset end;
  /// Everything the outcome depends on is below this; what `Keelson-Position` reports.
  Offset position_end;
  TimeUs time;
  std::vector<Written> written;
  std::string detail;
};

}  // namespace keelson
