#include "engine/transport/outbox.h"

#include <utility>

#include "engine/base/check.h"

namespace keelson::transport {

Result<Outbox::Writer> Outbox::push(Outgoing item) {
  const std::size_t bytes = item.bytes();
  const std::lock_guard lock(mutex_);
  if (closed_) return fail(Errc::closed, "the connection has ended");
  if (bytes_ != 0 && (bytes_ >= bytes_max_ || bytes > bytes_max_ - bytes_)) {
    return fail(Errc::overloaded, std::to_string(bytes_) + " bytes wait to be sent");
  }
  bytes_ += bytes;
  items_.push_back(std::move(item));
  return std::exchange(writer_waits_, false) ? Writer::to_be_woken : Writer::awake;
}

std::vector<Outgoing> Outbox::take(std::size_t items_max, std::size_t bytes_max) {
  std::vector<Outgoing> taken;
  std::size_t bytes = 0;
  const std::lock_guard lock(mutex_);
  while (!items_.empty() && taken.size() < items_max && bytes < bytes_max) {
    bytes += items_.front().bytes();
    taken.push_back(std::move(items_.front()));
    items_.pop_front();
    if (taken.back().region) break;
  }
  writer_waits_ = taken.empty();
  return taken;
}

void Outbox::written(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(bytes <= bytes_);
  bytes_ -= bytes;
}

void Outbox::close() {
  std::deque<Outgoing> dropped;  // without the lock: a file may be closed with it
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(items_);
}

}  // namespace keelson::transport
