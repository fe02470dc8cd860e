#include "engine/log/tail_index.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine/log/index_model.h"

using namespace keelson;
using namespace keelson::log;
using keelson::test::value;

TEST_CASE("tail index: what is added is found, once it is published") {
  TailIndex index(1 << 16);
  index.add_batch({4096, 0, TimeUs(10)}, 2);
  index.add_commit(7, 0);
  REQUIRE(index.add_event({"a", 1}, Version(5), 44).has_value());
  REQUIRE(index.add_event({"b", 2}, Version(1), 99).has_value());
  const auto any = [](const CommitPlace&) -> Result<bool> { return true; };
  CHECK_FALSE(index.find_stream({"a", 1})->has_value());
  CHECK_FALSE(index.find_command(7, any)->has_value());
  CHECK(index.event_count() == 0);

  index.publish(1);
  CHECK(index.event_count() == 2);
  const auto found = index.find_stream({"a", 1});
  REQUIRE(found->has_value());
  CHECK((*found)->first_version() == Version(5));
  CHECK((*found)->nth(0) == Posting{0, 0, 44});
  CHECK((value(index.find_command(7, any)) == CommitPlace{0, 0}));
}

TEST_CASE("tail index: the name that an event was added with need not live on") {
  TailIndex index(1 << 16);
  index.add_batch({4096, 0, TimeUs(10)}, 1);
  {
    std::string name = "account-1";
    REQUIRE(index.add_event({name, 1}, Version(1), 0).has_value());
    name.assign("overwritten");
  }
  index.publish(1);
  CHECK(index.find_stream({"account-1", 1})->has_value());
}

TEST_CASE("tail index: a version that does not follow is refused and adds nothing") {
  TailIndex index(1 << 16);
  index.add_batch({4096, 0, TimeUs(10)}, 2);
  CHECK(index.add_event({"a", 1}, Version(0), 0).error().code == Errc::corruption);
  REQUIRE(index.add_event({"a", 1}, Version(7), 1).has_value());
  for (const std::uint64_t version : {0, 6, 7, 9}) {
    CHECK(index.add_event({"a", 1}, Version(version), 2).error().code == Errc::corruption);
  }
  REQUIRE(index.add_event({"a", 1}, Version(8), 3).has_value());
  index.publish(1);
  const auto found = index.find_stream({"a", 1});
  REQUIRE(found->has_value());
  CHECK((*found)->count() == 2);
  CHECK((*found)->nth(1) == Posting{1, 0, 3});
}

