#include "engine/store/staged_batch.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/store/group_offset.h"

namespace keelson {

void answer(StagedCommit& commit, Result<CommitOutcome> outcome) {
  if (commit.repeated.empty() && commit.refused.empty()) {
    return commit.completion(std::move(outcome));
  }
  Result<CommitOutcome> again = outcome;
  if (again) again->replayed = true;
  commit.completion(std::move(outcome));
  for (auto& completion : commit.repeated) completion(again);
  for (auto& [completion, refusal] : commit.refused) {
    completion(std::unexpected(again ? std::move(refusal) : again.error()));
  }
}

void StagingArea::StreamWrites::pop() {
  ++popped_;
  if (2 * popped_ < writes_.size()) return;  // so that one is moved once on average
  writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(popped_));
  popped_ = 0;
}

bool StagingArea::gathering() const {
  return taken_ < batches_.size() && batches_.back()->bytes < batch_bytes_max_;
}

TimeUs StagingArea::next_time(TimeUs now) {
  const std::lock_guard lock(mutex_);
  if (gathering()) return batches_.back()->time;
  drop_unused_time();  // of the command before in the same run, which was refused
  time_begun_ = true;
  return times_.begin(now, batches_.empty() ? last_time_ : batches_.back()->time);
}

void StagingArea::drop_unused_time() {
  if (std::exchange(time_begun_, false)) times_.drop_newest();
}

StagedBatch& StagingArea::gathering_batch(TimeUs time) {
  if (!gathering()) {
    // The writer may have taken the batch whose time this is, after `next_time` told it.
    if (!std::exchange(time_begun_, false)) times_.begin_again();
    add_batch(time);
  }
  return *batches_.back();
}

void StagingArea::add_batch(TimeUs time) {
  batches_.push_back(std::make_unique<StagedBatch>());
  batches_.back()->base_offset = end_;
  batches_.back()->time = time;
  batches_.back()->body.reuse(std::move(spare_));
}

void StagingArea::put_key(std::string& key, const CommandStamp& stamp) {
  // Names hold no NUL, so this cannot be read two ways.
  key.clear();
  key.reserve(stamp.principal.size() + stamp.target.size() + stamp.id.size() + 2);
  key.append(stamp.principal).append(1, '\0').append(stamp.target).append(1, '\0').append(stamp.id);
}

StagedCommit& StagingArea::stage(Commit commit, std::optional<CommandStamp> stamp,
                                 std::vector<CommitOutcome::Written> written, TimeUs time) {
  StagedCommit staged;
  staged.stamp = std::move(stamp);
  staged.writes = std::move(commit.writes);
  staged.outcome.rejected = commit.rejected;
  staged.outcome.detail = std::move(commit.detail);
  staged.outcome.written = std::move(written);

  log::CommitHeader header;
  header.kind = commit.rejected ? log::CommitKind::rejected : log::CommitKind::accepted;
  for (const auto& write : staged.writes) {
    header.event_count += static_cast<std::uint32_t>(write.events.size());
  }
  return add(header, std::move(staged), time);
}

StagedCommit& StagingArea::stage_group_offset(std::string_view group, Offset next, TimeUs time) {
  StagedCommit staged;
  staged.outcome.detail = encode_group_offset(next);
  log::CommitHeader header;
  header.kind = log::CommitKind::group_offset;
  header.key = group_key(group);
  return add(header, std::move(staged), time);
}

void StagingArea::stage_mark(TimeUs now) {
  const std::lock_guard lock(mutex_);
  if (!batches_.empty() && batches_.back()->time >= now) return;
  // A batch of its own, even where one gathers: that one has an earlier time.
  add_batch(times_.begin(now, batches_.empty() ? last_time_ : batches_.back()->time));
}

StagedCommit& StagingArea::add(log::CommitHeader header, StagedCommit staged, TimeUs time) {
  if (staged.stamp) {
    header.key = {staged.stamp->principal, staged.stamp->target, staged.stamp->id};
    header.fingerprint = staged.stamp->fingerprint;
  }
  header.detail = staged.outcome.detail;
  const std::lock_guard lock(mutex_);
  StagedBatch& batch = gathering_batch(time);
  batch.body.begin_commit(header);
  encode_events(batch, staged);
  batch.body.end_commit();
  bytes_ += batch.body.size() - batch.bytes;
  batch.bytes = batch.body.size();
  StagedCommit& added = batch.commits.emplace_back(std::move(staged));
  if (added.stamp) {
    put_key(added.key, *added.stamp);
    commands_.emplace(added.key, &added);
  }
  for (std::size_t i = 0; i < added.writes.size(); ++i) {
    streams_[added.writes[i].stream].push({&added, i});
  }
  return added;
}

