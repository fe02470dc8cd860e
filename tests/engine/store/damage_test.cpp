// What a store does with data that is damaged or gone: it stops what the data belongs to, names the
// file, and changes nothing of it.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/store/store.h"
#include "tests/support/simulated_file_system.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

/// A store on a simulated disk with one topic, `t`, of two partitions: `a-1` and `b-1` lie in them.
class DamagedStore {
 public:
  DamagedStore() {
    Topic& topic = store_.topic("t", 2);
    while (topic.partition_of(in_1_) == topic.partition_of(in_0_)) in_1_ += "x";
    if (topic.partition_of(in_0_) != PartitionId(0)) std::swap(in_0_, in_1_);
    for (const std::string& stream : {in_0_, in_1_}) {
      REQUIRE(commit(topic.home_of(stream), write_to(stream, {"1", "2"})));
    }
    store_.close();
  }

  [[nodiscard]] std::string folder() const { return store_.folder() + "/data/topics/t"; }
  [[nodiscard]] TestStore& store() { return store_; }
  [[nodiscard]] Partition& partition(std::uint32_t p) {
    return store_->find_topic("t")->partition(PartitionId(p));
  }
  [[nodiscard]] std::vector<std::string> files(std::uint32_t p) {
    auto names = disk.list(folder() + "/" + std::to_string(p));
    return names ? *names : std::vector<std::string>();
  }

  /// Partition 0 refuses everything with this error; partition 1 does not mind. Twice, as opening
  /// must not have changed it.
  void check_stopped(Errc code, const std::string& named) {
    const auto before = files(0);
    for (int time = 0; time < 2; ++time) {
      store_.open();
      const auto found = store_->damage();
      REQUIRE(found.size() == 1);
      const Damage& damage = found.front();
      CHECK(damage.topic == "t");
      CHECK(damage.partition == PartitionId(0));
      CHECK(damage.error.code == code);
      INFO(damage.error.context);
      CHECK(damage.error.context.find(named) != std::string::npos);

      Partition& stopped = partition(0);
      CHECK(stopped.read(Offset(0)).error() == damage.error);
      CHECK(stopped.stream_version(in_0_).error() == damage.error);
      CHECK(stopped.end_at(TimeUs(1)).error() == damage.error);
      CHECK(stopped.find_outcome(stamp(in_0_, "c")).error() == damage.error);
      CHECK(commit(stopped, write_to(in_0_, {"3"})).error() == damage.error);

      CHECK(read_all(partition(1)).size() == 2u + time);
      CHECK(commit(partition(1), write_to(in_1_, {"3"})));
      store_.close();
      CHECK(files(0) == before);
    }
  }

  SimulatedFileSystem disk{1};

 private:
  TestStore store_{&disk};
  std::string in_0_ = "a-1", in_1_ = "b-1";
};

}  // namespace

TEST_CASE("damage: a partition whose folder is gone is stopped, not made anew") {
  DamagedStore damaged;
  REQUIRE(damaged.disk.remove_all(damaged.folder() + "/0"));
  damaged.check_stopped(Errc::corruption, damaged.folder() + "/0");
  CHECK_FALSE(damaged.disk.exists(damaged.folder() + "/0").value());
}

TEST_CASE("damage: a partition whose segments are gone is stopped, not made anew") {
  DamagedStore damaged;
  for (const std::string& name : damaged.files(0)) {
    REQUIRE(damaged.disk.remove(damaged.folder() + "/0/" + name));
  }
  damaged.check_stopped(Errc::corruption, damaged.folder() + "/0");
  CHECK(damaged.files(0).empty());
}

