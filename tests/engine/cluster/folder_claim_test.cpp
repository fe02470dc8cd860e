#include "engine/cluster/folder_claim.h"

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/cluster/cluster_records.h"
#include "tests/engine/cluster/faulty_coordinator.h"
#include "tests/engine/cluster/members.h"
#include "tests/support/simulated_environment.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;
using namespace std::chrono_literals;
using replication::Coordinator;
using replication::Incarnation;
using replication::Record;
using replication::Revision;
using Fate = FaultyCoordinator::Fate;

namespace {

const ClusterKeys kKeys("main");
const auto kMember = member(3, 1);
const std::string kFolderKey = kKeys.of(FolderKey{kMember.data});
const std::string kNodeKey = kKeys.of(NodeKey{kMember.node});

class MovingClock final : public Clock {
 public:
  [[nodiscard]] TimeUs now() const override { return TimeUs(0); }
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return time; }
  std::chrono::nanoseconds time{};
};

/// Machines with data folders, and one coordinator between them.
struct World {
  World() { REQUIRE(disk.create_folders("data")); }

  Result<FolderClaimed> claim(const std::string& folder = "data",
                              const std::string& place = "boot:1") {
    ClaimOptions options;
    options.folder = folder;
    options.place = place;
    options.member = kMember;
    options.pause = [this](std::chrono::nanoseconds time) {
      clock.time += time;
      ++pauses;
      if (on_pause) on_pause();
    };
    options.give_up = [this] { return gives_up; };
    options.report = [this](const std::string& what) { reports.push_back(what); };
    return claim_folder({disk, clock, random, scheduler}, coordinator, kKeys, options);
  }
  /// As a process that has claimed its folder shows itself; dropped when it is gone.
  std::unique_ptr<Coordinator::Presence> appear(const Incarnation& incarnation, int data = 1) {
    return coordinator.appear(
        kNodeKey, encode_node_record({member(3, data), incarnation, "10.0.0.3:7070", "h:1", "1"}),
        3s);
  }
  /// While nothing runs on it.
  void copy(const std::string& from, const std::string& to) {
    REQUIRE(disk.create_folders(to));
    const auto text = io::read_file(disk, from + "/keelson.starts", 4096);
    REQUIRE(text);
    REQUIRE(io::replace_file(disk, to + "/keelson.starts", *text));
  }
  std::optional<Record> node() {
    std::optional<Record> found;
    coordinator.get(kNodeKey, [&](auto record) { found = record.value(); });
    return found;
  }
  std::optional<Record> record() {
    const auto fate = std::exchange(coordinator.fate, [](const auto&) { return Fate::good; });
    std::optional<Record> found;
    coordinator.get(kFolderKey, [&](auto result) { found = result.value(); });
    coordinator.fate = fate;
    return found;
  }
  void check_claimed(const Result<FolderClaimed>& claimed) {
    REQUIRE_MESSAGE(claimed, (claimed ? "" : claimed.error().message()));
    REQUIRE(record());
    CHECK(decode_folder_record(record()->value) == FolderRecord{kMember, claimed->incarnation});
  }

  SimulatedFileSystem disk{1};
  SeededRandom random{2};
  SeededScheduler scheduler{3};
  MovingClock clock;
  FaultyCoordinator coordinator;
  std::function<void()> on_pause;
  bool gives_up = false;
  int pauses = 0;
  std::vector<std::string> reports;
};

}  // namespace

TEST_CASE("folder claim: each start has the next number, and does not wait") {
  World world;
  for (std::uint64_t start = 1; start <= 100; ++start) {
    const auto claimed = world.claim();
    world.check_claimed(claimed);
    CHECK(claimed->incarnation.number == start);
    CHECK_FALSE(claimed->replaces);
    if (start % 2 == 0) world.disk.cut_power();
  }
  CHECK(world.pauses == 0);
  CHECK(world.reports.empty());
}

TEST_CASE("folder claim: of a folder and its copy one is used, and the other never again") {
  for (const auto& [first, second] : {std::pair("data", "copy"), std::pair("copy", "data")}) {
    CAPTURE(first);
    World world;
    world.check_claimed(world.claim());
    world.copy("data", "copy");
    const auto claimed = world.claim(first, "boot:2");
    world.check_claimed(claimed);
    const auto refused = world.claim(second, "boot:3");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::locked);
    CHECK(refused.error().context ==
          std::string(second) +
              ", of node 3, is a copy, or there is one that has been used, or it was put back from "
              "a backup: start 2 was not here, and what the node has promised and acknowledged "
              "since is missing; start it with an empty folder");
    CHECK(world.reports.empty());
    // Not when the other has ended and started again, either.
    world.check_claimed(world.claim(first, "boot:2"));
    CHECK_FALSE(world.claim(second, "boot:3"));
    CHECK_FALSE(world.claim(second, "boot:2"));
    world.check_claimed(world.claim(first, "boot:2"));
  }
}

