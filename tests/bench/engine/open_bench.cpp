// Opening a store of 20 million events in 2 million streams (2 million in 200,000 with --quick):
// how long it takes, and what memory it takes, beside a store of a tenth of that.
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/io/posix_file_system.h"
#include "engine/store/store.h"
#include "tests/bench/report.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;

namespace {

constexpr std::uint64_t kEventsPerStream = 10;
constexpr std::uint64_t kEventsPerCommit = 100;
constexpr std::size_t kEventBytes = 100;
constexpr int kInFlight = 16;

void must(bool good) {
  if (!good) std::abort();
}

class OpenStore {
 public:
  explicit OpenStore(const std::string& folder) {
    StoreOptions options;
    options.folder = folder;
    store_ = Store::open({files_, clock_, random_, scheduler_}, options).value();
  }

  [[nodiscard]] Partition& partition() {
    TopicOptions options;
    options.durability = Durability::os;
    return store_->create_topic("bench", options).value()->partition(PartitionId(0));
  }

 private:
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadScheduler scheduler_{2};
  std::unique_ptr<Store> store_;
};

std::string stream_name(std::uint64_t i) { return "account-" + std::to_string(i); }

/// Streams get their events in turn, a part of them at a time; each commit has a command id.
void fill(const std::string& folder, std::uint64_t events) {
  OpenStore store(folder);
  Partition& partition = store.partition();
  const std::uint64_t streams = events / kEventsPerStream;
  std::mutex mutex;
  std::condition_variable wake;
  int free = kInFlight;
  for (std::uint64_t next = 0; next < events;) {
    Commit commit;
    for (std::uint64_t i = 0; i < kEventsPerCommit && next < events; ++i, ++next) {
      commit.writes.push_back({stream_name(next * 7919 % streams),
                               ExpectedVersion::any(),
                               {{"deposited", std::string(kEventBytes, 'd'), ""}}});
    }
    CommandStamp stamp{"", commit.writes.front().stream, "command-" + std::to_string(next), {}};
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return free > 0; });
    --free;
    lock.unlock();
    partition.execute(
        std::move(stamp),
        [commit = std::move(commit)](const Staging&) mutable {
          return Result<Commit>(std::move(commit));
        },
        [&](const Result<CommitOutcome>& outcome) {
          must(outcome.has_value());
          {
            const std::lock_guard guard(mutex);
            ++free;
          }
          wake.notify_one();
        });
  }
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return free == kInFlight; });
}

/// Memory of this process that no file backs, in bytes.
double anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return 1024.0 * std::stod(line.substr(8));
  }
  return 0;
}

/// What the process that opens the store reports.
struct Opening {
  double seconds = 0;
  double bytes = 0;   ///< memory after opening
  double absent = 0;  ///< look-ups of absent streams and commands a second
  double descriptors = 0;
};

/// In a process of its own, so that its memory is that of opening and no more.
void open_and_print(const std::string& folder) {
  Opening opening;
  const double before = anonymous_bytes();
  std::optional<OpenStore> store;
  opening.seconds = seconds([&] { store.emplace(folder); });
  opening.bytes = anonymous_bytes() - before;
  Partition& partition = store->partition();
  constexpr int kLookups = 20'000;
  const auto look_up = [&] {
    for (int i = 0; i < kLookups / 2; ++i) {
      const std::string name = "absent-" + std::to_string(i);
      must(partition.stream_version(name).value() == Version(0));
      must(!partition.find_outcome({"", name, name, {}}).value().has_value());
    }
  };
  look_up();
  opening.absent = kLookups / seconds(look_up);
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++opening.descriptors;
  }
  std::printf("%.17g %.17g %.17g %.17g\n", opening.seconds, opening.bytes, opening.absent,
              opening.descriptors);
}

Opening open_apart(const std::string& program, const std::string& folder) {
  FILE* const child = ::popen((program + " --open " + folder).c_str(), "r");
  must(child != nullptr);
  Opening opening;
  const int read = std::fscanf(child, "%lf %lf %lf %lf", &opening.seconds, &opening.bytes,
                               &opening.absent, &opening.descriptors);
  must(read == 4 && ::pclose(child) == 0);
  return opening;
}

/// Medians of each.
Opening measure(const std::string& program, const std::string& folder, int runs) {
  std::vector<Opening> all;
  for (int i = 0; i < runs; ++i) all.push_back(open_apart(program, folder));
  const auto median_of = [&](double Opening::*member) {
    std::ranges::nth_element(all, all.begin() + runs / 2, {}, member);
    return all[static_cast<std::size_t>(runs / 2)].*member;
  };
  return {median_of(&Opening::seconds), median_of(&Opening::bytes), median_of(&Opening::absent),
          median_of(&Opening::descriptors)};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--open") {
    open_and_print(argv[2]);
    return 0;
  }
  const Arguments arguments(argc, argv);
  const std::uint64_t events = arguments.quick() ? 2'000'000 : 20'000'000;
  const test::TemporaryFolder folder;
  const std::string small = folder.path() + "/small";
  const std::string large = folder.path() + "/large";
  fill(small, events / 10);
  fill(large, events);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const Opening tenth = measure(program, small, arguments.runs());
  const Opening all = measure(program, large, arguments.runs());
  const std::string size =
      arguments.quick() ? "2 M events in 200,000 streams" : "20 M events in 2 M streams";
  const auto say = [&](const std::string& figure, double value, const std::string& unit,
                       double limit, const std::string& notes) {
    if (arguments.wants(figure)) report(figure, value, unit, limit, size + ", " + notes);
  };
  say("open.20m", all.seconds, "s", 1, "page cache warm; limit: the target of 1 s");
  say("open.20m.memory", all.bytes, "bytes", tenth.bytes,
      "anonymous memory after opening; limit: the same of a tenth of the events");
  say("open.20m.descriptors", all.descriptors, "files", 2 * 256 + 16,
      "open files after look-ups; limit: two for each of 256 segments");
  say("lookup.absent", all.absent, "look-ups/s", tenth.absent,
      "absent streams and commands; limit: the same in a tenth of the events");
  return 0;
}
