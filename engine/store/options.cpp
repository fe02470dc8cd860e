#include "engine/store/options.h"

#include <string_view>

#include "engine/log/log_format.h"

namespace keelson {

namespace {

// What one commit can need beside its data, types and streams, all names at their longest.
constexpr std::uint32_t kNameBytesMax = UINT16_MAX;
constexpr std::uint32_t kCommitEventsMax = 1u << 20;
constexpr std::uint32_t kCommitBytesMax = 256u << 20;
constexpr std::uint32_t kBatchBytesMax = 256u << 20;
constexpr std::uint64_t kFramingBytesMax =
    log::kBatchHeaderBytes + log::kCommitHeadBytes + 3 * std::uint64_t{kNameBytesMax} +
    kCommitEventsMax * (log::kEventFramingBytes + log::kLeafHeadBytes);
static_assert(kBatchBytesMax + kCommitBytesMax + kFramingBytesMax <= log::kBatchBytesMax,
              "a batch that is not full yet takes one more commit, and must still fit the format");
static_assert(kNameBytesMax == UINT16_MAX, "the format has 16 bits for the length of a name");

Result<void> check_range(std::string_view name, std::uint64_t value, std::uint64_t max) {
  if (value >= 1 && value <= max) return {};
  return fail(Errc::bad_request, std::string(name) + " must be 1…" + std::to_string(max) +
                                     ", not " + std::to_string(value));
}

}  // namespace

Result<void> check_limits(const StoreOptions& options) {
  const Limits& limits = options.limits;
  KEELSON_TRY(check_range("name_bytes_max", limits.name_bytes_max, kNameBytesMax));
  KEELSON_TRY(check_range("commit_events_max", limits.commit_events_max, kCommitEventsMax));
  KEELSON_TRY(check_range("commit_bytes_max", limits.commit_bytes_max, kCommitBytesMax));
  KEELSON_TRY(check_range("event_bytes_max", limits.event_bytes_max, kCommitBytesMax));
  KEELSON_TRY(check_range("open_segments_max", options.open_segments_max, UINT32_MAX));
  KEELSON_TRY(check_range("batch_bytes_max", options.batch_bytes_max, kBatchBytesMax));
  return check_range("pending_bytes_max", options.pending_bytes_max, UINT64_MAX);
}

}  // namespace keelson