TEST_CASE("folder claim: a folder that was put back from a backup is refused") {
  World world;
  world.check_claimed(world.claim());
  world.copy("data", "backup");
  world.check_claimed(world.claim());
  world.copy("backup", "data");
  CHECK(world.claim().error().code == Errc::locked);
  // Without the file, too: that is an even older one.
  REQUIRE(world.disk.remove("data/keelson.starts"));
  CHECK(world.claim().error().code == Errc::locked);
}

TEST_CASE("folder claim: a predecessor at the same place has ended, whatever is left of it") {
  World world;
  const auto first = world.claim();
  world.check_claimed(first);
  const auto left = world.appear(first->incarnation);
  const auto second = world.claim();
  world.check_claimed(second);
  CHECK(second->replaces == world.node());
  CHECK(world.pauses == 0);
}

TEST_CASE("folder claim: elsewhere a predecessor is waited for until it shows no sign of life") {
  // The folder was moved to another machine, or the machine was started again.
  for (const std::string place : {"boot:2", ""}) {
    CAPTURE(place);
    World world;
    const auto first = world.claim("data", place.empty() ? "" : "boot:1");
    world.check_claimed(first);
    auto left = world.appear(first->incarnation);
    world.on_pause = [&] {
      if (world.clock.time >= 3s) left.reset();
    };
    const auto second = world.claim("data", place);
    world.check_claimed(second);
    CHECK_FALSE(second->replaces);
    CHECK(world.clock.time == 5s);
    REQUIRE(world.reports.size() == 1);
    CHECK(world.reports.front().find("waits until there is none") != std::string::npos);
  }
}

TEST_CASE("folder claim: a copy made while the node runs is refused, and the node goes on") {
  World world;
  const auto running = world.claim();
  world.check_claimed(running);
  world.copy("data", "copy");
  const auto alive = world.appear(running->incarnation);
  const auto refused = world.claim("copy", "boot:2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error() ==
        Error{Errc::locked,
              "node 3 runs already at 10.0.0.3:7070, with this data folder or one of which this is "
              "a copy; it must run once",
              {}});
  CHECK(world.clock.time >= 10s);
  world.check_claimed(running);  // nothing has changed
}

TEST_CASE("folder claim: who was cut off together with a copy of its folder comes before it") {
  World world;
  const auto running = world.claim();
  world.check_claimed(running);
  world.copy("data", "copy");
  std::unique_ptr<Coordinator::Presence> alive;
  // For so long that the node's sign of life has ended.
  world.coordinator.fate = [&](const auto&) {
    return world.clock.time < 60s ? Fate::away : Fate::good;
  };
  world.on_pause = [&] {
    if (world.clock.time > 61s && !alive) alive = world.appear(running->incarnation);
  };
  CHECK(world.claim("copy", "boot:2").error().code == Errc::locked);
  world.check_claimed(running);
}

TEST_CASE("folder claim: a node whose number another data folder has is refused") {
  World world;
  const auto alive = world.appear({5, {}}, 2);
  const auto refused = world.claim();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::locked);
  CHECK(refused.error().context.find("with another data folder") != std::string::npos);
  CHECK_FALSE(world.record());
}

TEST_CASE("folder claim: while the coordinator is away it is waited for, and may be given up") {
  World world;
  world.coordinator.fate = [](const auto&) { return Fate::away; };
  world.on_pause = [&] { world.gives_up = world.pauses == 50; };
  CHECK(world.claim().error().code == Errc::closed);
  CHECK(world.reports.size() == 1);
  world.gives_up = false;
  world.on_pause = [&] {
    if (world.pauses == 60) world.coordinator.fate = [](const auto&) { return Fate::good; };
  };
  world.check_claimed(world.claim());
  CHECK(world.pauses == 60);
}

TEST_CASE("folder claim: a full disk is waited for, and may be given up") {
  World world;
  world.check_claimed(world.claim());
  const auto full = [](DiskCall call, const std::string&) {
    return call == DiskCall::write ? std::optional(Errc::disk_full) : std::nullopt;
  };
  world.disk.set_fault(full);
  world.on_pause = [&] {
    if (world.pauses == 3) world.disk.set_fault(nullptr);
  };
  world.check_claimed(world.claim());
  CHECK(world.pauses == 3);
  CHECK(world.reports.size() == 1);
  world.disk.set_fault(full);
  world.on_pause = [&] { world.gives_up = true; };
  const auto given_up = world.claim();
  REQUIRE_FALSE(given_up);
  CHECK(given_up.error().code == Errc::disk_full);
}

