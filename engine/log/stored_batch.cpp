#include "engine/log/stored_batch.h"

#include <utility>

namespace keelson::log {

Result<OpenBody> open_body(const StoredBatch& batch) {
  if (batch.header.codec == Codec::none) return OpenBody{batch.stored_body(), nullptr};
  KEELSON_TRY_ASSIGN(std::string body, decompress_body(batch.stored_body(), kBatchBytesMax));
  auto decompressed = std::make_shared<const std::string>(std::move(body));
  const std::string_view bytes = *decompressed;
  return OpenBody{bytes, std::move(decompressed)};
}

}  // namespace keelson::log
