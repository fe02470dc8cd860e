#include "tests/simulation/real_node.h"

#include <utility>

#include "engine/cluster/promise_store.h"
#include "engine/log/log_format.h"
#include "engine/log/partition_log.h"

namespace keelson::simulation {

using namespace std::chrono_literals;

RealNode::RealNode(VirtualTime& of, std::size_t its_number, std::uint64_t seed, Hooks hooks)
    : time(of),
      number(its_number),
      disk(seed),
      hooks_(std::move(hooks)),
      random_(seed + 1),
      clock_(of, static_cast<std::int64_t>(random_() % 2'000'000)) {
  self.node = replication::NodeId(static_cast<std::uint32_t>(its_number));
  self.data.bytes[0] = std::byte(its_number);
  disk.set_fault([this](DiskCall call, const std::string&) { return on_disk_call(call); });
}

RealNode::~RealNode() { stop(); }

const Uuid& RealNode::identity() {
  static const Uuid kIdentity = [] {
    Uuid made;
    made.bytes.fill(std::byte(7));
    return made;
  }();
  return kIdentity;
}

std::optional<Errc> RealNode::on_disk_call(DiskCall call) {
  const bool syncs = call == DiskCall::sync || call == DiskCall::sync_folder;
  const std::uint64_t us = syncs  ? (slow ? 20'000 + random_() % 600'000 : 100 + random_() % 1'500)
                           : slow ? 100 + random_() % 20'000
                                  : 5 + random_() % 50;
  time.spend(std::chrono::microseconds(us));
  if (call == DiskCall::sync && std::exchange(fail_sync, false)) return Errc::io_error;
  if (full && (call == DiskCall::write || call == DiskCall::allocate) && random_() % 2 == 0) {
    return Errc::disk_full;
  }
  return std::nullopt;
}

Result<void> RealNode::start(replication::Coordinator& coordinator) {
  ++life;
  dying = false;
  published = BatchNo(0);
  auto opened = open(coordinator);
  if (!opened) stop();
  return opened;
}

Result<void> RealNode::open(replication::Coordinator& coordinator) {
  numbers_ = std::make_unique<test::SeededRandom>(random_());
  scheduler_ = std::make_unique<VirtualScheduler>(
      time, random_(), VirtualScheduler::Hooks{[this] { return disk.halted(); }, hooks_.task_done});
  const Environment environment{disk, clock_, *numbers_, *scheduler_,
                                [this](const Error&) { disk.halt(); }};
  log::LogOptions options;
  options.segment_bytes = log::kSegmentBytesMin;
  options.found_tail = log::FoundTail::held;
  options.retention = retention;
  KEELSON_TRY_ASSIGN(auto log, log::PartitionLog::open(disk, kFolder, identity(), options));
  cluster::PromiseStore promises(disk, kFolder, identity());
  KEELSON_TRY_ASSIGN(const replication::Promise promise, promises.load());
  if (promise.epoch < log->last_epoch() || promise.epoch < promised_ever) {
    return fail(Errc::corruption, "the promise of epoch " + std::to_string(promised_ever.value) +
                                      " is lost: " + std::to_string(promise.epoch.value));
  }
  if (log->appended().next_batch < published_ever) {
    return fail(Errc::corruption, "what was published here up to " +
                                      std::to_string(published_ever.value) + " is lost from " +
                                      std::to_string(log->appended().next_batch.value) + " on");
  }
  LogPartitionOptions of_partition;
  of_partition.verify_ahead_bytes = 2u << 10;  // there is little here
  partition = LogPartition::open_replica(environment, std::move(log), of_partition,
                                         scheduler_->make_worker("maintain"));
  cluster::PartitionReplica::Options of;
  of.self = self;
  of.record_key = "partition";
  of.protocol.append_bytes_max = 16u << 10;
  of.protocol.window_bytes_max = 64u << 10;
  if (!retention.keeps_all()) of.retention_waits_for = 500ms;
  replica = std::make_shared<cluster::PartitionReplica>(
      environment, partition, std::move(promises), promise, scheduler_->make_worker("promises"), of,
      cluster::PartitionReplica::Ports{
          coordinator,
          [this](const Member& to, const std::string& message) { hooks_.send(to, message); },
          [this](const Member& to, const std::string& message, const io::FileRegion& region) {
            // The transport's own tests have how both go and come.
            auto whole = *replication::decode_message(message);
            auto bytes = region.file->read_at(region.position, region.length);
            if (!bytes) return;  // as when the connection ends
            if (!cluster::put_together(whole, *std::move(bytes))) return;
            hooks_.send(to, replication::encode_message(whole));
          },
          [](const Member&) { return false; },
          [](const Member& at) { return "node:" + std::to_string(at.node.value); },
          [this](const std::string& what) { hooks_.report(what); }});
  replica->start();
  partition->start_retention();
  up_since_ = time.now();
  return {};
}

void RealNode::stop() {
  if (scheduler_) scheduler_->end();
  replica.reset();
  partition.reset();
  scheduler_.reset();
}

void RealNode::wipe() {
  disk.restore({});
  self.data.bytes[1] = std::byte(std::to_integer<int>(self.data.bytes[1]) + 1);
  published_ever = BatchNo(0);
  promised_ever = Epoch(0);
  read_ever = 0;
}

void RealNode::pause(Moment until) { scheduler_->pause(until); }

}  // namespace keelson::simulation
