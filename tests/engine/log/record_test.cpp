#include "engine/log/record.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/base/coding.h"
#include "engine/log/log_format.h"

using namespace keelson;
using namespace keelson::log;

namespace {

/// A body of an accepted commit with two events, then a rejected one.
std::string make_body() {
  BodyWriter writer;
  CommitHeader header;
  header.key = {"alice", "account-1", "id-1"};
  header.fingerprint.fill(std::byte{0xab});
  header.detail = "detail";
  header.event_count = 2;
  writer.begin_commit(header);
  writer.add_event({"account-1", Version(1), "opened", TimeUs(5), "{}", "{\"m\":1}"});
  writer.add_event({"account-2", Version(7), "noted", TimeUs(5), "", ""});
  writer.end_commit();
  header = {};
  header.kind = CommitKind::rejected;
  header.detail = "no";
  writer.begin_commit(header);
  writer.end_commit();
  const BatchBody body = writer.take();
  CHECK(body.event_count() == 2);
  CHECK(body.commit_count == 2);
  return body.bytes;
}

/// Walks all of `body`; the first error, or ok.
Result<int> walk(std::string_view body, std::uint32_t events = 2, std::uint32_t commits = 2) {
  BodyReader reader(body, events, commits);
  int frames = 0;
  while (true) {
    KEELSON_TRY_ASSIGN(const DecodedCommit* const commit, reader.next_commit());
    if (commit == nullptr) return frames;
    ++frames;
    while (true) {
      KEELSON_TRY_ASSIGN(const DecodedEvent* const event, reader.next_event());
      if (event == nullptr) break;
      ++frames;
    }
  }
}

/// The body with the number at `position` replaced.
template <class T>
std::string with(std::string body, std::size_t position, T value) {
  put(body.data() + position, value);
  return body;
}

// Where things lie in `make_body`.
constexpr std::size_t kEvent = kCommitHeadBytes + 5 + 9 + 4 + 6;
constexpr std::size_t kLeaf = kEvent + kEventFramingBytes;

}  // namespace

TEST_CASE("record: what is encoded is decoded") {
  const std::string body = make_body();
  BodyReader reader(body, 2, 2);
  const auto* commit = reader.next_commit().value();
  REQUIRE(commit != nullptr);
  CHECK(commit->header.kind == CommitKind::accepted);
  CHECK(commit->header.key.principal == "alice");
  CHECK(commit->header.key.target == "account-1");
  CHECK(commit->header.key.id == "id-1");
  CHECK(commit->header.fingerprint[15] == std::byte{0xab});
  CHECK(commit->header.detail == "detail");
  CHECK(commit->first_event == 0);
  const auto* event = reader.next_event().value();
  REQUIRE(event != nullptr);
  CHECK(event->record.stream == "account-1");
  CHECK(event->record.version == Version(1));
  CHECK(event->record.type == "opened");
  CHECK(event->record.time == TimeUs(5));
  CHECK(event->record.data == "{}");
  CHECK(event->record.metadata == "{\"m\":1}");
  event = reader.next_event().value();
  REQUIRE(event != nullptr);
  CHECK(event->record.version == Version(7));
  CHECK(event->commit_position == 0);
  CHECK(reader.next_event().value() == nullptr);
  commit = reader.next_commit().value();
  REQUIRE(commit != nullptr);
  CHECK(commit->header.kind == CommitKind::rejected);
  CHECK(commit->header.detail == "no");
  CHECK(commit->first_event == 2);
  CHECK(reader.next_event().value() == nullptr);
  CHECK(reader.next_commit().value() == nullptr);
}

TEST_CASE("record: events of a commit may be passed over unseen") {
  const std::string body = make_body();
  BodyReader reader(body, 2, 2);
  REQUIRE(reader.next_commit());
  REQUIRE(reader.next_commit());
  CHECK(reader.next_commit().value() == nullptr);
}

TEST_CASE("record: padding after the last commit is passed over, anything else is not") {
  const std::string body = make_body();
  CHECK(walk(body + std::string(7, '\0')));
  CHECK_FALSE(walk(body + std::string(8, '\0')));
  CHECK_FALSE(walk(body + "x"));
}

