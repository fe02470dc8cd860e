// Many commands in one request: reading them, running them, writing their outcomes in order.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "http/response.h"
#include "http/services.h"

namespace keelson::http {

inline constexpr std::size_t kBatchCommandsMax = 10'000;

/// One command of a request, or why it is none.
using BatchItem = Result<aggregates::CommandCall>;

/// Reads a JSON array of `{type,id,command,data?,key?,expected_version?}`. An element that is no
/// command is an item with its error; the others are run all the same.
/// @error bad_request  the text is not a JSON array at all: nothing can be run.
/// @error too_large    more than `kBatchCommandsMax`.
[[nodiscard]] Result<std::vector<BatchItem>> read_command_array(std::string_view text,
                                                                const std::string& principal);
/// The same from NDJSON. Empty lines are passed over; a malformed line is an item with its error.
[[nodiscard]] Result<std::vector<BatchItem>> read_command_lines(std::string_view text,
                                                                const std::string& principal);

/// Commands that run at once, and their outcomes as they come in.
///
/// The outcomes keep the order of the commands, whatever order they complete in. Completions come
/// on the partitions' strands and only put the reply into its place; the text is written by whoever
/// takes it. Held alive by its commands in flight and by its one reader, who calls the rest from
/// one thread at a time. Those commands, and so this, may outlive the host: but not the topic.
class CommandBatch : public std::enable_shared_from_this<CommandBatch> {
 public:
  [[nodiscard]] static std::shared_ptr<CommandBatch> start(aggregates::AggregateHost& host,
                                                           std::vector<BatchItem> items);

  /// Calls `task` once when the next outcome to be taken is there, or at once if it is or all have
  /// been taken; else on the strand that completed it: keep it short. One waiter at a time.
  void when_ready(Task task);
  /// The same, once all outcomes are there.
  void when_complete(Task task);

  /// Appends about `bytes_max` of the outcomes that are ready, in order, each but the first after
  /// `separator`.
  void take(std::string& out, std::size_t bytes_max, std::string_view separator);
  [[nodiscard]] bool all_taken() const { return next_ == slots_.size(); }
  /// What the outcomes taken reflect; nothing when none was decided.
  [[nodiscard]] const std::optional<Position>& position() const { return position_; }

 private:
  struct Slot {
    std::optional<Result<aggregates::CommandReply>> reply;
    bool ready = false;  ///< guarded by `mutex_`; once set, `reply` belongs to the reader
  };

  CommandBatch(const Topic& topic, std::size_t count);
  void complete(std::size_t index, Result<aggregates::CommandReply> reply);
  void wait(std::size_t slot, Task task);
  [[nodiscard]] std::size_t ready_end();
  void append_outcome(std::string& out, const Result<aggregates::CommandReply>& reply);

  const Topic& topic_;
  std::vector<Slot> slots_;
  std::size_t next_ = 0;  ///< first slot not taken
  std::optional<Position> position_;

  std::mutex mutex_;
  std::size_t ready_end_ = 0;   ///< all slots below are ready; guarded by `mutex_`
  std::size_t waited_end_ = 0;  ///< `waiter_` runs once `ready_end_` is here
  Task waiter_;                 ///< guarded by `mutex_`
};

}  // namespace keelson::http
