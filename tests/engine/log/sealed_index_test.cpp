#include "engine/log/sealed_index.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/base/coding.h"
#include "engine/log/sealed_index_format.h"
#include "tests/engine/log/index_model.h"

using namespace keelson;
using namespace keelson::log;
using keelson::test::IndexModel;
using keelson::test::IndexModelOptions;

namespace {

/// All there is to ask, each answer as text; "corruption" for that error.
std::vector<std::string> ask_everything(const SegmentIndex& index, const IndexModel& model) {
  std::vector<std::string> answers;
  const auto text = [](const auto&... numbers) { return ((std::to_string(numbers) + " ") + ...); };
  const auto note = [&](const auto& result, const auto& to_text) {
    if (!result.has_value()) {
      CHECK(result.error().code == Errc::corruption);
      answers.emplace_back("corruption");
    } else {
      answers.push_back(to_text(*result));
    }
  };
  for (std::uint32_t i = 0; i < index.batch_count(); ++i) {
    note(index.batch(i), [&](const BatchEntry& b) {
      return text(b.file_position, b.relative_offset, b.time.value);
    });
  }
  std::vector<std::string> names{"absent-1", "absent-2"};
  for (const auto& [name, stream] : model.streams) names.push_back(name);
  for (const std::string& name : names) {
    const auto found = index.find_stream(model.stream_key(name));
    note(found, [&](const auto& postings) { return postings ? text(postings->count()) : "none"; });
    if (!found.has_value() || !*found) continue;
    for (std::uint32_t i = 0; i < (*found)->count(); ++i) {
      note((*found)->nth(i),
           [&](const Posting& p) { return text(p.relative_offset, p.batch, p.body_position); });
    }
    note((*found)->count_before(20), [&](std::uint32_t count) { return text(count); });
  }
  for (const auto& [name, command] : model.commands) {
    const auto matches = [&](const CommitPlace& place) -> Result<bool> {
      const auto at = model.command_names.find({place.batch, place.body_position});
      return at != model.command_names.end() && at->second == name;
    };
    note(index.find_command(command.hash, matches), [&](const auto& place) {
      return place ? text(place->batch, place->body_position) : "none";
    });
  }
  return answers;
}

/// More than one block, so that damage in one leaves the other usable.
IndexModelOptions small_options() {
  IndexModelOptions options;
  options.batches = 40;
  options.streams = 60;
  options.hashes = 40;
  return options;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("sealed index: every flipped bit is refused or cannot change an answer") {
  const IndexModel model(small_options());
  const std::string bytes = seal_index(model.tail, model.segment);
  REQUIRE(bytes.size() > kIndexBlockBytes);
  const auto whole = SealedIndex::open(bytes, model.segment);
  REQUIRE(whole.has_value());
  const std::vector<std::string> expected = ask_everything(**whole, model);
  std::size_t opened = 0;
  for (std::size_t position = 0; position < bytes.size(); ++position) {
    CAPTURE(position);
    std::string damaged = bytes;
    damaged[position] = static_cast<char>(damaged[position] ^ (1 << position % 8));
    const auto index = SealedIndex::open(damaged, model.segment);
    if (!index.has_value()) {
      const Errc code = index.error().code;
      const bool refused = code == Errc::corruption || code == Errc::unsupported_format;
      CHECK(refused);
      continue;
    }
    ++opened;
    CHECK_FALSE((*index)->check_all().has_value());
    if (position % 8 != 0) continue;  // the rest is slow, and a flip of one bit is like another
    const std::vector<std::string> answers = ask_everything(**index, model);
    for (std::size_t i = 0; i < answers.size() && answers.size() == expected.size(); ++i) {
      const bool safe = answers[i] == expected[i] || answers[i] == "corruption";
      CHECK(safe);
    }
  }
  CHECK(opened > bytes.size() / 2);  // damage is met when it is touched, not at opening
}

TEST_CASE("sealed index: a file of another length is refused") {
  const IndexModel model(small_options());
  const std::string bytes = seal_index(model.tail, model.segment);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto index = SealedIndex::open(std::string_view(bytes).substr(0, length), model.segment);
    REQUIRE_FALSE(index.has_value());
    REQUIRE(index.error().code == Errc::corruption);
  }
  CHECK(SealedIndex::open(bytes + '\0', model.segment).error().code == Errc::corruption);
  CHECK(SealedIndex::open(bytes + bytes, model.segment).error().code == Errc::corruption);
}

TEST_CASE("sealed index: another segment's index is refused") {
  const IndexModel model(small_options());
  const std::string bytes = seal_index(model.tail, model.segment);
  SegmentId other = model.segment;
  other.partition.bytes[15] ^= std::byte(1);
  CHECK(SealedIndex::open(bytes, other).error().code == Errc::corruption);
  other = model.segment;
  ++other.first_batch;
  CHECK(SealedIndex::open(bytes, other).error().code == Errc::corruption);
  other = model.segment;
  ++other.base_offset;
  CHECK(SealedIndex::open(bytes, other).error().code == Errc::corruption);
  other = model.segment;
  other.used_end += 8;
  CHECK(SealedIndex::open(bytes, other).error().code == Errc::corruption);
}

TEST_CASE("sealed index: a later version is refused as such") {
  const IndexModel model(small_options());
  std::string bytes = seal_index(model.tail, model.segment);
  put<std::uint32_t>(bytes.data() + index_header::kVersion, kIndexVersion + 1);
  CHECK(SealedIndex::open(bytes, model.segment).error().code == Errc::unsupported_format);
}

TEST_CASE("sealed index: reserved bytes must be zero") {
  const IndexModel model(small_options());
  std::string bytes = seal_index(model.tail, model.segment);
  bytes[index_header::kTableChecksum - 1] = 1;
  set_index_checksums(bytes);
  CHECK(SealedIndex::open(bytes, model.segment).error().code == Errc::corruption);
}

TEST_CASE("sealed index: wrong numbers under right checksums are errors, never reads outside") {
  IndexModelOptions options = small_options();
  options.batches = 20;
  const IndexModel model(options);
  const std::string bytes = seal_index(model.tail, model.segment);
  const IndexLayout layout(read_index_counts(bytes));
  std::size_t noticed = 0;
  for (std::uint64_t position = layout.streams; position + 4 <= layout.checksums; position += 4) {
    for (const std::uint32_t number : {0xFFFFFFFFu, 0x7FFFFFFFu, 0u}) {
      std::string damaged = bytes;
      put(damaged.data() + position, number);
      set_index_checksums(damaged);
      const auto index = SealedIndex::open(damaged, model.segment);
      REQUIRE(index.has_value());
      const auto answers = ask_everything(**index, model);
      noticed += std::ranges::count(answers, "corruption") > 0 ? 1 : 0;
    }
  }
  CHECK(noticed > 0);

  const auto corrupts = [&](std::uint64_t position, std::uint32_t number, const auto& ask) {
    std::string damaged = bytes;
    put(damaged.data() + position, number);
    set_index_checksums(damaged);
    const auto index = SealedIndex::open(damaged, model.segment);
    return ask(**index) == Errc::corruption;
  };
  // The first stream of the file, by its name.
  const auto name_position = get<std::uint32_t>(bytes, layout.streams + 24);
  const auto name_bytes = get<std::uint32_t>(bytes, layout.streams + 28);
  const std::string name = bytes.substr(layout.names + name_position, name_bytes);
  const StreamKey key = model.stream_key(name);
  const auto find = [&](const SealedIndex& index) {
    const auto found = index.find_stream(key);
    return found.has_value() ? Errc::internal : found.error().code;
  };
  CHECK(corrupts(layout.streams + 12, 0xFFFFFFFF, find) == false);  // a huge version is a version
  CHECK(corrupts(layout.streams + 16, read_index_counts(bytes).events, find));  // first posting
  CHECK(corrupts(layout.streams + 20, 0, find));                                // count
  CHECK(corrupts(layout.streams + 20, 0xFFFFFFFF, find));
  CHECK(corrupts(layout.streams + 24, 0xFFFFFFFF, find));  // name
  CHECK(corrupts(layout.streams + 28, 0xFFFFFFFF, find));
  CHECK(corrupts(layout.stream_directory + layout.stream_table.bucket(key.hash) * 4, 0xFFFFFFFF,
                 find));
  const auto first = [&](const SealedIndex& index) {
    const auto found = index.find_stream(key);
    const auto posting = (*found)->nth(0);
    return posting.has_value() ? Errc::internal : posting.error().code;
  };
  const auto first_posting = get<std::uint32_t>(bytes, layout.streams + 16);
  const std::uint64_t at = layout.postings + first_posting * kIndexPostingBytes;
  CHECK(corrupts(at, read_index_counts(bytes).events, first));       // relative offset
  CHECK(corrupts(at + 4, read_index_counts(bytes).batches, first));  // batch
  const auto commit = [&](const SealedIndex& index) {
    const auto any = [](const CommitPlace&) -> Result<bool> { return true; };
    const auto found = index.find_command(get<std::uint64_t>(bytes, layout.commits), any);
    return found.has_value() ? Errc::internal : found.error().code;
  };
  CHECK(corrupts(layout.commits + 8, read_index_counts(bytes).batches, commit));
}

TEST_CASE("sealed index: damage in one block leaves the others usable") {
  constexpr std::uint32_t kEvents = 2000;  // of one stream: six blocks of postings
  TailIndex tail(1 << 20);
  tail.add_batch({4096, 0, TimeUs(1)}, kEvents);
  for (std::uint32_t i = 0; i < kEvents; ++i) {
    REQUIRE(tail.add_event({"hot", 1}, Version(i + 1), i * 8).has_value());
  }
  const SegmentId segment = keelson::test::model_segment();
  std::string bytes = seal_index(tail, segment);
  const IndexLayout layout(read_index_counts(bytes));
  bytes[layout.postings + 1000 * kIndexPostingBytes] ^= 1;
  const auto index = SealedIndex::open(bytes, segment);
  REQUIRE(index.has_value());
  const auto hot = (*index)->find_stream({"hot", 1});
  REQUIRE(hot->has_value());
  std::vector<Posting> out(kEvents);
  CHECK((*hot)->copy(0, out).error().code == Errc::corruption);
  CHECK((*hot)->copy(0, std::span(out).first(500)).has_value());
  CHECK((*hot)->nth(kEvents - 1) == Posting{kEvents - 1, 0, (kEvents - 1) * 8});
  CHECK((*index)->check_all().error().code == Errc::corruption);
}

TEST_CASE("sealed index: an absent key touches the filter only, but for one in a hundred") {
  TailIndex tail(1 << 22);
  std::mt19937_64 random(5);
  tail.add_batch({4096, 0, TimeUs(1)}, 20'000);
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    tail.add_commit(random(), i);
    REQUIRE(tail.add_event({"s" + std::to_string(i), random()}, Version(1), i).has_value());
  }
  const SegmentId segment = keelson::test::model_segment();
  std::string bytes = seal_index(tail, segment);
  // Whatever looks further than the filters meets a block whose checksum is wrong.
  const IndexLayout layout(read_index_counts(bytes));
  const std::uint64_t next_block =
      (layout.streams + kIndexBlockBytes - 1) / kIndexBlockBytes * kIndexBlockBytes;
  for (std::uint64_t i = next_block; i < layout.checksums; ++i) bytes[i] = '\x55';
  const auto index = SealedIndex::open(bytes, segment);
  REQUIRE(index.has_value());
  const auto never = [](const CommitPlace&) -> Result<bool> { return false; };
  int commands_passed = 0;
  int streams_passed = 0;
  for (int i = 0; i < 100'000; ++i) {
    commands_passed += (*index)->find_command(random(), never).has_value() ? 0 : 1;
    streams_passed += (*index)->find_stream({"absent", random()}).has_value() ? 0 : 1;
  }
  CHECK(commands_passed > 0);
  CHECK(commands_passed < 1000);
  CHECK(streams_passed > 0);
  CHECK(streams_passed < 1000);
}

TEST_CASE("sealed index: the same segment gives the same bytes, published or not") {
  IndexModel one(small_options());
  IndexModel two(small_options());
  two.tail.publish(3);
  CHECK(seal_index(one.tail, one.segment) == seal_index(two.tail, two.segment));
}

TEST_CASE("sealed index: version 1 is these bytes") {
  TailIndex tail(1 << 16);
  tail.add_batch({4096, 0, TimeUs(1'700'000'000'000'000)}, 2);
  tail.add_commit(0x1122334455667788, 0);
  REQUIRE(tail.add_event({"account-1", 0x99AABBCCDDEEFF00}, Version(3), 44).has_value());
  REQUIRE(tail.add_event({"b", 0x0102030405060708}, Version(1), 120).has_value());
  const std::string bytes = seal_index(tail, keelson::test::model_segment());
  const std::string_view golden =
      "4b45454c4944580a"                          // magic
      "01000000"                                  // version
      "01000000"                                  // batches
      "02000000"                                  // events
      "02000000"                                  // streams
      "01000000"                                  // commits
      "0a000000"                                  // bytes of names
      "000102030405060708090a0b0c0d0e0f"          // partition
      "1100000000000000"                          // first batch
      "e803000000000000"                          // base offset
      "0000010000000000"                          // used end
      "0000000000000000000000000000000000000000"  // reserved
      "0000000000000000000000000000000000000000"
      "a058cfefe808d656"  // checksum of the block checksums
      "cea9496e999b517d"  // checksum of the header
      "0000004000000000000400002000000000000000400020000000000000000000"  // stream filter
      "0080000000000000000000000000000001000010000008040800100000000040"
      "0000200000000000000000000000000000000000000000040000000000020000"  // command filter
      "0000180000000000000000000008000000000000000000000000000002000000"
      "0807060504030201"                  // stream: hash
      "0100000000000000"                  // first version
      "00000000010000000000000001000000"  // first posting, count, name
      "00ffeeddccbbaa99"                  // stream: hash
      "0300000000000000"                  // first version
      "01000000010000000100000009000000"  // first posting, count, name
      "0010000000000000"                  // batch: file position, offset
      "00401e18240a0600"                  // time
      "88776655443322110000000000000000"  // commit: hash, place
      "010000000000000078000000"          // posting of b
      "00000000000000002c000000"          // posting of account-1
      "000000000100000002000000"          // stream directory
      "000000000100000001000000"          // command directory
      "626163636f756e742d31"              // names
      "77b500ed76b13620"                  // checksum of the block
      "";
  CHECK(hex(bytes) == golden);
}
