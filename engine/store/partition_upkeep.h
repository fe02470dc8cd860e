// The work on a partition's log that nobody waits for.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/base/environment.h"
#include "engine/base/scheduler.h"
#include "engine/log/partition_log.h"
#include "engine/store/log_health.h"
#include "engine/store/maintenance_health.h"

namespace keelson {

/// Seals full segments, removes old ones, compresses the rest: beside the writer, in small steps
/// with pauses, as they share the disk.
///
/// Threads: belongs to the partition's strand, but for what is marked; the work runs on the workers
/// it was given. What fails is tried again later, and shows in `status`.
class PartitionUpkeep : public std::enable_shared_from_this<PartitionUpkeep> {
 public:
  struct Workers {
    std::shared_ptr<Strand> strand;
    std::shared_ptr<Strand> maintenance;  ///< partitions may share it
    std::shared_ptr<Strand> compression;  ///< nobody waits for it; none: no compression
  };
  PartitionUpkeep(Clock& clock, std::shared_ptr<log::PartitionLog> log,
                  std::shared_ptr<LogHealth> health, log::Retention retention, Workers workers,
                  MaintenanceHealth::Changed changed);

  /// To be called once; from any thread.
  void start();
  /// Looks for something to do: after each batch.
  void look();
  /// Does nothing new from now on.
  void stop() { stopped_ = true; }

  /// From any thread.
  void set_retention(const log::Retention& retention);
  /// Retention removes nothing before. From any thread.
  void start_retention();
  /// As `Partition::keep_for`. From any thread.
  void keep_for(const std::string& reader, Offset next);
  /// From any thread.
  [[nodiscard]] MaintenanceStatus status(Maintenance work) const { return tries_.now(work); }
  /// Calls `done` when the workers have let go of all they were given. From any thread.
  void when_idle(Task done);

 private:
  // On the strand.
  [[nodiscard]] bool retention_due(TimeUs now) const;
  void on_maintained(bool done);
  void look_at_retention_again();
  void wait_for_age();
  void compress();

  // On the worker for maintenance.
  [[nodiscard]] bool retain(TimeUs now);
  [[nodiscard]] bool maintain_segments();

  Clock& clock_;
  const std::shared_ptr<log::PartitionLog> log_;
  const std::shared_ptr<LogHealth> health_;
  log::Retention retention_;
  const Workers workers_;
  MaintenanceHealth tries_;
  bool stopped_ = false;
  bool maintaining_ = false;
  bool retaining_ = false;  ///< see `start_retention`
  bool waiting_for_age_ = false;
  bool compressing_ = false;
  TimeUs retention_not_before_{0};  ///< it failed a while ago
  std::mutex readers_mutex_;
  std::map<std::string, Offset> readers_;  ///< what each has yet to read; see `keep_for`
};

}  // namespace keelson
