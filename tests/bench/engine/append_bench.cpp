// Durable appends through the partition, beside the disk's own rate.
#include <semaphore>

#include "tests/bench/engine/bench_store.h"
#include "tests/bench/engine/callers.h"
#include "tests/bench/engine/disk_limit.h"
#include "tests/bench/engine/sqlite_group_commit.h"
#include "tests/bench/report.h"

using namespace keelson;
using namespace keelson::bench;

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  const int runs = arguments.runs();

  if (arguments.wants("append.inflight1")) {
    BenchStore store;
    Callers one(store.partition(), 1);
    const auto measured = paired(
        runs, [&] { return one.rate(3000); },
        [&] { return fdatasync_rate(store.folder(), 4096, 3000); });
    report("append.inflight1", measured.value, "commits/s", measured.limit,
           "1 event of 200 B a commit, 1 in flight; limit: 4 KiB pwrite+fdatasync, pre-zeroed");
  }
  if (arguments.wants("append.inflight64")) {
    BenchStore store;
    Callers many(store.partition(), 64);
    SqliteGroupCommit sqlite(store.folder(), kEventBytes);
    const auto measured = paired(
        runs, [&] { return many.rate(200'000); }, [&] { return 10 * sqlite.rate(64, 40'000, 64); });
    report("append.inflight64", measured.value, "events/s", measured.limit,
           "1 event of 200 B a commit, versions checked, 64 in flight; limit: 10 x SQLite, 64 "
           "threads, one writer, one transaction for the queue, synchronous=FULL");
  }
  if (arguments.wants("append.commit1000")) {
    BenchStore store;
    const auto measured = paired(
        runs, [&] { return kEventBytes * bulk_rate(store.partition(), 8, 1000); },
        [&] { return sequential_write_rate(store.folder(), 256); });
    report("append.commit1000", measured.value, "bytes/s", measured.limit,
           "payload bytes, commits of 1,000 events of 200 B, 8 in flight, Merkle tree on; limit: "
           "sequential write with fdatasync each MiB");
  }
  return 0;
}
