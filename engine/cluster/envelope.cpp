#include "engine/cluster/envelope.h"

#include <cstring>

#include "engine/base/coding.h"

namespace keelson::cluster {

replication::Flow flow_of(const PartitionKey& partition) {
  std::uint64_t topic = 0;
  std::memcpy(&topic, partition.topic.bytes.data(), sizeof topic);
  return replication::Flow(topic + partition.partition.value);
}

std::string in_envelope(const PartitionKey& partition, const std::string& message) {
  std::string bytes;
  bytes.reserve(kEnvelopeBytes + message.size());
  bytes += bytes_of(partition.topic.bytes);
  append(bytes, partition.partition.value);
  bytes += message;
  return bytes;
}

std::optional<PartitionKey> addressee(std::string_view bytes) {
  if (bytes.size() < kEnvelopeBytes) return std::nullopt;
  PartitionKey key;
  const std::size_t topic_bytes = key.topic.bytes.size();
  std::memcpy(key.topic.bytes.data(), bytes.data(), topic_bytes);
  key.partition = PartitionId(get<std::uint32_t>(bytes, topic_bytes));
  return key;
}

}  // namespace keelson::cluster
