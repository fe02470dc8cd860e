// Messages between replicas: what is read is what would be written.
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "engine/replication/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keelson;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto message = replication::decode_message(bytes);
  if (message) KEELSON_ASSERT(replication::encode_message(*message) == bytes);
  return 0;
}
