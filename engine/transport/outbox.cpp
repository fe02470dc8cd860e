#include "engine/transport/outbox.h"

#include <utility>

#include "engine/base/check.h"

namespace keelson::transport {

namespace {

/// Larger ones go by themselves: a heartbeat on a slow line waits for one of them and no more.
constexpr std::size_t kSmallBytesMax = 64u << 10;
/// Of small ones, before a large one that waits has its turn.
constexpr std::size_t kSmallShareBytes = 1u << 20;

bool is_small(const Outgoing& item) { return !item.region && item.bytes() <= kSmallBytesMax; }

}  // namespace

Result<Outbox::Writer> Outbox::push(Outgoing item) {
  const std::size_t bytes = item.bytes();
  const std::lock_guard lock(mutex_);
  if (closed_) return fail(Errc::closed, "the connection has ended");
  const std::size_t bytes_max = bytes_max_ + (is_small(item) ? bytes_max_ / 8 : 0);
  if (bytes_ != 0 && (bytes_ >= bytes_max || bytes > bytes_max - bytes_)) {
    return fail(Errc::overloaded, std::to_string(bytes_) + " bytes wait to be sent");
  }
  bytes_ += bytes;
  const Flow flow = item.flow;
  auto& items = flows_[flow];
  items.push_back(std::move(item));
  if (items.size() == 1) line_up(flow);
  return std::exchange(writer_waits_, false) ? Writer::to_be_woken : Writer::awake;
}

std::vector<Outgoing> Outbox::take(std::size_t items_max, std::size_t bytes_max) {
  std::vector<Outgoing> taken;
  std::size_t bytes = 0;
  const std::lock_guard lock(mutex_);
  while (!flows_.empty() && taken.size() < items_max && bytes < bytes_max) {
    const bool small = large_.empty() || (!small_.empty() && small_bytes_ < kSmallShareBytes);
    auto& line = small ? small_ : large_;
    const Flow flow = line.front();
    line.pop_front();
    const auto found = flows_.find(flow);
    taken.push_back(std::move(found->second.front()));
    found->second.pop_front();
    if (found->second.empty()) {
      flows_.erase(found);
    } else {
      line_up(flow);
    }
    bytes += taken.back().bytes();
    small_bytes_ = small && !large_.empty() ? small_bytes_ + taken.back().bytes() : 0;
    if (!small) break;
  }
  writer_waits_ = taken.empty();
  return taken;
}

void Outbox::line_up(Flow flow) {
  (is_small(flows_.at(flow).front()) ? small_ : large_).push_back(flow);
}

std::size_t Outbox::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void Outbox::written(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(bytes <= bytes_);
  bytes_ -= bytes;
}

void Outbox::close() {
  std::map<Flow, std::deque<Outgoing>> dropped;  // without the lock: a file may be closed with it
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(flows_);
  small_.clear();
  large_.clear();
}

}  // namespace keelson::transport
