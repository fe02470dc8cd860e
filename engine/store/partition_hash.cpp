#include "engine/store/partition_hash.h"

#include <xxhash.h>

#include "engine/store/names.h"

namespace keelson {

PartitionId partition_of(std::string_view stream, std::size_t partitions) {
  const std::string_view id = stream_id(stream);
  return PartitionId(static_cast<std::uint32_t>(XXH3_64bits(id.data(), id.size()) % partitions));
}

}  // namespace keelson
