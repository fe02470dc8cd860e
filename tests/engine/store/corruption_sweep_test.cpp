// Every byte of every file of a small store is changed, and every file is cut at every length. What
// must come of it is known exactly, from where the byte lies: see `Oracle`.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <initializer_list>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/store/store_verifier.h"
#include "tests/engine/store/simulated_store.h"
#include "tests/engine/store/stored_commits.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::test;

namespace {

using Image = SimulatedFileSystem::Image;
using Kind = log::LogFinding::Kind;

const std::string kFolder = std::string(SimulatedStore::kPartitionFolder) + "/";

/// A file with one byte changed, or cut.
struct Damaged {
  std::string path;
  std::uint64_t at = 0;
  unsigned char flip = 0;  ///< 0: cut to `at` bytes
};

/// What a store must make of it.
struct Verdict {
  enum class Kind {
    harmless,  ///< all is there: nothing was lost, or it was made again from what is left
    torn,      ///< the log is cut at `position` when it is opened, which is reported
    refused,   ///< the partition is stopped when it is opened, by an error that names `position`
    found,     ///< whoever reads the batch at `position` is told; the rest is served
    unread,    ///< the same, but it holds nothing that could be read: only the verifier meets it
    no_topic,  ///< the topic is stopped, by an error that names its record
  };
  Kind kind = Kind::harmless;
  std::uint64_t position = 0;
  BatchNo cut{UINT64_MAX};  ///< the first batch that is lost, if one is
};

bool names_byte(const std::string& text, std::uint64_t byte) {
  const std::string name = "byte " + std::to_string(byte);
  const auto at = text.find(name);
  return at != std::string::npos &&
         !std::isdigit(static_cast<unsigned char>(text[at + name.size()]));
}

bool is_segment(const std::string& path) { return path.ends_with(".seg"); }

/// Knows of an undamaged store what each byte is.
class Oracle {
 public:
  Oracle(const Image& image, const Uuid& identity) : image_(image) {
    for (const auto& [path, bytes] : image) {
      if (!is_segment(path)) continue;
      last_ = path;
      batches_[path] = batches_in(bytes, identity);
    }
  }

  [[nodiscard]] Verdict judge(const Damaged& damage) const {
    if (damage.path.ends_with("topic.meta")) return {Verdict::Kind::no_topic};
    if (!is_segment(damage.path)) return {};
    if (damage.at < log::kSegmentHeaderBytes) return {Verdict::Kind::refused, 0};
    return damage.path == last_ ? of_last(damage) : of_full(damage);
  }

  [[nodiscard]] const std::vector<PlacedBatch>& batches(const std::string& path) const {
    return batches_.at(path);
  }
  [[nodiscard]] const std::string& last() const { return last_; }

 private:
  /// The batch that the byte belongs to; the end of the list when none does.
  [[nodiscard]] auto batch_of(const Damaged& damage) const {
    return std::ranges::find_if(batches(damage.path),
                                [&](const PlacedBatch& batch) { return damage.at < batch.end(); });
  }

  /// docs/log-format.md, "Torn or corrupt", and nothing more.
  [[nodiscard]] Verdict of_last(const Damaged& damage) const {
    if (damage.flip == 0) return {Verdict::Kind::refused, damage.at};
    const auto& batches = batches_.at(damage.path);
    const auto bad = batch_of(damage);
    if (bad == batches.end()) return {Verdict::Kind::torn, batches.back().end()};
    const bool known_durable = std::any_of(bad + 1, batches.end(), [&](const PlacedBatch& later) {
      return later.header.durable_batches > bad->header.batch_no;
    });
    if (known_durable) return {Verdict::Kind::refused, bad->position};
    return {Verdict::Kind::torn, bad->position, bad->header.batch_no};
  }

