// One command on its way: checked, decided, answered.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/aggregate_type.h"
#include "aggregates/partition_decider.h"
#include "engine/store/commit.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

/// Made and checked on the caller's thread, decided and answered on the partition's strand.
class CommandRun {
 public:
  /// @error not_found  no such command. @error bad_request  the id, key, body or metadata.
  [[nodiscard]] static Result<CommandRun> check(std::shared_ptr<const AggregateType> type,
                                                CommandCall call);

  [[nodiscard]] const std::string& stream() const { return stream_; }
  [[nodiscard]] const std::shared_ptr<const AggregateType>& type() const { return type_; }
  /// What names the command for ever; nothing when it came without a key.
  [[nodiscard]] std::optional<CommandStamp> stamp() const;

  /// The commit of this command: its events, or its refusal. A refusal is committed as well, with
  /// or without a key, because it may rest on events that are staged but not durable yet: it is
  /// answered when they are. Without a key nothing remembers it.
  [[nodiscard]] Result<Commit> decide(PartitionDecider& decider, const Staging& staging);

  /// Whether the decider counts on the commit of this command.
  [[nodiscard]] bool is_folded_in() const { return decided_ && decided_->folded_in; }

  /// The reply for the outcome, from what was decided here or, for a replay, from the log.
  [[nodiscard]] Result<CommandReply> answer(CommitOutcome outcome, const Partition& partition);

 private:
  CommandRun() = default;

  [[nodiscard]] CommandReply answer_decided(CommitOutcome outcome);
  [[nodiscard]] Result<CommandReply> answer_replayed(CommitOutcome outcome,
                                                     const Partition& partition) const;
  [[nodiscard]] const CommitOutcome::Written* written_in(const CommitOutcome& outcome) const;

  std::shared_ptr<const AggregateType> type_;
  CommandCall call_;
  std::string stream_;
  std::unique_ptr<AnyCommand> command_;
  Fingerprint fingerprint_{};
  std::optional<DecidedOn> decided_;
};

}  // namespace keelson::aggregates