TEST_CASE("record: every field that lies is corruption") {
  const std::string body = make_body();
  REQUIRE(walk(body) == 4);
  struct Lie {
    const char* name;
    std::string body;
  };
  const Lie lies[] = {
      {"commit length 0", with<std::uint32_t>(body, 0, 0)},
      {"commit length past the end", with<std::uint32_t>(body, 0, 100'000)},
      {"commit length all ones", with<std::uint32_t>(body, 0, UINT32_MAX)},
      {"commit length one short", with<std::uint32_t>(body, 0, get<std::uint32_t>(body, 0) - 1)},
      {"batch distance", with<std::uint32_t>(body, 4, 127)},
      {"commit kind 0", with<std::uint8_t>(body, 8, 0)},
      {"commit kind unknown", with<std::uint8_t>(body, 8, 4)},
      {"a rejection with events", with<std::uint8_t>(body, 8, 2)},
      {"reserved byte", with<std::uint8_t>(body, 9, 1)},
      {"principal length", with<std::uint16_t>(body, 10, 60'000)},
      {"target length", with<std::uint16_t>(body, 12, 60'000)},
      {"id length", with<std::uint16_t>(body, 14, 60'000)},
      {"detail length", with<std::uint32_t>(body, 16, UINT32_MAX)},
      {"event count too high", with<std::uint32_t>(body, 20, UINT32_MAX)},
      {"event count too low", with<std::uint32_t>(body, 20, 1)},
      {"event count none", with<std::uint32_t>(body, 20, 0)},
      {"first event", with<std::uint32_t>(body, 24, 1)},
      {"leaf length 0", with<std::uint32_t>(body, kEvent, 0)},
      {"leaf length past the commit", with<std::uint32_t>(body, kEvent, 100'000)},
      {"leaf length all ones", with<std::uint32_t>(body, kEvent, UINT32_MAX)},
      {"commit distance 0", with<std::uint32_t>(body, kEvent + 4, 0)},
      {"commit distance before the body", with<std::uint32_t>(body, kEvent + 4, UINT32_MAX)},
      {"commit distance elsewhere", with<std::uint32_t>(body, kEvent + 4, kEvent - 1)},
      {"data length", with<std::uint32_t>(body, kLeaf + 16, UINT32_MAX)},
      {"metadata length", with<std::uint32_t>(body, kLeaf + 20, UINT32_MAX)},
      {"stream length", with<std::uint16_t>(body, kLeaf + 24, 60'000)},
      {"type length", with<std::uint16_t>(body, kLeaf + 26, 0)},
  };
  for (const auto& lie : lies) {
    CAPTURE(lie.name);
    const auto walked = walk(lie.body);
    REQUIRE_FALSE(walked.has_value());
    CHECK(walked.error().code == Errc::corruption);
  }
}

TEST_CASE("record: a body cut anywhere is corruption, never a read past its end") {
  const std::string body = make_body();
  for (std::size_t length = 0; length < body.size(); ++length) {
    CAPTURE(length);
    const std::string cut(body.data(), length);  // of its own, so that sanitizers see its end
    CHECK_FALSE(walk(cut).has_value());
  }
}

TEST_CASE("record: counts that do not fit the body are corruption") {
  const std::string body = make_body();
  CHECK_FALSE(walk(body, 1, 2));
  CHECK_FALSE(walk(body, 3, 2));
  CHECK_FALSE(walk(body, 2, 1));
  CHECK_FALSE(walk(body, 2, 3));
  CHECK_FALSE(walk(body, 0, 0));
  CHECK(walk("", 0, 0) == 0);
}

TEST_CASE("record: a writer whose body was taken starts the next batch from nothing") {
  BodyWriter writer;
  BatchBody first;
  for (int i = 0; i < 2; ++i) {
    CommitHeader header;
    header.event_count = 1;
    writer.begin_commit(header);
    writer.add_event({"s-1", Version(1), "t", TimeUs(1), "{}", ""});
    writer.end_commit();
    if (i == 0) first = writer.take();
  }
  CHECK(writer.take() == first);
}