TEST_CASE("folder claim: a lost answer is found out, and a late request does no harm") {
  for (const Fate bad : {Fate::answer_lost, Fate::request_lost, Fate::request_late}) {
    World world;
    world.check_claimed(world.claim());
    int swaps = 0;
    world.coordinator.fate = [&](const std::string&) { return swaps-- == 0 ? bad : Fate::good; };
    swaps = 2;  // after both looks
    world.check_claimed(world.claim());
    const auto before = world.record();
    world.coordinator.deliver();
    CHECK(world.record()->value == before->value);
    world.coordinator.fate = [](const auto&) { return Fate::good; };
    world.check_claimed(world.claim());
    CHECK(world.reports.empty());
  }
}

TEST_CASE("folder claim: a crash at any point leaves a folder that can be claimed") {
  bool crashed = true;
  for (std::uint64_t calls = 0; crashed; ++calls) {
    CAPTURE(calls);
    World world;
    world.check_claimed(world.claim());
    world.disk.halt_after(calls);
    crashed = !world.claim();
    CHECK(crashed == world.disk.halted());
    world.disk.cut_power();
    world.check_claimed(world.claim());
    REQUIRE(calls < 100);
  }
}

TEST_CASE("folder claim: a request of a process that crashed may land between two looks") {
  World world;
  world.check_claimed(world.claim());
  // The first one dies with its request on the way.
  world.coordinator.fate = [&, calls = 0](const std::string&) mutable {
    return ++calls == 3 ? Fate::request_late : Fate::good;
  };
  world.on_pause = [&] { world.gives_up = true; };
  CHECK(world.claim().error().code == Errc::closed);
  world.gives_up = false;
  world.on_pause = nullptr;
  // The next one has looked when it arrives.
  world.coordinator.fate = [&, calls = 0](const std::string&) mutable {
    if (++calls == 3) world.coordinator.deliver();
    return Fate::good;
  };
  const auto claimed = world.claim();
  world.check_claimed(claimed);
  CHECK(claimed->incarnation.number == 4);  // 2 was late, and 3 came too late
}

TEST_CASE("folder claim: a coordinator that was put back, or made anew, is gone on with") {
  World world;
  for (int i = 0; i < 5; ++i) world.check_claimed(world.claim());
  // Put back to start 2.
  world.coordinator.compare_and_set(kFolderKey, *world.record(),
                                    encode_folder_record({kMember, {2, {}}}), [](const auto&) {});
  const auto claimed = world.claim();
  world.check_claimed(claimed);
  CHECK(claimed->incarnation.number == 6);
  REQUIRE(world.reports.size() == 1);
  CHECK(world.reports.front().find("it has been put back") != std::string::npos);
}

TEST_CASE("folder claim: what is damaged is not gone on with") {
  World world;
  world.check_claimed(world.claim());
  REQUIRE(io::replace_file(world.disk, "data/keelson.starts", "keelson starts 1\nplace \n"));
  CHECK(world.claim().error().code == Errc::corruption);
  REQUIRE(io::replace_file(world.disk, "data/keelson.starts", "keelson starts 2\n"));
  CHECK(world.claim().error().code == Errc::unsupported_format);
  World other;
  other.coordinator.compare_and_set(kFolderKey, std::nullopt, "rubbish", [](const auto&) {});
  CHECK(other.claim().error().code == Errc::corruption);
  World wrong;
  wrong.coordinator.compare_and_set(
      kFolderKey, std::nullopt, encode_folder_record({member(4, 1), {1, {}}}), [](const auto&) {});
  CHECK(wrong.claim().error().code == Errc::corruption);
}

TEST_CASE("folder starts: are read back as they were written, and nothing else is") {
  const Uuid id = *uuid_from_hex("101112131415161718191a1b1c1d1e1f");
  const FolderStarts starts{"0f:1:2", {{1, id}, {2, id}}};
  const std::string text = encode_folder_starts(starts);
  CHECK(
      text.starts_with("keelson starts 1\n"
                       "place 0f:1:2\n"
                       "incarnation 1:101112131415161718191a1b1c1d1e1f\n"
                       "incarnation 2:101112131415161718191a1b1c1d1e1f\n"
                       "checksum "));
  CHECK(decode_folder_starts(text) == starts);
  CHECK(decode_folder_starts(encode_folder_starts({})) == FolderStarts{});
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK_FALSE(decode_folder_starts(text.substr(0, length)));
  }
  for (std::size_t at = 17; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK_FALSE(decode_folder_starts(changed));
  }
}