TEST_CASE("tail index: any version of a hot stream is a few dozen steps away") {
  // Were it a walk along the chain, this would take 10^10 steps.
  constexpr std::uint32_t kEvents = 200'000;
  TailIndex index(1 << 24);
  index.add_batch({4096, 0, TimeUs(10)}, kEvents);
  for (std::uint32_t i = 0; i < kEvents; ++i)
    REQUIRE(index.add_event({"hot", 1}, Version(i + 1), i).has_value());
  index.publish(1);
  const auto found = index.find_stream({"hot", 1});
  REQUIRE(found->has_value());
  std::uint32_t wrong = 0;
  for (std::uint32_t i = 0; i < kEvents; ++i) {
    wrong += (*found)->nth(i) == Posting{i, 0, i} ? 0 : 1;
    wrong += (*found)->count_before(i) == i ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("tail index: a key committed again and again does not slow its neighbours") {
  // A consumer group's offset: one key, 200,000 commits. All hashes below share a bucket.
  constexpr std::uint32_t kCommits = 200'000;
  TailIndex index(1 << 24);
  index.add_batch({4096, 0, TimeUs(10)}, 0);
  index.add_commit(2, 1);
  for (std::uint32_t i = 0; i < kCommits; ++i) index.add_commit(1, 100 + i);
  index.publish(1);
  std::uint32_t compared = 0;
  std::uint32_t wrong = 0;
  const auto counts = [&](const CommitPlace&) -> Result<bool> {
    ++compared;
    return true;
  };
  for (std::uint32_t i = 0; i < kCommits; ++i) {
    wrong += *index.find_command(2, counts) == CommitPlace{0, 1} ? 0 : 1;
    wrong += *index.find_command(1, counts) == CommitPlace{0, 99 + kCommits} ? 0 : 1;
  }
  CHECK(wrong == 0);
  CHECK(compared == 2 * kCommits);
}

namespace {

// A segment that follows from a formula, so that readers can check what they see on their own.
constexpr std::uint32_t kStreams = 11;
constexpr std::uint32_t kBatches = 4000;

std::uint32_t events_of_batch(std::uint32_t batch) { return batch * 7 % 6; }
std::uint32_t stream_of(std::uint32_t event) { return (event * event + event / 3) % kStreams; }
/// Two streams, and two commands, to a hash.
StreamKey key_of(std::uint32_t stream, const std::string& name) { return {name, stream / 2}; }

struct Formula {
  std::vector<std::uint32_t> events_end;                        ///< by batch, from 0 batches
  std::vector<std::uint32_t> batch_of;                          ///< by event
  std::vector<std::array<std::uint32_t, kStreams>> in_streams;  ///< by number of events

  Formula() {
    events_end.push_back(0);
    std::array<std::uint32_t, kStreams> counts{};
    in_streams.push_back(counts);
    for (std::uint32_t b = 0; b < kBatches; ++b) {
      for (std::uint32_t i = 0; i < events_of_batch(b); ++i) {
        ++counts[stream_of(static_cast<std::uint32_t>(batch_of.size()))];
        batch_of.push_back(b);
        in_streams.push_back(counts);
      }
      events_end.push_back(static_cast<std::uint32_t>(batch_of.size()));
    }
  }
};

void add_batch(TailIndex& index, const Formula& formula, std::uint32_t batch) {
  const std::uint32_t first = formula.events_end[batch];
  const std::uint32_t end = formula.events_end[batch + 1];
  index.add_batch({batch * 64, first, TimeUs(batch)}, end - first);
  for (std::uint32_t event = first; event < end; ++event) {
    const std::uint32_t stream = stream_of(event);
    const std::string name = "s" + std::to_string(stream);
    const Version version(formula.in_streams[event][stream] + 1);
    REQUIRE(index.add_event(key_of(stream, name), version, event * 8).has_value());
  }
  index.add_commit(batch % 5, batch % 10);
}

/// One look at everything; counts what is wrong.
std::uint64_t faults_seen(const TailIndex& index, const Formula& formula) {
  std::uint64_t faults = 0;
  const auto expect = [&](bool holds) { faults += holds ? 0 : 1; };
  const std::uint32_t batches = index.batch_count();
  const std::uint32_t events = index.event_count();
  expect(events >= formula.events_end[batches]);
  for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
    const std::string name = "s" + std::to_string(stream);
    const auto found = index.find_stream(key_of(stream, name));
    const std::uint32_t events_after = index.event_count();
    const std::uint32_t count = *found ? (*found)->count() : 0;
    expect(count >= formula.in_streams[events][stream]);
    expect(count <= formula.in_streams[events_after][stream]);
    if (count == 0) continue;
    std::vector<Posting> postings(count);
    expect((*found)->copy(0, postings).has_value());
    for (std::uint32_t i = 0; i < count; ++i) {
      const Posting& posting = postings[i];
      expect(posting.relative_offset < events_after);
      expect(stream_of(posting.relative_offset) == stream);
      expect(formula.in_streams[posting.relative_offset][stream] == i);
      expect(posting.batch == formula.batch_of[posting.relative_offset]);
      expect(posting.body_position == posting.relative_offset * 8);
    }
    expect((*found)->nth(count / 2) == postings[count / 2]);
    expect((*found)->count_before(postings[count / 2].relative_offset) == count / 2);
  }
  for (std::uint32_t i = batches; i-- > 0 && i + 20 > batches;) {
    expect(index.batch(i) == BatchEntry{i * 64, formula.events_end[i], TimeUs(i)});
  }
  for (std::uint32_t command = 0; command < 10; ++command) {
    const auto matches = [&](const CommitPlace& place) -> Result<bool> {
      return place.body_position == command;
    };
    const auto found = index.find_command(command % 5, matches);
    const std::uint32_t batches_after = index.batch_count();
    if (*found) {
      expect((*found)->batch % 10 == command && (*found)->batch < batches_after);
      expect((*found)->batch + 10 >= batches);
    } else {
      expect(batches <= command);
    }
  }
  return faults;
}

}  // namespace

TEST_CASE("tail index: readers on other threads see whole batches only, while it grows") {
  const Formula formula;
  TailIndex index(1 << 20);
  std::atomic<std::uint32_t> added{0};
  std::atomic<std::uint64_t> faults{0};
  std::atomic<std::uint64_t> looks{0};

  // Publishing happens on a thread of its own, as in a partition.
  std::thread publisher([&] {
    for (std::uint32_t done = 0; done < kBatches;) {
      const std::uint32_t seen = added.load(std::memory_order_acquire);
      if (seen == done) {
        std::this_thread::yield();
        continue;
      }
      done += (seen - done + 1) / 2;
      index.publish(done);
    }
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      for (bool last = false; !last;) {
        last = index.batch_count() == kBatches;
        faults += faults_seen(index, formula);
        ++looks;
      }
    });
  }
  for (std::uint32_t batch = 0; batch < kBatches; ++batch) {
    add_batch(index, formula, batch);
    added.store(batch + 1, std::memory_order_release);
    // Lets readers look at many states even where all threads share one core.
    while (looks.load(std::memory_order_relaxed) < batch / 50) std::this_thread::yield();
  }
  publisher.join();
  for (auto& reader : readers) reader.join();
  CHECK(faults == 0);
  CHECK(index.event_count() == formula.events_end.back());
}
