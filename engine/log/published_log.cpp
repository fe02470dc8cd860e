#include "engine/log/published_log.h"

#include <algorithm>
#include <string>
#include <utility>

namespace keelson::log {

Error located(Error error, const SegmentFile& file, std::uint64_t position) {
  error.context = file.path + " at byte " + std::to_string(position) + ": " + error.context;
  return error;
}

std::unexpected<Error> removed(const PublishedLog& log, const std::string& what) {
  return fail(Errc::below_start, what + ": retention has removed the events below offset " +
                                     std::to_string(log.start().value));
}

Result<StoredBatch> batch_at(const SegmentFile& file, std::uint64_t position, ChecksumSeed seed) {
  const auto rest = file.bytes.substr(std::min<std::size_t>(position, file.bytes.size()));
  KEELSON_TRY(file.need(position, kBatchHeaderBytes));
  auto header = decode_batch_header(rest, seed);
  KEELSON_TRY(file.check_read(position, kBatchHeaderBytes));
  if (!header) return std::unexpected(located(std::move(header).error(), file, position));
  if (header->padded_bytes() > rest.size()) {
    return std::unexpected(
        located({Errc::corruption, "batch is longer than the segment's rest", {}}, file, position));
  }
  KEELSON_TRY(file.need(position, header->padded_bytes()));
  return StoredBatch{*header, position, rest.substr(0, header->padded_bytes())};
}

}  // namespace keelson::log