  [[nodiscard]] Verdict of_full(const Damaged& damage) const {
    const auto bad = batch_of(damage);
    if (bad == batches(damage.path).end()) return {};  // the zeros of a rest not yet cut off
    // Without an index the segment is scanned when it is opened, and so is one that has been cut.
    const std::string index = damage.path.substr(0, damage.path.size() - 4) + ".idx";
    if (damage.flip == 0 || !image_.contains(index)) {
      return {Verdict::Kind::refused, bad->position};
    }
    // Reading begins at the first event: what is before it, the start of an epoch, is passed over.
    const bool before_all = bad->header.base_offset == Offset(0) && bad->header.commit_count == 0;
    return {before_all ? Verdict::Kind::unread : Verdict::Kind::found, bad->position};
  }

  const Image& image_;
  std::map<std::string, std::vector<PlacedBatch>> batches_;
  std::string last_;
};

/// Writes a store of some segments; then damages it, byte by byte.
class Sweep {
 public:
  explicit Sweep(Durability durability = Durability::fsync) : store_(1, durability) {
    REQUIRE(store_.open());
  }

  /// Commits of all kinds, each in a batch of its own.
  void write(int commits, std::size_t bytes_max) {
    for (const int end = next_ + commits; next_ < end; ++next_) {
      const int i = next_;
      store_.environment.clock.time += 1000;
      if (i % 9 == 4) {
        write_group();
        continue;
      }
      StoredCommit one;
      if (i % 3 != 0) one.stamp = stamp(stream(i), "command-" + std::to_string(i), 7);
      one.commit = i % 8 == 5 ? refusal(i) : events(i, bytes_max);
      const auto outcome = commit(store_.partition(), one.commit, one.stamp);
      REQUIRE(outcome);
      one.outcome = *outcome;
      expected_.commits.push_back(std::move(one));
      written_.push_back(next_batch());
    }
  }
  void reopen() {
    store_.close();
    REQUIRE(store_.open());
  }

  void take_image(const std::function<void(SimulatedStore&)>& end) {
    const Uuid identity = store_.identity();
    store_.environment.clock.time += 1'000'000;  // all times are over
    check_answers(store_.partition(), expected_);
    end(store_);
    image_ = store_.environment.disk.image();
    oracle_.emplace(image_, identity);
  }

  [[nodiscard]] SimulatedStore& store() { return store_; }
  [[nodiscard]] Image& image() { return image_; }
  [[nodiscard]] const Oracle& oracle() const { return *oracle_; }
  /// The sweep is worth nothing if it leaves out one of the verdicts that the files have.
  void report(std::initializer_list<Verdict::Kind> had) const {
    for (const Verdict::Kind kind : had) CHECK(counts_[static_cast<std::size_t>(kind)] > 20);
    MESSAGE(counts_[0] << " harmless, " << counts_[1] << " torn, " << counts_[2] << " refused, "
                       << counts_[3] << " found, " << counts_[4] << " unread, " << counts_[5]
                       << " without a topic");
  }

  void check(const Damaged& damage) {
    INFO(damage.path << std::string(damage.flip == 0 ? " cut at " : " changed in byte ")
                     << damage.at << " of " << image_.at(damage.path).size() << " by "
                     << int(damage.flip));
    Image bad = image_;
    std::string& bytes = bad.at(damage.path);
    if (damage.flip == 0) {
      bytes.resize(damage.at);
    } else {
      bytes[damage.at] = static_cast<char>(bytes[damage.at] ^ damage.flip);
    }
    store_.environment.disk.restore(bad);
    const Verdict verdict = oracle_->judge(damage);
    ++counts_[static_cast<std::size_t>(verdict.kind)];
    check_verified(damage, verdict);
    check_opened(damage, verdict);
    store_.close();
  }

  /// Changes of every byte in [first, end) of a file: all bits one by one, or one value for each.
  void flip(const std::string& path, std::uint64_t first, std::uint64_t end, std::uint64_t step,
            bool bits) {
    for (std::uint64_t at = first; at < end; at += step) {
      if (!bits) {
        check({path, at, static_cast<unsigned char>(1 + random_() % 255)});
        continue;
      }
      for (int bit = 0; bit < 8; ++bit) check({path, at, static_cast<unsigned char>(1 << bit)});
    }
  }
  void cut(const std::string& path, std::uint64_t step) {
    for (std::uint64_t at = 0; at < image_.at(path).size(); at += step) check({path, at});
  }

