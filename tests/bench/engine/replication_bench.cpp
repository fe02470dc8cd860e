// Durable appends to three replicas, beside one node and beside the disk; and how fast a replica
// that has nothing gets everything.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/cluster/cluster_store.h"
#include "engine/io/posix_file_system.h"
#include "engine/replication/local_coordinator.h"
#include "engine/transport/tcp_transport.h"
#include "tests/bench/engine/bench_store.h"
#include "tests/bench/engine/callers.h"
#include "tests/bench/engine/disk_limit.h"
#include "tests/bench/engine/sendfile_limit.h"
#include "tests/bench/report.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;

namespace {

/// Everything of a node but its process.
class BenchNode {
 public:
  BenchNode(std::uint32_t id, const std::string& folder, replication::Coordinator& coordinator) {
    StoreOptions options;
    options.folder = folder;
    cluster::ClusterStoreOptions cluster;
    cluster.name = {replication::NodeId(id), "bench"};
    cluster.http_address = "node-" + std::to_string(id) + ":1";
    cluster.version = "bench";
    auto opened = cluster::ClusterStore::open(
        {files_, clock_, random_, scheduler_}, options, cluster, coordinator,
        [&](const replication::Member& self,
            const replication::Incarnation& start) -> Result<cluster::ClusterStore::Transporting> {
          transport::TcpTransportOptions tcp;
          tcp.cluster = "bench";
          tcp.secret = "a secret of this benchmark alone";
          tcp.self = self;
          tcp.incarnation = start;
          KEELSON_TRY_ASSIGN(auto transport, transport::TcpTransport::open(tcp, clock_, random_));
          const std::string address = "127.0.0.1:" + std::to_string(transport->port());
          return cluster::ClusterStore::Transporting{std::move(transport), address};
        });
    if (!opened) die(opened.error());
    store_ = *std::move(opened);
  }

  [[noreturn]] static void die(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    std::exit(1);
  }

  [[nodiscard]] cluster::ClusterStore& store() { return *store_; }

 private:
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadScheduler scheduler_{2};
  std::unique_ptr<cluster::ClusterStore> store_;
};

class BenchCluster {
 public:
  BenchCluster() {
    for (std::uint32_t id = 1; id <= 3; ++id) {
      nodes_.push_back(std::make_unique<BenchNode>(id, folder_.path() + "/n" + std::to_string(id),
                                                   coordinator_));
    }
    Result<Topic*> topic = fail(Errc::timeout, "");
    for (int tries = 0; !topic && tries < 50; ++tries) {
      topic = nodes_.front()->store().create_topic("t", {});
      if (!topic) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (!topic) BenchNode::die(topic.error());
    topic_ = (*topic)->id();
  }

  /// The replica that leads.
  [[nodiscard]] cluster::PartitionReplica& leader() {
    while (true) {
      for (const auto& node : nodes_) {
        if (!node) continue;
        const auto replica = node->store().replica(topic_, PartitionId(0));
        if (replica && replica->status().role == replication::Replica::Role::leading) {
          return *replica;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  [[nodiscard]] Partition& partition() { return *leader().partition(); }

  /// Stops a node that does not lead. @return which.
  std::size_t stop_follower() {
    const cluster::PartitionReplica& leads = leader();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i]->store().replica(topic_, PartitionId(0)).get() == &leads) continue;
      nodes_[i].reset();
      return i;
    }
    std::abort();
  }
  void start(std::size_t i) {
    const auto id = static_cast<std::uint32_t>(i + 1);
    nodes_[i] =
        std::make_unique<BenchNode>(id, folder_.path() + "/n" + std::to_string(id), coordinator_);
  }
  /// Seconds from the first batch that node takes until it shows all that the leader does.
  double catch_up_seconds(std::size_t i) {
    const BatchNo end = leader().status().committed;
    const auto replica = nodes_[i]->store().replica(topic_, PartitionId(0));
    const BatchNo begun = replica->status().appended;
    while (replica->status().appended == begun) std::this_thread::yield();
    return seconds([&] {
      while (replica->status().committed < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
  replication::LocalCoordinator coordinator_;
  std::vector<std::unique_ptr<BenchNode>> nodes_;
  Uuid topic_;
};

/// Of three threads, each with a file of its own: what the slowest gets done.
double three_disks_rate(const std::string& folder) {
  double rates[3];
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const std::string own = folder + "/limit" + std::to_string(i);
      std::filesystem::create_directories(own);
      rates[i] = fdatasync_rate(own, 4096, 2000);
    });
  }
  for (auto& thread : threads) thread.join();
  return *std::min_element(std::begin(rates), std::end(rates));
}

/// Bytes per second by sendfile over loopback to who writes them to a file of its own, with
/// fdatasync each 8 MiB.
double sendfile_rate(const std::string& folder, std::size_t bytes) {
  const RawFile from(folder, bytes);
  std::filesystem::create_directories(folder + "/to");
  const RawFile to(folder + "/to", bytes);
  const LoopbackPair sockets;
  return static_cast<double>(bytes) / seconds([&] {
           std::thread sender([&] { send_whole_file(from, sockets.first(), bytes); });
           receive_into(to, sockets.second(), bytes, 8u << 20);
           sender.join();
         });
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  const int runs = arguments.runs();
  if (arguments.wants("replication.inflight1")) {
    BenchCluster cluster;
    Callers one(cluster.partition(), 1);
    const auto measured = paired(
        runs, [&] { return one.rate(2000); }, [&] { return three_disks_rate(cluster.folder()); });
    report("replication.inflight1", measured.value, "commits/s", measured.limit,
           "three nodes in one process, TCP on loopback, 1 event of 200 B a commit, 1 in flight; "
           "limit: 4 KiB pwrite+fdatasync on three files at once, the slowest");
  }
  for (const int in_flight : {64, 1024}) {
    const std::string name = "replication.inflight" + std::to_string(in_flight);
    if (!arguments.wants(name)) continue;
    BenchCluster cluster;
    BenchStore alone;
    Callers replicated(cluster.partition(), in_flight);
    Callers single(alone.partition(), in_flight);
    const auto measured = paired(
        runs, [&] { return replicated.rate(100'000); }, [&] { return single.rate(200'000); });
    const auto syncs = static_cast<long>(three_disks_rate(cluster.folder()));
    report(name, measured.value, "events/s", measured.limit,
           "three nodes in one process, TCP on loopback, 1 event of 200 B a commit, versions "
           "checked; limit: one node, the same calls; three files at once take " +
               std::to_string(syncs) + " times 4 KiB pwrite+fdatasync a second, the slowest");
  }
  if (arguments.wants("replication.catchup")) {
    constexpr std::uint64_t kCommits = 1000;
    BenchCluster cluster;
    const auto measured = paired(
        runs,
        [&] {
          const std::size_t stopped = cluster.stop_follower();
          bulk_rate(cluster.partition(), 8, kCommits);
          cluster.start(stopped);
          return kEventBytes * 1000.0 * kCommits / cluster.catch_up_seconds(stopped);
        },
        [&] { return sendfile_rate(cluster.folder(), kEventBytes * 1000 * kCommits); });
    report("replication.catchup", measured.value, "bytes/s", measured.limit,
           "payload bytes that a node lacks when it starts, from the first it takes until it shows "
           "all; limit: sendfile to who writes a file with fdatasync each 8 MiB");
  }
  return 0;
}
