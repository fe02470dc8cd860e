// What both kinds of index must answer alike.
#include "engine/log/segment_index.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/engine/log/index_model.h"

using namespace keelson;
using namespace keelson::log;
using keelson::test::IndexModel;
using keelson::test::IndexModelOptions;
using keelson::test::value;

namespace {

void check_stream(const SegmentIndex& index, const IndexModel& model, const std::string& name,
                  const IndexModel::Stream& stream, std::uint32_t events_end) {
  CAPTURE(name);
  std::vector<Posting> expected = stream.postings;
  std::erase_if(expected, [&](const Posting& p) { return p.relative_offset >= events_end; });
  const auto found = index.find_stream(model.stream_key(name));
  REQUIRE(found.has_value());
  REQUIRE(found->has_value() == !expected.empty());
  if (expected.empty()) return;
  const StreamPostings& postings = **found;
  CHECK(postings.first_version() == stream.first_version);
  REQUIRE(postings.count() == expected.size());
  for (std::uint32_t i = 0; i < expected.size(); ++i) CHECK(postings.nth(i) == expected[i]);

  const auto count = static_cast<std::uint32_t>(expected.size());
  for (std::uint32_t first = 0; first <= count; first += 1 + count / 7) {
    std::vector<Posting> out((count - first + 1) / 2);
    REQUIRE(postings.copy(first, out).has_value());
    CHECK(std::equal(out.begin(), out.end(), expected.begin() + first));
  }
  for (std::uint64_t before = 0; before <= events_end; before += 1 + events_end / 40) {
    const auto below = std::ranges::count_if(
        expected, [&](const Posting& p) { return p.relative_offset < before; });
    CHECK(postings.count_before(before) == below);
  }
  CHECK(postings.count_before(UINT64_MAX) == count);
}

void check_command(const SegmentIndex& index, const IndexModel& model, const std::string& name,
                   const IndexModel::Command& command, std::uint32_t batches_end) {
  CAPTURE(name);
  std::optional<CommitPlace> expected;
  for (const CommitPlace& place : command.places) {
    if (place.batch < batches_end) expected = place;
  }
  const auto matches = [&](const CommitPlace& place) -> Result<bool> {
    return model.command_at(place) == name;
  };
  CHECK((value(index.find_command(command.hash, matches)) == expected));
}

void check_batches(const SegmentIndex& index, const IndexModel& model, std::uint32_t batches) {
  REQUIRE(index.batch_count() == batches);
  REQUIRE(index.event_count() == model.events_in(batches));
  std::vector<Posting> in_each;
  for (std::uint32_t i = 0; i < batches; ++i) {
    CHECK(index.batch(i) == model.batches[i]);
    in_each.push_back({0, i, 0});
  }
  std::vector<BatchExtent> extents(batches);
  REQUIRE(index.find_batches(in_each, extents).has_value());
  for (std::uint32_t i = 0; i < batches; ++i) {
    CHECK(extents[i].begin == model.batches[i].file_position);
    CHECK(extents[i].end == (i + 1 == batches ? 0 : model.batches[i + 1].file_position));
  }
  for (std::uint32_t e = 0; e < model.events_in(batches); ++e) {
    CHECK((value(index.batch_of_offset(e)) == model.batch_of[e]));
  }
  CHECK((value(index.batch_of_offset(model.events_in(batches))) == std::nullopt));
  CHECK((value(index.batch_of_offset(UINT64_MAX)) == std::nullopt));
  std::set<TimeUs> times{TimeUs(0), TimeUs(INT64_MAX)};
  for (const BatchEntry& batch : model.batches) times.insert({batch.time - 1, batch.time});
  for (const TimeUs time : times) {
    std::optional<std::uint32_t> expected;
    for (std::uint32_t i = batches; i-- > 0 && model.batches[i].time > time;) expected = i;
    CHECK((value(index.batch_after(time)) == expected));
  }
}

void check_all(const SegmentIndex& index, const IndexModel& model, std::uint32_t batches) {
  check_batches(index, model, batches);
  for (const auto& [name, stream] : model.streams) {
    check_stream(index, model, name, stream, model.events_in(batches));
  }
  for (const auto& [name, command] : model.commands) {
    check_command(index, model, name, command, batches);
  }
  for (int i = 0; i < 100; ++i) {
    const std::string absent = "absent-" + std::to_string(i);
    CHECK(index.find_stream(model.stream_key(absent))->has_value() == false);
    check_command(index, model, absent, {model.hash_of(absent), {}}, batches);
  }
}

}  // namespace

TEST_CASE("segment index: tail and sealed answer as plain containers do, also with equal hashes") {
  for (const std::uint64_t hashes : {0u, 1u, 2u, 7u}) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      CAPTURE(hashes);
      CAPTURE(seed);
      IndexModelOptions options;
      options.seed = seed;
      options.hashes = hashes;
      options.batches = seed == 1 ? 0 : static_cast<std::uint32_t>(seed * 40);
      options.streams = seed % 2 == 0 ? 2 : 60;
      options.commands = seed % 2 == 0 ? 200 : 3;
      IndexModel model(options);
      const std::string bytes = seal_index(model.tail, model.segment);
      const auto sealed = SealedIndex::open(bytes, model.segment);
      REQUIRE(sealed.has_value());
      CHECK((*sealed)->check_all().has_value());
      check_all(**sealed, model, options.batches);
      model.tail.publish(options.batches);
      check_all(model.tail, model, options.batches);
    }
  }
}

TEST_CASE("segment index: a tail answers as of what is published, whatever was added since") {
  IndexModelOptions options;
  options.seed = 99;
  IndexModel model(options);
  for (std::uint32_t batches = 0; batches <= options.batches; ++batches) {
    CAPTURE(batches);
    model.tail.publish(batches);
    check_all(model.tail, model, batches);
  }
}

TEST_CASE("segment index: an error of the caller's comparison ends the search with it") {
  IndexModel model(IndexModelOptions{});
  model.tail.publish(model.options.batches);
  const std::string bytes = seal_index(model.tail, model.segment);
  const auto sealed = SealedIndex::open(bytes, model.segment);
  REQUIRE(sealed.has_value());
  const auto fails = [](const CommitPlace&) -> Result<bool> {
    return fail(Errc::io_error, "segment unreadable");
  };
  const std::uint64_t hash = model.commands.begin()->second.hash;
  CHECK(model.tail.find_command(hash, fails).error().code == Errc::io_error);
  CHECK((*sealed)->find_command(hash, fails).error().code == Errc::io_error);
}

TEST_CASE("key hasher: parts of a command key are not confused, partitions hash differently") {
  Uuid one;
  Uuid two;
  two.bytes[3] = std::byte(1);
  const KeyHasher hasher(one);
  CHECK(hasher.command({"ab", "c", "d"}) != hasher.command({"a", "bc", "d"}));
  CHECK(hasher.command({"a", "bc", "d"}) != hasher.command({"a", "b", "cd"}));
  CHECK(hasher.command({"a", "b", "c"}) == hasher.command({"a", "b", "c"}));
  CHECK(hasher.stream("account-1").hash != KeyHasher(two).stream("account-1").hash);
}
