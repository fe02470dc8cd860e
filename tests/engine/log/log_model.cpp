#include "tests/engine/log/log_model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

namespace keelson::test {

using log::FoundEvent;

Offset ModelBatch::end() const {
  Offset end = base;
  for (const auto& commit : commits) end += commit.events.size();
  return end;
}

log::BatchDraft ModelBatch::draft() const {
  log::BodyWriter writer;
  for (const auto& commit : commits) {
    log::CommitHeader header;
    header.kind = commit.kind;
    header.key = {commit.principal, commit.target, commit.id};
    header.fingerprint = commit.fingerprint;
    header.detail = commit.detail;
    header.event_count = static_cast<std::uint32_t>(commit.events.size());
    writer.begin_commit(header);
    for (const auto& e : commit.events) {
      writer.add_event({e.stream, e.version, e.type, e.time, e.data, e.metadata});
    }
    writer.end_commit();
  }
  log::BatchDraft draft;
  draft.kind = kind;
  draft.epoch = epoch;
  draft.base_offset = base;
  draft.time = time;
  draft.body = writer.take();
  return draft;
}

ModelBatch LogModel::make_batch(std::size_t bytes_max) {
  ModelBatch batch;
  batch.base = end();
  batch.epoch = batches_.empty() ? Epoch(1) : batches_.back().epoch + random(20) / 19;
  batch.time = batches_.empty() ? TimeUs(1000) : TimeUs(batches_.back().time.value);
  batch.time.value += static_cast<std::int64_t>(random(3));
  if (random(12) == 0) {
    batch.kind = log::BatchKind::control;
    return batch;
  }
  auto versions = versions_;
  Offset offset = batch.base;
  for (auto commits = 1 + random(4); commits > 0; --commits) {
    ModelCommit commit;
    commit.first = offset;
    commit.principal = random(2) == 0 ? "" : "alice";
    commit.target = "account-" + std::to_string(random(12));
    if (random(4) != 0) commit.id = "command-" + std::to_string(next_command_++);
    // Now and then the same key again: the newest is the one to be found.
    if (random(16) == 0) commit.id = "command-0", commit.target = "again", commit.principal = "";
    commit.fingerprint[0] = static_cast<std::byte>(random(256));
    commit.detail = std::string(random(20), 'd');
    const auto kind = random(8);
    if (kind == 0) commit.kind = log::CommitKind::rejected;
    if (kind == 1) commit.kind = log::CommitKind::group_offset;
    const auto events = commit.kind == log::CommitKind::accepted ? 1 + random(5) : 0;
    for (std::uint64_t i = 0; i < events; ++i) {
      Event event;
      event.offset = offset;
      event.stream = "account-" + std::to_string(random(12));
      event.version = Version(++versions[event.stream]);
      event.type = random(2) == 0 ? "deposited" : "t";
      event.time = batch.time;
      event.data = std::string(random(bytes_max), static_cast<char>('a' + random(26)));
      event.metadata = std::string(random(3), 'm');
      event.command_id = commit.id;
      commit.events.push_back(std::move(event));
      ++offset;
    }
    batch.commits.push_back(std::move(commit));
  }
  return batch;
}

void LogModel::take(ModelBatch batch) {
  for (const auto& commit : batch.commits) {
    for (const auto& event : commit.events) versions_[event.stream] = event.version.value;
  }
  batches_.push_back(std::move(batch));
}

void LogModel::cut(std::size_t count) {
  REQUIRE(count <= batches_.size());
  auto kept = std::exchange(batches_, {});
  kept.resize(count);
  versions_.clear();
  for (auto& batch : kept) take(std::move(batch));
}

std::vector<Event> LogModel::events() const {
  std::vector<Event> events;
  for (const auto& batch : batches_) {
    for (const auto& commit : batch.commits) {
      events.insert(events.end(), commit.events.begin(), commit.events.end());
    }
  }
  return events;
}

void check_same(const FoundEvent& found, const Event& expected) {
  const auto& record = found.record;
  const bool same = found.offset == expected.offset && record.stream == expected.stream &&
                    record.version == expected.version && record.type == expected.type &&
                    record.time == expected.time && record.data == expected.data &&
                    record.metadata == expected.metadata && found.command_id == expected.command_id;
  // One assertion for each of millions of events is slow: details only where something is wrong.
  if (same) return;
  CHECK(found.offset.value == expected.offset.value);
  CHECK(record.stream == expected.stream);
  CHECK(record.version.value == expected.version.value);
  CHECK(record.type == expected.type);
  CHECK(record.time.value == expected.time.value);
  CHECK(record.data == expected.data);
  CHECK(record.metadata == expected.metadata);
  CHECK(found.command_id == expected.command_id);
}

void LogModel::check_equal(const log::PartitionLog& log) {
  REQUIRE(log.end() == end());
  if (!batches_.empty()) {
    CHECK(log.last_time() == batches_.back().time);
    CHECK(log.last_epoch() == batches_.back().epoch);
  }
  const auto all = events();
  check_cursor(log, all, Offset(0));
  for (int i = 0; i < 3; ++i) check_cursor(log, all, Offset(random(end().value + 1)));
  check_streams(log, all);
  check_commands(log);
  check_times(log, all);
}

void LogModel::check_cursor(const log::PartitionLog& log, const std::vector<Event>& expected,
                            Offset from) const {
  auto cursor = log.read(from);
  REQUIRE(cursor);
  for (std::size_t i = from.value; i < expected.size(); ++i) {
    const Offset offset = (*cursor)->offset();
    const auto found = (*cursor)->next();
    const bool good = found && *found && offset == expected[i].offset;
    if (!good) FAIL("at offset ", i, ": ", found ? "missing" : found.error().message());
    check_same(**found, expected[i]);
  }
  const auto past = (*cursor)->next();
  REQUIRE(past);
  CHECK(*past == nullptr);
}

void LogModel::check_streams(const log::PartitionLog& log, const std::vector<Event>& events) {
  std::map<std::string, std::vector<Event>> streams{{"no-such", {}}};
  for (const auto& event : events) streams[event.stream].push_back(event);
  for (const auto& [stream, all] : streams) {
    for (int i = 0; i < 4; ++i) {
      const Offset before = i == 0 ? Offset(UINT64_MAX) : Offset(random(end().value + 2));
      const Version first(i == 0 ? 1 : 1 + random(all.size() + 2));
      const Version last(i == 0 ? UINT64_MAX : 1 + random(all.size() + 2));
      const bool backward = i % 2 == 1;
      const std::size_t limit = i == 3 ? 1 + random(3) : SIZE_MAX;
      std::vector<Event> expected;
      std::uint64_t version = 0;
      for (const auto& event : all) {
        if (event.offset >= before) continue;
        version = event.version.value;
        if (event.version >= first && event.version < last) expected.push_back(event);
      }
      if (backward) std::ranges::reverse(expected);
      if (expected.size() > limit) expected.resize(limit);
      CAPTURE(stream);
      CAPTURE(before.value);
      CAPTURE(first.value);
      CAPTURE(last.value);
      const bool command_ids = random(2) == 0;
      std::size_t seen = 0;
      const auto read = log.read_stream({stream, first, last, before, backward, command_ids},
                                        [&](const FoundEvent& found) {
                                          REQUIRE(seen < expected.size());
                                          if (!command_ids) expected[seen].command_id.clear();
                                          check_same(found, expected[seen]);
                                          return ++seen < limit;
                                        });
      REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message()));
      CHECK(seen == expected.size());
      CHECK(log.stream_version(stream, before).value() == Version(version));
    }
  }
}

