// What a replica has promised to obey.
#pragma once

#include <optional>

#include "engine/base/types.h"
#include "engine/replication/member.h"

namespace keelson::replication {

/// Rule 2 of docs/replication.md: what must be durable before it is acted on.
struct Promise {
  Promise() = default;
  /// To a leader who is not known.
  Promise(Epoch of) : epoch(of), led(of) {}  // NOLINT: an epoch is a promise of it
  Promise(Epoch of, const Member& to) : epoch(of), led(of), leader(to) {}

  Epoch epoch;  ///< lower ones are refused
  /// The highest that was promised to a leader; lower than `epoch` when that was asked for by an
  /// operator who makes the records anew, and who leads nothing.
  Epoch led;
  std::optional<Member> leader;  ///< of `led`; nothing: not known

  bool operator==(const Promise&) const = default;
};

}  // namespace keelson::replication
