#include "engine/store/staged_batch.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/store/group_offset.h"

namespace keelson {

StagedBatch& StagingArea::gather(TimeUs now) {
  if (!gathering_) {
    const TimeUs floor = batches_.empty() ? last_time_ : batches_.back()->time;
    batches_.push_back(std::make_unique<StagedBatch>());
    batches_.back()->base_offset = end_;
    batches_.back()->time = times_.begin(now, floor);
    gathering_ = true;
  }
  return *batches_.back();
}

void StagingArea::drop_if_empty() {
  if (!gathering_ || !batches_.back()->empty()) return;
  batches_.pop_back();
  gathering_ = false;
  times_.drop_newest();
}

StagedBatch& StagingArea::gathered() {
  KEELSON_ASSERT(gathering_);
  return *batches_.back();
}

std::string StagingArea::command_key(const CommandStamp& stamp) {
  // Names hold no NUL, so this cannot be read two ways.
  std::string key;
  key.reserve(stamp.principal.size() + stamp.target.size() + stamp.id.size() + 2);
  key.append(stamp.principal).append(1, '\0').append(stamp.target).append(1, '\0').append(stamp.id);
  return key;
}

StagedCommit& StagingArea::stage(Commit commit, std::optional<CommandStamp> stamp,
                                 const std::vector<Version>& versions, PartitionId partition) {
  StagedBatch& batch = gathered();
  StagedCommit staged;
  staged.stamp = std::move(stamp);
  staged.writes = std::move(commit.writes);
  staged.outcome.partition = partition;
  staged.outcome.rejected = commit.rejected;
  staged.outcome.detail = std::move(commit.detail);

  log::CommitHeader header;
  header.kind = commit.rejected ? log::CommitKind::rejected : log::CommitKind::accepted;
  header.detail = staged.outcome.detail;
  if (staged.stamp) {
    header.key = {staged.stamp->principal, staged.stamp->target, staged.stamp->id};
    header.fingerprint = staged.stamp->fingerprint;
  }
  for (const auto& write : staged.writes) {
    header.event_count += static_cast<std::uint32_t>(write.events.size());
  }
  const std::size_t bytes_before = batch.body.body().size();
  batch.body.begin_commit(header);
  encode_events(batch, staged, versions);
  batch.body.end_commit();
  bytes_ += batch.body.body().size() - bytes_before;
  return add(batch, std::move(staged));
}

void StagingArea::encode_events(StagedBatch& batch, StagedCommit& staged,
                                const std::vector<Version>& versions) {
  CommitOutcome& outcome = staged.outcome;
  outcome.first = end_;
  outcome.time = batch.time;
  for (std::size_t i = 0; i < staged.writes.size(); ++i) {
    const StreamWrite& write = staged.writes[i];
    CommitOutcome::Written written{write.stream, versions[i] + 1, versions[i] + 1, end_};
    for (const auto& event : write.events) {
      batch.body.add_event(
          {write.stream, written.end, event.type, batch.time, event.data, event.metadata});
      ++written.end;
      ++end_;
    }
    outcome.written.push_back(std::move(written));
  }
  outcome.end = end_;
  outcome.position_end = end_;
}

StagedCommit& StagingArea::stage_group_offset(std::string_view group, Offset next,
                                              PartitionId partition) {
  StagedBatch& batch = gathered();
  StagedCommit staged;
  staged.outcome.partition = partition;
  staged.outcome.first = staged.outcome.end = staged.outcome.position_end = end_;
  staged.outcome.time = batch.time;
  staged.outcome.detail = encode_group_offset(next);

  log::CommitHeader header;
  header.kind = log::CommitKind::group_offset;
  header.key = group_key(group);
  header.detail = staged.outcome.detail;
  const std::size_t bytes_before = batch.body.body().size();
  batch.body.begin_commit(header);
  batch.body.end_commit();
  bytes_ += batch.body.body().size() - bytes_before;
  return add(batch, std::move(staged));
}

StagedCommit& StagingArea::add(StagedBatch& batch, StagedCommit staged) {
  StagedCommit& added = batch.commits.emplace_back(std::move(staged));
  if (added.stamp) commands_.emplace(command_key(*added.stamp), &added);
  for (std::size_t i = 0; i < added.writes.size(); ++i) {
    streams_[added.writes[i].stream].push_back({&added, i});
  }
  return added;
}

std::optional<Version> StagingArea::version(std::string_view stream) const {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return std::nullopt;
  return found->second.back().written().end - 1;
}

void StagingArea::read(std::string_view stream, Version from, PartitionId partition,
                       const EventVisitor& visit) const {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  const auto& writes = found->second;
  auto staged = std::ranges::upper_bound(writes, from, {},
                                         [](const StagedWrite& one) { return one.written().end; });
  for (; staged != writes.end(); ++staged) {
    const CommitOutcome::Written& written = staged->written();
    const StreamWrite& write = staged->commit->writes[staged->write];
    const auto& stamp = staged->commit->stamp;
    for (Version version = std::max(from, written.first); version < written.end; ++version) {
      const std::uint64_t place = version - written.first;
      const NewEvent& event = write.events[place];
      if (!visit({partition, written.first_offset + place, write.stream, version, event.type,
                  staged->commit->outcome.time, event.data, event.metadata,
                  stamp ? std::string_view(stamp->id) : std::string_view()})) {
        return;
      }
    }
  }
}

StagedCommit* StagingArea::find(const CommandStamp& stamp) {
  if (commands_.empty()) return nullptr;
  const auto found = commands_.find(command_key(stamp));
  return found == commands_.end() ? nullptr : found->second;
}

StagedCommit* StagingArea::last_writer(std::string_view stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : found->second.back().commit;
}

bool StagingArea::empty() const {
  return std::ranges::all_of(batches_, [](const auto& batch) { return batch->empty(); });
}

void StagingArea::close_if_full(std::uint32_t bytes_max) {
  if (gathering_ && batches_.back()->body.body().size() >= bytes_max) gathering_ = false;
}

StagedBatch* StagingArea::start_writing() {
  if (writing_ || batches_.empty() || batches_.front()->empty()) return nullptr;
  if (batches_.size() == 1) gathering_ = false;
  writing_ = true;
  return batches_.front().get();
}

std::unique_ptr<StagedBatch> StagingArea::finish_writing() {
  KEELSON_ASSERT(writing_);
  writing_ = false;
  std::unique_ptr<StagedBatch> batch = std::move(batches_.front());
  batches_.pop_front();
  times_.end_oldest();
  bytes_ -= batch->body.body().size();
  last_time_ = batch->time;
  for (const auto& commit : batch->commits) {
    if (commit.stamp) commands_.erase(command_key(*commit.stamp));
    for (const auto& written : commit.outcome.written) {
      const auto found = streams_.find(written.stream);
      found->second.pop_front();  // commits leave in the order they came
      if (found->second.empty()) streams_.erase(found);
    }
  }
  return batch;
}

std::deque<std::unique_ptr<StagedBatch>> StagingArea::discard(Offset end) {
  end_ = end;
  bytes_ = 0;
  writing_ = false;
  gathering_ = false;
  times_.drop_all();
  streams_.clear();
  commands_.clear();
  return std::exchange(batches_, {});
}

}  // namespace keelson
