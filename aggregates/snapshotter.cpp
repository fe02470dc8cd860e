#include "aggregates/snapshotter.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "aggregates/folding.h"

namespace keelson::aggregates {

void Snapshotter::committed(std::shared_ptr<const AggregateType> type, const Partition& partition,
                            SnapshotStore& store, const std::string& stream, Version first,
                            Version end) {
  if ((first.value - 1) / every_ == (end.value - 1) / every_) return;
  std::shared_ptr<Strand> worker;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || pending_ == kPendingMax) return;
    ++pending_;
    if (worker_ == nullptr) worker_ = scheduler_.make_background_worker("snapshots");
    worker = worker_;
  }
  worker->post([this, type = std::move(type), &partition, &store, stream] {
    bool wanted = false;
    {
      const std::lock_guard lock(mutex_);
      wanted = !stopping_;
    }
    if (wanted) take(*type, partition, store, stream);
    const std::lock_guard lock(mutex_);
    if (--pending_ == 0) idle_.notify_all();
  });
}

void Snapshotter::take(const AggregateType& type, const Partition& partition, SnapshotStore& store,
                       const std::string& stream) {
  auto folded = fold_committed(type, partition, &store, stream, {});
  if (!folded || folded->version == Version(0)) return;  // a decision will run into it and say so
  Snapshot snapshot{stream, folded->version,          folded->offset,
                    {},     type.info().code_version, folded->state->to_json()};
  // A string that was no UTF-8 was written with U+FFFD in place of it: not the state any more.
  if (snapshot.state.find("\xef\xbf\xbd") != std::string::npos) return;
  StreamRange last;
  last.from = folded->version;
  last.limit = 1;
  const auto identified = partition.read_stream(stream, last, [&](const EventView& event) {
    snapshot.event = identity_of(event);
    return false;
  });
  if (!identified) return;
  if (const auto saved = store.save(snapshot); !saved) {
    spdlog::warn("no snapshot of {}: {}", stream, saved.error().message());
  }
}

void Snapshotter::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  idle_.wait(lock, [this] { return pending_ == 0; });
}

}  // namespace keelson::aggregates
