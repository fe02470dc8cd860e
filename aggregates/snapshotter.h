// Takes snapshots of long streams, off the strands.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "aggregates/aggregate_type.h"
#include "aggregates/snapshot_store.h"
#include "engine/base/scheduler.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

/// Owns the worker that derives states from committed events, as any reader would, and saves them.
/// At most kPendingMax wait for it: beyond that a snapshot is left out, and the stream's next one
/// comes `every` events later. Thread-safe.
class Snapshotter {
 public:
  static constexpr std::uint32_t kPendingMax = 64;

  /// @param every  events of a stream between its snapshots, at least 1.
  Snapshotter(Scheduler& scheduler, std::uint32_t every) : scheduler_(scheduler), every_(every) {}
  ~Snapshotter() { stop(); }

  /// To be called when the events [first, end) of `stream` are committed: takes a snapshot if they
  /// cross a multiple of `every`.
  void committed(std::shared_ptr<const AggregateType> type, const Partition& partition,
                 SnapshotStore& store, const std::string& stream, Version first, Version end);

  /// Waits for the snapshot being taken and drops the others.
  void stop();

 private:
  void take(const AggregateType& type, const Partition& partition, SnapshotStore& store,
            const std::string& stream);

  Scheduler& scheduler_;
  const std::uint32_t every_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::shared_ptr<Strand> worker_;  // made for the first snapshot
  std::uint32_t pending_ = 0;
  bool stopping_ = false;
};

}  // namespace keelson::aggregates
