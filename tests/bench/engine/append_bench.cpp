// Durable appends through the partition, beside the disk's own rate.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "tests/bench/engine/bench_store.h"
#include "tests/bench/engine/disk_limit.h"
#include "tests/bench/report.h"

using namespace keelson;
using namespace keelson::bench;

namespace {

constexpr std::size_t kEventBytes = 200;

Commit one_event(std::uint64_t i) {
  Commit commit;
  commit.writes.push_back({"account-" + std::to_string(i % 4500),
                           ExpectedVersion::any(),
                           {{"deposited", std::string(kEventBytes, 'd'), ""}}});
  return commit;
}

/// Commits per second with `in_flight` always under way.
double append_rate(Partition& partition, int in_flight, std::uint64_t commits,
                   const std::function<Commit(std::uint64_t)>& make) {
  std::mutex mutex;
  std::condition_variable wake;
  int free = in_flight;
  return static_cast<double>(commits) / seconds([&] {
           for (std::uint64_t i = 0; i < commits; ++i) {
             {
               std::unique_lock lock(mutex);
               wake.wait(lock, [&] { return free > 0; });
               --free;
             }
             partition.execute(
                 std::nullopt,
                 [commit = make(i)](const Staging&) mutable {
                   return Result<Commit>(std::move(commit));
                 },
                 [&](const Result<CommitOutcome>& outcome) {
                   if (!outcome) std::abort();
                   {
                     const std::lock_guard lock(mutex);
                     ++free;
                   }
                   wake.notify_one();
                 });
           }
           std::unique_lock lock(mutex);
           wake.wait(lock, [&] { return free == in_flight; });
         });
}

Commit thousand_events(std::uint64_t i) {
  Commit commit;
  StreamWrite write{"bulk-" + std::to_string(i % 100), ExpectedVersion::any(), {}};
  for (int e = 0; e < 1000; ++e) {
    write.events.push_back({"deposited", std::string(kEventBytes, 'd'), ""});
  }
  commit.writes.push_back(std::move(write));
  return commit;
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 && std::string_view(argv[1]) == "--quick" ? 3 : 5;
  BenchStore store;
  Partition& partition = store.partition();

  const auto one = paired(
      runs, [&] { return append_rate(partition, 1, 3000, one_event); },
      [&] { return fdatasync_rate(store.folder(), 4096, 3000); });
  report("append.inflight1", one.value, "commits/s", one.limit,
         "1 event of 200 B a commit, 1 in flight; limit: 4 KiB pwrite+fdatasync, pre-zeroed");

  const auto many = paired(
      runs, [&] { return append_rate(partition, 64, 100'000, one_event); },
      [&] { return 64 * fdatasync_rate(store.folder(), 32768, 1500); });
  report("append.inflight64", many.value, "events/s", many.limit,
         "1 event of 200 B a commit, 64 in flight; limit: 64 x 32 KiB pwrite+fdatasync");

  const auto bulk = paired(
      runs, [&] { return 1000 * kEventBytes * append_rate(partition, 4, 300, thousand_events); },
      [&] { return sequential_write_rate(store.folder(), 128); });
  report("append.commit1000", bulk.value, "bytes/s", bulk.limit,
         "payload bytes, commits of 1,000 events of 200 B, 4 in flight, Merkle tree on; limit: "
         "sequential write with fdatasync each MiB");
  return 0;
}
