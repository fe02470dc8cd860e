// Records and keys of a cluster, which come from the coordinator, and a node's small files: what is
// read is what would be written. The first byte says as what the rest is read.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/check.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/cluster_records.h"
#include "engine/cluster/folder_claim.h"
#include "engine/cluster/node_identity.h"
#include "engine/io/checked_text.h"
#include "engine/replication/partition_record.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson;
using namespace keelson::cluster;

void partition(std::string_view text) {
  const auto record = replication::decode_partition_record(text);
  if (!record) return;
  KEELSON_ASSERT(replication::encode_partition_record(*record) == text);
  KEELSON_ASSERT(replication::check_members(record->replicas).has_value());
}

void node(std::string_view text) {
  const auto record = decode_node_record(text);
  if (record) KEELSON_ASSERT(encode_node_record(*record) == text);
}

/// Once with the checksum it has, once with the right one.
void placement(std::string_view text) {
  const auto topic = text.rfind("keelson topic ");
  const auto head = text.substr(0, topic == text.npos ? 0 : topic);
  const std::string sealed =
      std::string(head) + io::with_checksum(std::string(text.substr(head.size())));
  for (const std::string& each : {std::string(text), sealed}) {
    const auto record = decode_topic_placement(each);
    if (!record) continue;
    KEELSON_ASSERT(check_topic_placement(*record).has_value());
    KEELSON_ASSERT(encode_topic_placement(*record) == each);
  }
}

void identity(std::string_view text) {
  for (const std::string& each : {std::string(text), io::with_checksum(std::string(text))}) {
    const auto found = decode_node_identity(each);
    if (found) KEELSON_ASSERT(encode_node_identity(*found) == each);
  }
}

void folder(std::string_view text) {
  const auto record = decode_folder_record(text);
  if (record) KEELSON_ASSERT(encode_folder_record(*record) == text);
}

void starts(std::string_view text) {
  for (const std::string& each : {std::string(text), io::with_checksum(std::string(text))}) {
    const auto found = decode_folder_starts(each);
    if (found) KEELSON_ASSERT(encode_folder_starts(*found) == each);
  }
}

void key(std::string_view text) {
  const ClusterKeys keys("main");
  const auto parsed = keys.parse(text);
  if (!parsed) return;
  KEELSON_ASSERT(std::visit([&](const auto& which) { return keys.of(which); }, *parsed) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const std::string_view text = input.rest();
  switch (mode % 7) {
    case 0: partition(text); break;
    case 1: node(text); break;
    case 2: placement(text); break;
    case 3: identity(text); break;
    case 4: key(text); break;
    case 5: folder(text); break;
    default: starts(text); break;
  }
  return 0;
}
