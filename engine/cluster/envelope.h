// Which partition a message between nodes is for, and what it must not overtake;
// docs/replication.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/cluster/cluster_keys.h"
#include "engine/replication/transport.h"

namespace keelson::cluster {

/// What stands before a message: the partition that it is for.
inline constexpr std::size_t kEnvelopeBytes = 20;

/// Each partition's messages stay in order, and no others'.
[[nodiscard]] replication::Flow flow_of(const PartitionKey& partition);
/// Of questions and answers, which need no order and wait behind no batches.
inline constexpr replication::Flow kRequestsFlow{UINT64_MAX};

[[nodiscard]] std::string in_envelope(const PartitionKey& partition, const std::string& message);
/// Whom `bytes` are for; nothing when they are too short to say.
[[nodiscard]] std::optional<PartitionKey> addressee(std::string_view bytes);

}  // namespace keelson::cluster
