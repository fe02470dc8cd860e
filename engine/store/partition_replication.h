// What a replica of a partition tells whoever makes its log one with those of other nodes.
#pragma once

#include <cstdint>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/log/cut_copies.h"
#include "engine/store/partition.h"

namespace keelson {

/// All calls come on the partition's strand.
class PartitionReplication {
 public:
  virtual ~PartitionReplication() = default;

  /// This node, leading, has appended all before `end`, or made it durable. What was reported as
  /// appended is never replaced in the same epoch.
  virtual void on_appended(BatchNo end) = 0;
  virtual void on_durable(BatchNo end) = 0;
  /// A batch of this node, leading, could not be written; whoever waited for it has been told.
  virtual void on_not_written(const Error& error) = 0;
  /// The log is at rest, and all of it durable.
  virtual void on_writer_stopped() = 0;

  /// A cut, which `on_log_done` is about to be told of, has removed batches: where they are kept.
  virtual void on_cut(const log::CutCopy& copy) = 0;
  /// What a follower was asked to do to its log is done, durably.
  virtual void on_log_done(std::uint64_t operation) = 0;
  /// It failed, and what was asked after it is not done either. What the log holds is durable.
  virtual void on_log_failed(std::uint64_t operation, const Error& error) = 0;

  /// As `Partition::linearize`.
  virtual void begin_read(Partition::Linearized done) = 0;

  /// Why this node takes no commands: `not_leader` with the leader's address as its context, or
  /// `not_enough_replicas` while there is none.
  [[nodiscard]] virtual Error refusal() const = 0;
};

}  // namespace keelson
