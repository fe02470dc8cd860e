// Options of a store and its topics. Every limit is checked before anything is written.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/base/random.h"

namespace keelson {

/// When an append is acknowledged.
enum class Durability {
  fsync,  ///< after fdatasync (in a cluster: on a majority). Survives power loss.
  os,     ///< from the page cache. Survives a crash of the process, NOT of the machine.
};

/// Sizes a caller can run into; over one of them: `too_large`, and nothing is written.
struct Limits {
  std::uint32_t event_bytes_max = 1u << 20;   ///< data + metadata of one event
  std::uint32_t commit_bytes_max = 4u << 20;  ///< all events of one commit, encoded
  std::uint32_t commit_events_max = 1024;
  std::uint32_t name_bytes_max = 256;  ///< stream, type, topic, principal and command id, each
};

struct TopicOptions {
  std::uint32_t partitions = 1;  ///< 1…1024; fixed at creation
  Durability durability = Durability::fsync;
  std::uint64_t segment_bytes = 64u << 20;  ///< preallocated size of a segment; 1 MiB…1 GiB
  bool operator==(const TopicOptions&) const = default;
};

struct StoreOptions {
  std::string folder;  ///< made if missing; locked against a second process
  Limits limits;
  /// Bytes gathered or in flight in one partition before commits are refused as `overloaded`.
  std::uint64_t pending_bytes_max = 64u << 20;
  /// A batch is closed when it reaches this, whatever is waiting.
  std::uint32_t batch_bytes_max = 1u << 20;
};

}  // namespace keelson
