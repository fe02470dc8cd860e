// What the replicas of a partition say to each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/result.h"
#include "engine/io/file_region.h"
#include "engine/replication/log_prefix.h"
#include "engine/replication/replica_log.h"

namespace keelson::replication {

/// Who suspects its leader asks the others, before it stands.
struct Probe {
  std::uint64_t round = 0;
  bool operator==(const Probe&) const = default;
};
struct ProbeAnswer {
  std::uint64_t round = 0;  ///< of the probe
  LogEnd durable;
  bool hears_leader = false;
  bool operator==(const ProbeAnswer&) const = default;
};

/// A new leader asks for the promise to refuse all epochs before its own.
struct Fence {
  Epoch epoch;
  bool operator==(const Fence&) const = default;
};
/// Sent when the promise is durable.
struct Promised {
  Epoch epoch;
  LogEnd durable;
  bool operator==(const Promised&) const = default;
};
/// A message of an epoch before the one promised has been ignored.
struct Refused {
  Epoch epoch;  ///< the one promised
  bool operator==(const Refused&) const = default;
};

/// A new leader whose log is not the greatest copies that one, piece by piece.
struct Pull {
  Epoch epoch;
  std::uint64_t number = 0;  ///< the answer repeats it
  LogTail tail;              ///< of the copy as it is
  bool operator==(const Pull&) const = default;
};
struct Pulled {
  Epoch epoch;
  std::uint64_t number = 0;
  BatchNo common;  ///< where the copy is to be cut: the batches begin here
  BatchNo end;     ///< of the batches
  LogEnd durable;  ///< of the log that is copied
  std::string batches;
  bool operator==(const Pulled&) const = default;
};

/// A follower says where its log ends, once for each connection and epoch …
struct Follow {
  Epoch epoch;
  std::uint64_t number = 0;  ///< the answer repeats it
  LogTail tail;
  bool operator==(const Follow&) const = default;
};
/// … and hears how much of that stays.
struct Matched {
  Epoch epoch;
  std::uint64_t number = 0;
  BatchNo common;
  bool operator==(const Matched&) const = default;
};
/// Then it takes batches in order. Without batches it is a heartbeat.
struct Append {
  Epoch epoch;
  std::uint64_t round = 0;  ///< of heartbeats; the answer repeats it
  BatchNo commit;           ///< end of the batches that the leader knows to be committed
  bool started = false;     ///< the epoch's first batch is: `commit` is all that has been
  BatchNo first;  ///< where the batches begin, or the next ones will; 2^64 - 1 before a match
  BatchNo end;
  std::string batches;
  /// Where they are instead, for the transport: the message goes out without them, the part of the
  /// file behind it, and whoever receives both puts them together.
  std::optional<io::FileRegion> region{};
  bool operator==(const Append&) const = default;
};
struct Ack {
  Epoch epoch;
  std::uint64_t round = 0;  ///< the highest that came
  BatchNo durable;          ///< end of what is durable and verified in this epoch; 0 before a match
  bool operator==(const Ack&) const = default;
};

/// The leader of `epoch` asks a member who has all of its log to lead in its place.
struct Succeed {
  Epoch epoch;
  bool operator==(const Succeed&) const = default;
};

/// The answer to `Follow` and `Pull` when batches that are needed have been removed: the log goes
/// on where it did not before, and has to be given another beginning.
struct Behind {
  Epoch epoch;
  std::uint64_t number = 0;
  BatchNo start;  ///< first batch that is left
  bool operator==(const Behind&) const = default;
};
/// A follower asks for that beginning, piece by piece …
struct Fetch {
  Epoch epoch;
  std::uint64_t number = 0;  ///< the answer repeats it
  BatchNo segment;           ///< its first batch
  std::uint64_t position = 0;
  bool operator==(const Fetch&) const = default;
};
/// … and gets what is left of a removed segment, which is its index …
struct Fetched {
  Epoch epoch;
  std::uint64_t number = 0;
  BatchNo segment;
  std::uint64_t position = 0;
  std::uint64_t file_bytes = 0;  ///< of the whole index
  std::string bytes;
  std::optional<io::FileRegion> region{};  ///< as that of `Append`
  bool operator==(const Fetched&) const = default;
};
/// … or the header of the segment with which the log goes on.
struct Begin {
  Epoch epoch;
  std::uint64_t number = 0;
  BatchNo segment;
  std::string header;  ///< empty: no segment begins there
  bool operator==(const Begin&) const = default;
};

using Message = std::variant<Probe, ProbeAnswer, Fence, Promised, Refused, Pull, Pulled, Follow,
                             Matched, Append, Ack, Succeed, Behind, Fetch, Fetched, Begin>;

/// Little-endian; docs/replication.md, "Messages".
[[nodiscard]] std::string encode_message(const Message& message);
/// @error corruption  not what `encode_message` writes; context says where.
[[nodiscard]] Result<Message> decode_message(std::string_view bytes);

}  // namespace keelson::replication
