// Each page of each file of a small store cannot be read: from the start on, or while readers are
// in the middle. What is asked is answered as it would have been, or by an error that names the
// file.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/store/simulated_store.h"
#include "tests/engine/store/stored_commits.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::test;

namespace {

using Image = SimulatedFileSystem::Image;

constexpr std::uint64_t kPageBytes = 4096;
constexpr int kCommits = 60;

std::string stream_of(int i) { return "a-" + std::to_string(i % 5); }

/// Commits of all kinds, each in a batch of its own.
StoredCommits write_some(Partition& partition, const std::function<void()>& pass_time) {
  StoredCommits written;
  for (int i = 0; i < kCommits; ++i) {
    pass_time();
    StoredCommit one;
    if (i % 3 != 0) one.stamp = stamp(stream_of(i), "command-" + std::to_string(i), 7);
    if (i % 8 == 5) {
      one.commit.rejected = true;
      one.commit.detail = "no, said " + std::to_string(i);
    } else {
      // Some with pages that hold nothing but data, and with readers that are amid the batch.
      const bool large = i % 7 == 3;
      const auto bytes = static_cast<std::size_t>(large ? 9500 : i * 997 % 5000);
      const std::string data(bytes, static_cast<char>('a' + i % 26));
      one.commit = write_to(stream_of(i), std::vector<std::string>(large ? 4 : 1, data));
    }
    const auto outcome = commit(partition, one.commit, one.stamp);
    REQUIRE(outcome);
    one.outcome = *outcome;
    written.commits.push_back(std::move(one));
  }
  pass_time();
  return written;
}

/// What readers who had begun before are told once `break_it` has been called.
void read_across(Partition& partition, const StoredCommits& expected, const std::string& path,
                 const std::function<void()>& break_it) {
  const std::vector<Event> events = expected.events();
  const auto tolerated = [&](const Error& error) {
    if (is_damage(error.code) && error.context.find(path) != std::string::npos) return;
    FAIL("an error that does not name ", path, ": ", error.message());
  };
  const auto same = [](const EventView& found, const Event& event) {
    return found.offset == event.offset && found.stream == event.stream &&
           found.data == event.data && found.version == event.version &&
           found.command_id == event.command_id;
  };
  const auto compare = [&](const EventView& found, const Event& event) {
    if (!same(found, event)) FAIL("a wrong event at offset ", event.offset.value);
  };
  std::vector<std::unique_ptr<Cursor>> cursors;
  std::vector<std::size_t> next;
  for (std::size_t started = 0; started < events.size(); started += 4) {
    auto cursor = partition.read(Offset(started));
    REQUIRE(cursor);
    const auto first = (*cursor)->next();
    REQUIRE(first);
    compare(**first, events[started]);
    cursors.push_back(*std::move(cursor));
    next.push_back(started + 1);
  }
  std::vector<Event> of_stream;
  for (const Event& event : events) {
    if (event.stream == stream_of(0)) of_stream.push_back(event);
  }
  std::size_t seen = 0;
  bool wrong = false;  // the last one may be, and then the error says so
  const auto read = partition.read_stream(stream_of(0), {}, [&](const EventView& found) {
    REQUIRE(seen < of_stream.size());
    REQUIRE_FALSE(wrong);
    if (seen == of_stream.size() / 2) break_it();
    wrong = !same(found, of_stream[seen++]);
    return true;
  });
  if (!read) tolerated(read.error());
  if (read) CHECK(seen == of_stream.size());
  if (read) CHECK_FALSE(wrong);
  for (std::size_t i = 0; i < cursors.size(); ++i) {
    while (next[i] < events.size()) {
      const auto found = cursors[i]->next();
      if (!found) {
        tolerated(found.error());
        break;
      }
      REQUIRE(found->has_value());
      compare(**found, events[next[i]++]);
    }
  }
}

/// On a simulated disk, which makes single pages unreadable.
class Faulty {
 public:
  explicit Faulty(log::Codec sealed = log::Codec::none) : store_(1) {
    store_.topic_options.sealed_codec = sealed;
    REQUIRE(store_.open());
    expected_ = write_some(store_.partition(), [&] { store_.environment.clock.time += 1000; });
    store_.environment.clock.time += 1'000'000;
    store_.close();
    image_ = store_.environment.disk.image();
  }