 private:
  static std::string stream(int i) { return "a-" + std::to_string(i % 5); }
  static Commit refusal(int i) {
    Commit commit;
    commit.rejected = true;
    commit.detail = "no, said " + std::to_string(i);
    return commit;
  }
  Commit events(int i, std::size_t bytes_max) {
    const std::string data(random_() % bytes_max, static_cast<char>('a' + i % 26));
    Commit commit = write_to(stream(i), {data, std::to_string(i)});
    if (i % 4 == 1) {
      commit.writes.push_back({"b-" + std::to_string(i % 3), {}, {{"u", "1", R"({"by":"x"})"}}});
    }
    return commit;
  }
  void write_group() {
    const Offset next = store_.partition().end();
    bool done = false;
    store_.partition().commit_group_offset(
        "readers", next, [&](const auto& outcome) { done = outcome.has_value(); });
    REQUIRE(done);
    group_batches_.emplace_back(next_batch(), next);
    expected_.groups["readers"] = next;
  }
  /// The number of the batch after all there are.
  BatchNo next_batch() {
    const Image image = store_.environment.disk.image();
    BatchNo next(0);
    for (const auto& [path, bytes] : image) {
      if (!is_segment(path)) continue;
      const auto batches = batches_in(bytes, store_.identity());
      if (!batches.empty()) next = batches.back().header.batch_no + 1;
    }
    return next;
  }

  /// What is left with all batches from `cut` on gone.
  [[nodiscard]] StoredCommits before(BatchNo cut) const {
    StoredCommits left;
    for (std::size_t i = 0; i < expected_.commits.size(); ++i) {
      if (written_[i] <= cut) left.commits.push_back(expected_.commits[i]);
    }
    for (const auto& [end, next] : group_batches_) {
      if (end <= cut) left.groups["readers"] = next;
    }
    return left;
  }

  /// The verifier finds every change, says of which kind it is, and names the file.
  void check_verified(const Damaged& damage, const Verdict& verdict) {
    const auto report = verify_store(store_.environment.disk, {.folder = "data", .topic = {}});
    REQUIRE(report);
    std::vector<log::LogFinding> findings = report->findings;
    for (const auto& partition : report->partitions) {
      findings.insert(findings.end(), partition.log.findings.begin(), partition.log.findings.end());
    }
    // Of what was missing before anything was damaged there is nothing to say here.
    std::erase_if(findings, [](const auto& finding) { return finding.what == "it is missing"; });
    const auto is = [&](Kind kind, const std::string& file) {
      return findings.size() == 1 && findings.front().kind == kind && findings.front().file == file;
    };
    bool good = false;
    switch (verdict.kind) {
      case Verdict::Kind::torn: good = is(Kind::undecided, damage.path); break;
      case Verdict::Kind::no_topic: good = is(Kind::lost, damage.path); break;
      case Verdict::Kind::refused:
      case Verdict::Kind::found:
      case Verdict::Kind::unread:
        // A damaged header leaves open what the segment before should end with.
        good = std::ranges::any_of(findings, [&](const auto& finding) {
          return finding.kind == Kind::lost && finding.file == damage.path;
        });
        break;
      case Verdict::Kind::harmless: {
        const bool derived = damage.path.ends_with(".idx") || damage.path.ends_with(".g1");
        good = derived ? is(Kind::derived, damage.path) : findings.empty();
        // In the rest of a full segment that has not been cut off.
        if (is_segment(damage.path) && damage.flip != 0) good = is(Kind::unknown, damage.path);
      }
    }
    if (good) return;
    std::string all;
    for (const auto& finding : findings) all += "\n" + finding.file + ": " + finding.what;
    FAIL("the verifier says: ", all);
  }