void StagingArea::encode_events(StagedBatch& batch, StagedCommit& staged) {
  CommitOutcome& outcome = staged.outcome;
  outcome.partition = partition_;
  outcome.first = end_;
  outcome.time = batch.time;
  for (std::size_t i = 0; i < staged.writes.size(); ++i) {
    const StreamWrite& write = staged.writes[i];
    CommitOutcome::Written& written = outcome.written[i];
    written.first_offset = end_;
    for (const auto& event : write.events) {
      batch.body.add_event(
          {write.stream, written.end, event.type, batch.time, event.data, event.metadata});
      ++written.end;
      ++end_;
    }
  }
  outcome.end = end_;
  outcome.position_end = end_;
}

std::optional<Version> StagingArea::version(std::string_view stream) const {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return std::nullopt;
  return found->second.all().back().written().end - 1;
}

void StagingArea::read(std::string_view stream, Version from, const EventVisitor& visit) const {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  const auto writes = found->second.all();
  auto staged = std::ranges::upper_bound(writes, from, {},
                                         [](const StagedWrite& one) { return one.written().end; });
  for (; staged != writes.end(); ++staged) {
    const CommitOutcome::Written& written = staged->written();
    const StreamWrite& write = staged->commit->writes[staged->write];
    const auto& stamp = staged->commit->stamp;
    for (Version version = std::max(from, written.first); version < written.end; ++version) {
      const std::uint64_t place = version - written.first;
      const NewEvent& event = write.events[place];
      if (!visit({partition_, written.first_offset + place, write.stream, version, event.type,
                  staged->commit->outcome.time, event.data, event.metadata,
                  stamp ? std::string_view(stamp->id) : std::string_view()})) {
        return;
      }
    }
  }
}

StagedCommit* StagingArea::find(const CommandStamp& stamp) {
  if (commands_.empty()) return nullptr;
  put_key(sought_, stamp);
  const auto found = commands_.find(sought_);
  return found == commands_.end() ? nullptr : found->second;
}

StagedCommit* StagingArea::last_writer(std::string_view stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : found->second.all().back().commit;
}

bool StagingArea::wants_writer() {
  const std::lock_guard lock(mutex_);
  if (writing_ || held_ || taken_ == batches_.size()) return false;
  writing_ = true;
  return true;
}

std::optional<log::BatchDraft> StagingArea::next_to_write(log::BatchBody done) {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(writing_);
  spare_ = std::move(done);
  if (held_ || taken_ == batches_.size()) {
    writing_ = false;
    return std::nullopt;
  }
  StagedBatch& batch = *batches_[taken_++];
  log::BatchDraft draft;
  if (batch.commits.empty()) draft.kind = log::BatchKind::control;
  draft.base_offset = batch.base_offset;
  draft.time = batch.time;
  draft.body = batch.body.take();
  return draft;
}

std::uint64_t StagingArea::waiting_bytes() const {
  const std::lock_guard lock(mutex_);
  return taken_ < batches_.size() ? batches_[taken_]->bytes : 0;
}

std::unique_ptr<StagedBatch> StagingArea::finish_writing() {
  std::unique_ptr<StagedBatch> batch;
  {
    const std::lock_guard lock(mutex_);
    KEELSON_ASSERT(taken_ > 0);
    --taken_;
    batch = std::move(batches_.front());
    batches_.pop_front();
  }
  times_.end_oldest();
  bytes_ -= batch->bytes;
  last_time_ = batch->time;
  for (const auto& commit : batch->commits) {
    if (commit.stamp) commands_.erase(commit.key);
    for (const auto& written : commit.outcome.written) {
      const auto found = streams_.find(written.stream);
      found->second.pop();  // commits leave in the order they came
      if (found->second.all().empty()) streams_.erase(found);
    }
  }
  return batch;
}

/// Takes the newest batch's commits out of the tables.
void StagingArea::forget(const StagedBatch& newest) {
  for (auto commit = newest.commits.rbegin(); commit != newest.commits.rend(); ++commit) {
    if (commit->stamp) commands_.erase(commit->key);
    for (const auto& write : commit->writes) {
      const auto found = streams_.find(write.stream);
      found->second.pop_newest();
      if (found->second.all().empty()) streams_.erase(found);
    }
  }
}

std::deque<std::unique_ptr<StagedBatch>> StagingArea::discard(std::size_t kept) {
  std::deque<std::unique_ptr<StagedBatch>> discarded;
  const std::lock_guard lock(mutex_);
  while (batches_.size() > kept) {
    std::unique_ptr<StagedBatch> newest = std::move(batches_.back());
    batches_.pop_back();
    times_.drop_newest();
    bytes_ -= newest->bytes;
    end_ = newest->base_offset;
    forget(*newest);
    discarded.push_front(std::move(newest));
  }
  taken_ = std::min(taken_, kept);
  return discarded;
}

void StagingArea::writer_gave_up() {
  const std::lock_guard lock(mutex_);
  writing_ = false;
}

void StagingArea::hold_writer() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void StagingArea::let_write() {
  const std::lock_guard lock(mutex_);
  held_ = false;
}

std::size_t StagingArea::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

void StagingArea::continue_from(Offset end, TimeUs last_time) {
  KEELSON_ASSERT(batches_.empty());
  end_ = end;
  last_time_ = last_time;
}

}  // namespace keelson