TEST_CASE("damage: a partition whose oldest segment is gone is stopped") {
  DamagedStore damaged;
  damaged.store().open();
  const std::string stream = read_all(damaged.partition(0)).front().stream;
  const std::string data(300'000, '7');
  while (damaged.files(0).size() < 4) {
    REQUIRE(commit(damaged.partition(0), write_to(stream, {data})));
  }
  damaged.store().close();
  const std::string oldest = damaged.folder() + "/0/00000000000000000000.seg";
  REQUIRE(damaged.disk.remove(oldest));
  damaged.check_stopped(Errc::corruption, oldest);
}

TEST_CASE("damage: a segment of another version stops its partition alone") {
  DamagedStore damaged;
  // Another partition's segment: whole, and not this one's.
  const std::string name = "/00000000000000000000.seg";
  const auto from = damaged.disk.open(damaged.folder() + "/1" + name, io::OpenMode::read);
  const auto to = damaged.disk.open(damaged.folder() + "/0" + name, io::OpenMode::read_write);
  REQUIRE((*to)->write_at(0, (*from)->read_at(0, 4096).value()));
  damaged.check_stopped(Errc::unsupported_format, damaged.folder() + "/0" + name);
}

TEST_CASE("damage: a flipped bit stops its partition and names file and byte") {
  DamagedStore damaged;
  const std::string path = damaged.folder() + "/0/00000000000000000000.seg";
  damaged.disk.flip_bit(path, 8 * 100);
  damaged.check_stopped(Errc::corruption, path + " at byte 0");
}

TEST_CASE("damage: a topic that has lost its record is refused, and all of it is left") {
  DamagedStore damaged;
  const std::string record_path = damaged.folder() + "/topic.meta";
  const std::string record = io::read_file(damaged.disk, record_path, 4096).value();
  REQUIRE(damaged.disk.remove(record_path));
  const auto before = damaged.files(0);
  for (int time = 0; time < 2; ++time) {
    damaged.store().open();
    Store& store = *damaged.store();
    const auto found = store.damage();
    REQUIRE(found.size() == 1);
    CHECK(found.front().topic == "t");
    CHECK_FALSE(found.front().partition.has_value());
    CHECK(found.front().error.context.find(record_path) == 0);
    CHECK(store.find_topic("t") == nullptr);
    CHECK(store.create_topic("t", {}).error() == found.front().error);
    CHECK(commit(damaged.store().topic("u").partition(PartitionId(0)), write_to("a-1", {"1"})));
    damaged.store().close();
    CHECK(damaged.files(0) == before);
  }
  REQUIRE(io::replace_file(damaged.disk, record_path, record));
  damaged.store().open();
  CHECK(damaged.store()->damage().empty());
  CHECK(read_all(damaged.partition(0)).size() + read_all(damaged.partition(1)).size() == 4);
}

TEST_CASE("damage: a damaged topic record, or one of another version, stops that topic alone") {
  DamagedStore damaged;
  damaged.store().open();
  REQUIRE(commit(damaged.store().topic("u").partition(PartitionId(0)), write_to("a-1", {"1"})));
  damaged.store().close();
  const std::string path = damaged.folder() + "/topic.meta";
  const auto check = [&](const std::string& text, Errc code) {
    INFO(text);
    REQUIRE(io::replace_file(damaged.disk, path, text));
    damaged.store().open();
    const auto found = damaged.store()->damage();
    REQUIRE(found.size() == 1);
    CHECK(found.front().error.code == code);
    CHECK(found.front().error.context.find(path) == 0);
    CHECK(damaged.store()->create_topic("t", {}).error().code == code);
    CHECK(read_all(damaged.store().topic("u").partition(PartitionId(0))).size() == 1);
    damaged.store().close();
    CHECK(io::read_file(damaged.disk, path, 8192) == text);
  };
  check("keelson topic 1\npartitions 1\nchecksum 0000000000000000\n", Errc::corruption);
  check("keelson topic 2\n", Errc::unsupported_format);
  check("", Errc::corruption);
  check(std::string(5000, 'x'), Errc::corruption);
}

TEST_CASE("damage: a topic whose record cannot be read stops itself alone, and is not made anew") {
  DamagedStore damaged;
  damaged.store().open();
  REQUIRE(commit(damaged.store().topic("u").partition(PartitionId(0)), write_to("a-1", {"1"})));
  damaged.store().close();
  const std::string path = damaged.folder() + "/topic.meta";
  const auto before = damaged.files(0);
  damaged.disk.set_fault([&](DiskCall call, const std::string& of) {
    return call == DiskCall::open && of == path ? std::optional(Errc::io_error) : std::nullopt;
  });
  damaged.store().open();
  const auto found = damaged.store()->damage();
  REQUIRE(found.size() == 1);
  CHECK(found.front().topic == "t");
  CHECK_FALSE(found.front().partition.has_value());
  CHECK(found.front().error.code == Errc::io_error);
  CHECK(found.front().error.context.find(path) != std::string::npos);
  CHECK(damaged.store()->topic("t").error() == found.front().error);
  CHECK(damaged.store()->create_topic("t", {}).error() == found.front().error);
  CHECK(read_all(damaged.store().topic("u").partition(PartitionId(0))).size() == 1);
  damaged.store().close();
  CHECK(damaged.files(0) == before);
  damaged.disk.set_fault(nullptr);
  damaged.store().open();
  CHECK(damaged.store()->damage().empty());
  CHECK(read_all(damaged.partition(0)).size() + read_all(damaged.partition(1)).size() == 4);
}

TEST_CASE("damage: a partition whose log cannot be opened is stopped alone") {
  DamagedStore damaged;
  const std::string path = damaged.folder() + "/0/00000000000000000000.seg";
  damaged.disk.set_fault([&](DiskCall call, const std::string& of) {
    return call == DiskCall::open && of == path ? std::optional(Errc::io_error) : std::nullopt;
  });
  damaged.check_stopped(Errc::io_error, path);
}

TEST_CASE("damage: a file among the topics is named, and left alone") {
  DamagedStore damaged;
  const std::string path = damaged.store().folder() + "/data/topics/notes";
  REQUIRE(damaged.disk.open(path, io::OpenMode::create_new).value()->write_at(0, "of somebody"));
  damaged.store().open();
  CHECK(damaged.store()->strays() == std::vector<std::string>{"notes"});
  CHECK(damaged.store()->damage().empty());
  CHECK(damaged.store()->find_topic("notes") == nullptr);
  CHECK(read_all(damaged.partition(0)).size() == 2);
  damaged.store().close();
  CHECK(io::read_file(damaged.disk, path, 100) == "of somebody");
}