  void sweep() {
    for (const auto& [path, bytes] : image_) {
      for (std::uint64_t at = 0; at < bytes.size(); at += kPageBytes) {
        INFO(path << " from " << at << " on");
        path_ = path;
        at_ = at;
        at_open();
        if (!path.ends_with("topic.meta")) in_the_middle();
      }
    }
    MESSAGE(pages_ << " pages: " << refused_ << " partitions stopped, " << errors_ << " errors of "
                   << "later readers");
    CHECK(refused_ > 0);
    CHECK(errors_ > 0);
  }
  [[nodiscard]] bool has(const std::string& ending) const {
    return std::ranges::any_of(image_,
                               [&](const auto& file) { return file.first.ends_with(ending); });
  }

 private:
  void break_it() { store_.environment.disk.make_unreadable(path_, at_, kPageBytes); }

  void at_open() {
    ++pages_;
    store_.environment.disk.restore(image_);
    break_it();
    const auto opened = store_.open();
    if (path_.ends_with("topic.meta")) {
      REQUIRE_FALSE(opened);
      CHECK(opened.error().code == Errc::io_error);
      CHECK(opened.error().context.find(path_) != std::string::npos);
      store_.close();
      return;
    }
    if (!opened) FAIL(opened.error().message());
    CHECK(store_.store().recovered().empty());
    const auto found = store_.store().damage();
    if (!found.empty()) {
      ++refused_;
      REQUIRE(found.size() == 1);
      INFO(found.front().error.context);
      CHECK(found.front().error.code == Errc::corruption);
      CHECK(found.front().error.context.find(path_) != std::string::npos);
      CHECK(found.front().error.context.find("byte " + std::to_string(at_)) != std::string::npos);
      CHECK(store_.partition().read(Offset(0)).error() == found.front().error);
    } else {
      check(0);
    }
    store_.close();
  }

  void in_the_middle() {
    store_.environment.disk.restore(image_);
    REQUIRE(store_.open());
    REQUIRE(store_.store().damage().empty());
    if (!store_.environment.disk.exists(path_).value()) return store_.close();
    bool broken = false;
    read_across(store_.partition(), expected_, path_, [&] {
      if (!std::exchange(broken, true)) break_it();
    });
    check(1);
    // Whatever becomes of it, the process goes on.
    [[maybe_unused]] const auto more = commit(store_.partition(), write_to("z-1", {"more"}));
    store_.close();
  }

  void check(int) {
    const std::size_t errors = check_answers(store_.partition(), expected_, {path_, " at byte "});
    errors_ += errors;
    if (path_.ends_with(".idx")) CHECK(errors == 0);  // it is made again
    if (errors > 0) CHECK(store_.store().damage().size() == 1);
  }

  SimulatedStore store_;
  StoredCommits expected_;
  Image image_;
  std::string path_;
  std::uint64_t at_ = 0;
  std::size_t pages_ = 0, refused_ = 0, errors_ = 0;
};

}  // namespace

TEST_CASE("read faults: a page that cannot be read is never taken for what it held") {
  Faulty faulty;
  REQUIRE(faulty.has(".idx"));
  faulty.sweep();
}

TEST_CASE("read faults: nor is one of a compressed segment") {
  Faulty faulty(log::Codec::zstd);
  REQUIRE(faulty.has(".seg.zst"));
  faulty.sweep();
}

TEST_CASE("read faults: files that are cut off under their readers are real faults, and errors") {
  TestStore store;
  TopicOptions options;
  options.segment_bytes = log::kSegmentBytesMin;
  const auto topic = store->create_topic("t", options);
  REQUIRE(topic);
  const StoredCommits expected = write_some((*topic)->partition(PartitionId(0)), [] {});
  store.close();
  namespace fs = std::filesystem;
  const std::string folder = store.folder() + "/data/topics/t/0";
  const std::string kept = store.folder() + "/kept";
  fs::copy(folder, kept, fs::copy_options::recursive);
  std::size_t errors = 0, tries = 0;
  for (const auto& file : fs::directory_iterator(kept)) {
    const std::string name = file.path().filename();
    const std::uint64_t step = long_run() ? kPageBytes : 3 * kPageBytes;
    for (std::uint64_t at = 0; at < file.file_size(); at += step) {
      INFO(name << " cut off at " << at);
      ++tries;
      fs::remove_all(folder);
      fs::copy(kept, folder, fs::copy_options::recursive);
      store.open();
      REQUIRE(store->damage().empty());
      const std::string path = folder + "/" + name;
      Partition& partition = store->find_topic("t")->partition(PartitionId(0));
      bool broken = false;
      read_across(partition, expected, path, [&] {
        if (!std::exchange(broken, true)) fs::resize_file(path, at);
      });
      errors += check_answers(partition, expected, {path, " at byte "});
      [[maybe_unused]] const auto more = commit(partition, write_to("z-1", {"more"}));
      store.close();
    }
  }
  MESSAGE(tries << " cuts, " << errors << " errors");
  CHECK(errors > 0);
}
