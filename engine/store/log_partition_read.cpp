// Reading a partition: the log's records as events.
#include <algorithm>

#include "engine/base/clock.h"
#include "engine/store/commit_checks.h"
#include "engine/store/group_offset.h"
#include "engine/store/log_partition.h"

namespace keelson {

namespace {

EventView as_event(PartitionId partition, const log::FoundEvent& found) {
  const log::EventRecord& record = found.record;
  return {partition,   found.offset, record.stream,   record.version,  record.type,
          record.time, record.data,  record.metadata, found.command_id};
}

class PartitionCursor final : public Cursor {
 public:
  PartitionCursor(PartitionId partition, std::unique_ptr<log::LogCursor> cursor,
                  std::shared_ptr<LogHealth> health)
      : partition_(partition), cursor_(std::move(cursor)), health_(std::move(health)) {}

  Result<std::optional<EventView>> next() override {
    KEELSON_TRY_ASSIGN(const log::FoundEvent* const found, health_->noted(cursor_->next()));
    if (found == nullptr) return std::nullopt;
    return as_event(partition_, *found);
  }

  Offset offset() const override { return cursor_->offset(); }

 private:
  PartitionId partition_;
  std::unique_ptr<log::LogCursor> cursor_;
  std::shared_ptr<LogHealth> health_;
};

/// The outcome of a commit found in the log: what its caller was told, or would have been.
CommitOutcome as_outcome(PartitionId partition, const log::FoundCommit& found, Offset end) {
  CommitOutcome outcome;
  outcome.partition = partition;
  outcome.replayed = true;
  outcome.rejected = found.header.kind == log::CommitKind::rejected;
  outcome.first = outcome.end = outcome.position_end = end;
  outcome.time = found.time;
  outcome.detail = found.header.detail;
  for (const auto& event : found.events) {
    auto& written = outcome.written;
    if (written.empty() || written.back().stream != event.record.stream) {
      written.push_back({std::string(event.record.stream), event.record.version,
                         event.record.version, event.offset});
    }
    written.back().end = event.record.version + 1;
  }
  if (!found.events.empty()) {
    outcome.first = found.events.front().offset;
    outcome.end = found.events.back().offset + 1;
  }
  return outcome;
}

}  // namespace

Result<std::optional<CommitOutcome>> LogPartition::find_outcome(const CommandStamp& stamp) const {
  KEELSON_TRY(readable());
  KEELSON_TRY_ASSIGN(const auto found,
                     health_->noted(log_->find_command({stamp.principal, stamp.target, stamp.id})));
  if (!found) return std::nullopt;
  if (found->header.fingerprint != stamp.fingerprint) return idempotency_mismatch(stamp);
  return as_outcome(id(), *found, log_->end());
}

/// Has nothing before the replica is readable, and has come so far.
class LogPartition::HeldCursor final : public Cursor {
 public:
  HeldCursor(const LogPartition& partition, Offset from) : partition_(partition), from_(from) {}

  Result<std::optional<EventView>> next() override {
    if (!cursor_) {
      if (!partition_.readable() || partition_.end() < from_) return std::nullopt;
      KEELSON_TRY_ASSIGN(cursor_, partition_.read(from_));
    }
    return cursor_->next();
  }

  Offset offset() const override { return cursor_ ? cursor_->offset() : from_; }

 private:
  const LogPartition& partition_;
  const Offset from_;
  std::unique_ptr<Cursor> cursor_;
};

Result<std::unique_ptr<Cursor>> LogPartition::read(Offset from) const {
  // Who has read from another replica may be ahead of this one.
  if (!readable() || (may_lag() && from > end())) {
    return std::make_unique<HeldCursor>(*this, from);
  }
  KEELSON_TRY_ASSIGN(auto cursor, log_->read(from));
  return std::make_unique<PartitionCursor>(id(), std::move(cursor), health_);
}

Result<void> LogPartition::read_stream(std::string_view stream, const StreamRange& range,
                                       const EventVisitor& visit) const {
  KEELSON_TRY(readable());
  if (range.limit == 0) return {};
  const bool backward = range.direction == StreamRange::Direction::backward;
  const Version above(range.from.value == UINT64_MAX ? UINT64_MAX : range.from.value + 1);
  const Version first = backward ? Version(1) : std::max(range.from, Version(1));
  const Version end = backward ? above : Version(UINT64_MAX);
  std::uint64_t left = range.limit;
  return health_->noted(log_->read_stream(
      {stream, first, end, range.before, backward, range.command_ids},
      [&](const log::FoundEvent& found) { return visit(as_event(id(), found)) && --left > 0; }));
}

Result<Version> LogPartition::stream_version(std::string_view stream, Offset before) const {
  KEELSON_TRY(readable());
  return health_->noted(log_->stream_version(stream, std::min(before, log_->end())));
}

Result<Offset> LogPartition::end_at(TimeUs time) const {
  if (time >= environment_.clock.now()) {
    return fail(Errc::beyond_end, "the time asked for is not over yet");
  }
  KEELSON_TRY(readable());
  if (replica_) {
    KEELSON_TRY(settle_committed(time));
  } else {
    times_.settle(time);
  }
  return health_->noted(log_->end_at(time));
}

std::unique_ptr<Registration> LogPartition::when_past(Offset offset, Task task) const {
  return waiters_->add(offset, std::move(task));
}

Result<std::optional<Offset>> LogPartition::group_offset(std::string_view group) const {
  KEELSON_TRY(readable());
  auto found_group = health_->noted(log_->find_command(group_key(group)));
  if (!found_group && found_group.error().code == Errc::below_start) {
    return fail(Errc::below_start, "how far consumer group '" + std::string(group) +
                                       "' has come was remembered below offset " +
                                       std::to_string(log_->start().value) +
                                       ", which retention has removed");
  }
  KEELSON_TRY_ASSIGN(const auto found, std::move(found_group));
  if (!found) return std::nullopt;
  KEELSON_TRY_ASSIGN(const Offset next, decode_group_offset(found->header.detail));
  return next;
}

}  // namespace keelson