  void check_opened(const Damaged& damage, const Verdict& verdict) {
    const auto opened = store_.open();
    if (verdict.kind == Verdict::Kind::no_topic) {
      if (opened) FAIL("the topic was opened");
      check_named(opened.error(), damage.path);
      return;
    }
    if (!opened) FAIL(opened.error().message());
    const auto found = store_.store().damage();
    const auto& torn = store_.store().recovered();
    if (verdict.kind == Verdict::Kind::refused) {
      if (found.size() != 1 || !torn.empty()) FAIL("the partition was not stopped");
      check_named(found.front().error, damage.path);
      if (!names_byte(found.front().error.context, verdict.position)) {
        FAIL("byte ", verdict.position, " is not named: ", found.front().error.message());
      }
      if (store_.environment.disk.image().at(damage.path).size() !=
          (damage.flip == 0 ? damage.at : image_.at(damage.path).size())) {
        FAIL("the damaged segment has been changed");
      }
      return;
    }
    if (!found.empty()) FAIL(found.front().error.message());
    check_torn(damage, verdict);
    const bool may_fail = verdict.kind == Verdict::Kind::found;
    Tolerance tolerance;
    if (may_fail) tolerance = {damage.path, " at byte " + std::to_string(verdict.position) + ":"};
    const StoredCommits expected = before(verdict.cut);
    const std::size_t errors = check_answers(store_.partition(), expected, tolerance);
    if (!may_fail) return;
    if (errors == 0) FAIL("nobody was told");
    if (store_.store().damage().size() != 1) FAIL("the operator is not told");
  }

  void check_torn(const Damaged& damage, const Verdict& verdict) {
    const auto& torn = store_.store().recovered();
    const bool expected = verdict.kind == Verdict::Kind::torn;
    if (torn.size() != (expected ? 1 : 0)) FAIL(torn.size(), " torn tails");
    if (expected && (torn[0].file != damage.path || torn[0].position != verdict.position ||
                     torn[0].torn_bytes == 0)) {
      FAIL("torn at byte ", torn[0].position, " of ", torn[0].file);
    }
  }

  static void check_named(const Error& error, const std::string& path) {
    if (!is_damage(error.code) || error.context.find(path) == std::string::npos) {
      FAIL(path, " is not named: ", error.message());
    }
  }

  SimulatedStore store_;
  StoredCommits expected_;
  std::vector<BatchNo> written_;  ///< for each commit, where the log ended with it
  std::vector<std::pair<BatchNo, Offset>> group_batches_;
  Image image_;
  std::optional<Oracle> oracle_;
  std::mt19937_64 random_{1};
  int next_ = 0;  ///< number of the next commit
  std::array<std::size_t, 6> counts_{};
};

/// In a normal run one byte of so many; a prime, so that all kinds of places are met.
std::uint64_t stride(std::uint64_t normal) { return long_run() ? 1 : normal; }

void flip_and_cut(Sweep& sweep, const std::string& path, std::uint64_t step) {
  sweep.flip(path, 0, sweep.image().at(path).size(), stride(step), false);
  sweep.cut(path, stride(step));
}

/// Every bit of the headers: of the segment, as far as it is used, and of batches.
void flip_headers(Sweep& sweep, const std::string& path) {
  const auto& batches = sweep.oracle().batches(path);
  sweep.flip(path, 0, 256, stride(7), true);
  sweep.flip(path, log::kSegmentHeaderBytes - 8, log::kSegmentHeaderBytes, 1, true);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (!long_run() && i > 0 && i + 2 < batches.size()) continue;
    const std::uint64_t first = batches[i].position;
    sweep.flip(path, first, first + log::kBatchHeaderBytes, stride(5), true);
  }
}