void LogModel::check_commands(const log::PartitionLog& log) const {
  std::map<std::array<std::string, 3>, std::pair<const ModelBatch*, const ModelCommit*>> newest;
  for (const auto& batch : batches_) {
    for (const auto& commit : batch.commits) {
      if (!commit.id.empty()) {
        newest[{commit.principal, commit.target, commit.id}] = {&batch, &commit};
      }
    }
  }
  for (const auto& [key, place] : newest) {
    const auto& [batch, commit] = place;
    const auto found = log.find_command({key[0], key[1], key[2]});
    REQUIRE_MESSAGE(found.has_value(), (found ? "" : found.error().message()));
    REQUIRE(found->has_value());
    CHECK((*found)->header.kind == commit->kind);
    CHECK((*found)->header.key.id == commit->id);
    CHECK((*found)->header.fingerprint == commit->fingerprint);
    CHECK((*found)->header.detail == commit->detail);
    CHECK((*found)->time == batch->time);
    CHECK((*found)->first == commit->first);
    REQUIRE((*found)->events.size() == commit->events.size());
    for (std::size_t i = 0; i < commit->events.size(); ++i) {
      check_same((*found)->events[i], commit->events[i]);
    }
  }
  CHECK_FALSE(log.find_command({"bob", "again", "command-0"}).value().has_value());
}

void LogModel::check_times(const log::PartitionLog& log, const std::vector<Event>& all) {
  const std::int64_t last = batches_.empty() ? 1000 : batches_.back().time.value;
  for (int i = 0; i < 20; ++i) {
    const TimeUs time(998 +
                      static_cast<std::int64_t>(random(static_cast<std::uint64_t>(last - 995))));
    const auto after =
        std::ranges::find_if(all, [&](const Event& event) { return event.time > time; });
    const Offset expected = after == all.end() ? end() : after->offset;
    CAPTURE(time.value);
    CHECK(log.end_at(time).value() == expected);
  }
}

}  // namespace keelson::test
