#include "engine/log/log_state.h"

namespace keelson::log {

namespace {

std::unexpected<Error> does_not_follow(const char* what, std::int64_t found,
                                       std::int64_t expected) {
  return fail(Errc::corruption, std::string("batch does not follow: ") + what + " is " +
                                    std::to_string(found) + ", expected " +
                                    std::to_string(expected));
}

std::int64_t plain(std::uint64_t number) { return static_cast<std::int64_t>(number); }

}  // namespace

Result<void> check_follows(const BatchHeader& batch, const LogPoint& point) {
  if (batch.batch_no != point.next_batch) {
    return does_not_follow("batch_no", plain(batch.batch_no.value), plain(point.next_batch.value));
  }
  if (batch.base_offset != point.end) {
    return does_not_follow("base_offset", plain(batch.base_offset.value), plain(point.end.value));
  }
  if (batch.epoch < point.last_epoch) {
    return does_not_follow("epoch", plain(batch.epoch.value), plain(point.last_epoch.value));
  }
  if (batch.time < point.last_time) {
    return does_not_follow("time", batch.time.value, point.last_time.value);
  }
  if (batch.durable_batches > batch.batch_no) {
    return does_not_follow("durable_batches", plain(batch.durable_batches.value),
                           plain(batch.batch_no.value));
  }
  return {};
}

}  // namespace keelson::log