/// A store of some segments, and what `end` leaves of it, all of it damaged.
void sweep_small_store(Durability durability, const std::function<void(SimulatedStore&)>& end) {
  Sweep sweep(durability);
  sweep.write(40, 7000);
  sweep.reopen();
  sweep.write(30, 5000);
  sweep.take_image(end);
  for (const auto& [path, bytes] : Image(sweep.image())) {
    const bool last = path == sweep.oracle().last();
    const std::uint64_t of_segment = last ? 101 : 409;
    std::uint64_t step = is_segment(path) ? of_segment : 1;
    if (path.ends_with(".idx")) step = 11;
    if (path.ends_with(log::kNextSegmentName)) step = 4099;  // zeros, removed by the start
    flip_and_cut(sweep, path, step);
    if (is_segment(path)) flip_headers(sweep, path);
  }
  sweep.report({Verdict::Kind::harmless, Verdict::Kind::torn, Verdict::Kind::refused,
                Verdict::Kind::found, Verdict::Kind::unread, Verdict::Kind::no_topic});
}

}  // namespace

TEST_CASE("corruption sweep: after a clean shutdown damage is never served and never cut") {
  sweep_small_store(Durability::fsync, [](SimulatedStore& store) { store.close(); });
}

TEST_CASE("corruption sweep: after a kill the last batch alone can be cut") {
  sweep_small_store(Durability::fsync, [](SimulatedStore& store) { store.kill(); });
}

TEST_CASE("corruption sweep: without syncs what was written since the start can be cut") {
  sweep_small_store(Durability::os, [](SimulatedStore& store) { store.kill(); });
}

TEST_CASE("corruption sweep: full segments that are not sealed yet") {
  Sweep sweep;
  // What sealing begins with.
  sweep.store().environment.disk.set_fault([](DiskCall call, const std::string&) {
    return call == DiskCall::truncate ? std::optional(Errc::io_error) : std::nullopt;
  });
  sweep.write(60, 7000);
  sweep.store().environment.disk.set_fault(nullptr);
  sweep.take_image([](SimulatedStore& store) { store.kill(); });
  for (const auto& [path, bytes] : Image(sweep.image())) {
    REQUIRE_FALSE(path.ends_with(".idx"));
    if (is_segment(path)) flip_and_cut(sweep, path, 409);
  }
  sweep.report({Verdict::Kind::harmless, Verdict::Kind::torn, Verdict::Kind::refused});
}

TEST_CASE("corruption sweep: sealed segments without an index") {
  Sweep sweep;
  sweep.write(60, 7000);
  sweep.take_image([](SimulatedStore& store) {
    store.close();
    for (const auto& [path, bytes] : store.environment.disk.image()) {
      if (path.ends_with(".idx")) REQUIRE(store.environment.disk.remove(path));
    }
  });
  for (const auto& [path, bytes] : Image(sweep.image())) {
    if (is_segment(path) && path != sweep.oracle().last()) flip_and_cut(sweep, path, 409);
  }
  sweep.report({Verdict::Kind::refused});
}

TEST_CASE("corruption sweep: a filter over sixteen segments never hides what is there") {
  Sweep sweep;
  const std::string filter = kFolder + "00000000000000000000.g1";
  while (!sweep.store().environment.disk.exists(filter).value()) sweep.write(4, 60'000);
  sweep.take_image([](SimulatedStore& store) { store.close(); });
  flip_and_cut(sweep, filter, 17);
  sweep.report({Verdict::Kind::harmless});
}

TEST_CASE("corruption sweep: what is in the file that is locked does not matter") {
  TestStore store;  // the lock of a simulated disk is no file
  REQUIRE(commit(store.topic().partition(PartitionId(0)), write_to("a-1", {"1"})));
  store.close();
  const std::string path = store.folder() + "/data/keelson.lock";
  REQUIRE(store.environment().files.exists(path).value());
  REQUIRE(io::replace_file(store.environment().files, path, std::string(1000, 'x')));
  store.open();
  CHECK(store->damage().empty());
  CHECK(read_all(store.topic().partition(PartitionId(0))).size() == 1);
}
