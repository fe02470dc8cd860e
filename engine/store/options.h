// Options of a store and its topics. Every limit is checked before anything is written.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/log/codec.h"
#include "engine/log/retention.h"
#include "engine/store/maintenance.h"

namespace keelson {

/// When an append is acknowledged.
enum class Durability {
  fsync,  ///< after fdatasync (in a cluster: on a majority). Survives power loss.
  os,     ///< from the page cache. Survives a crash of the process, NOT of the machine.
};

/// Sizes a caller can run into; over one of them: `too_large`, and nothing is written. The log's
/// format bounds them in turn: see `check_limits`.
struct Limits {
  std::uint32_t event_bytes_max = 1u << 20;   ///< data + metadata of one event
  std::uint32_t commit_bytes_max = 4u << 20;  ///< all events of one commit, encoded
  std::uint32_t commit_events_max = 1024;
  /// Stream, type, topic, principal and command id, each; a topic's also by the file system.
  std::uint32_t name_bytes_max = 256;
};

/// Fixed when the topic is made, but for `retention`.
struct TopicOptions {
  std::uint32_t partitions = 1;  ///< 1…1024
  Durability durability = Durability::fsync;
  std::uint64_t segment_bytes = 64u << 20;  ///< preallocated size of a segment; 64 KiB…1 GiB
  /// For each partition, by whole segments; may be changed later. Events that are gone stay known
  /// to have been: streams keep their versions and command ids stay used, but whatever needs what
  /// is gone is refused as `below_start`. A read model that is made later has not seen them. What
  /// stays of them takes about a tenth of their room.
  log::Retention retention = {};
  /// Each batch is compressed before it is written, where that makes it smaller: many commits at a
  /// time by a half or more, single ones not. Costs the writer about 1 ms for each 400 KB; a stream
  /// that lies in many batches is read more slowly, since all of a batch is decompressed for it.
  log::Codec codec = log::Codec::none;
  /// Full segments but the newest two are compressed as a whole, in the background: a third to a
  /// tenth of the room for JSON. Reading one of them takes about 1 ms for each MiB that is touched.
  log::Codec sealed_codec = log::Codec::none;
  /// Of each partition, in a cluster: 1, 3, 5 or 7. 0: as many as the node through which the topic
  /// is made is told to, and one where there is no cluster.
  std::uint32_t replication_factor = 0;
  bool operator==(const TopicOptions&) const = default;
};

struct StoreOptions {
  std::string folder;  ///< made if missing; locked against a second process
  Limits limits;
  /// Bytes gathered or in flight in one partition before commits are refused as `overloaded`.
  std::uint64_t pending_bytes_max = 64u << 20;
  /// A batch is closed when it reaches this, whatever is waiting. Up to 256 MiB.
  std::uint32_t batch_bytes_max = 1u << 20;
  /// Sealed segments that are open at a time, of all partitions: at most two descriptors and two
  /// mappings each. Fewer than a stream read or a query touches cost time, not correctness. From 1.
  std::uint32_t open_segments_max = 256;
  /// What of compressed segments is held decompressed, of all partitions, beside what readers are
  /// reading at the moment.
  std::uint64_t decompressed_bytes_max = 256u << 20;
  /// Told when work in the background begins to fail or works again, once and not for each try: to
  /// be put into a log. On the thread of that work, until the store is closed; must not call the
  /// store. `Partition::maintenance` has the same for who asks.
  std::function<void(const MaintenanceChange&)> on_maintenance_change{};
  /// Whether retention removes nothing before `Store::start_retention`: for whoever has readers
  /// that hold it back, as reactions and read models do.
  bool retention_waits = false;
};

/// Whether everything within these options fits the log's format.
/// @error bad_request  says which does not, and what it may be.
[[nodiscard]] Result<void> check_limits(const StoreOptions& options);

}  // namespace keelson
