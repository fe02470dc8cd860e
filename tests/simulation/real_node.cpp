#include "tests/simulation/real_node.h"

#include <utility>

namespace keelson::simulation {

using namespace std::chrono_literals;
using Start = VirtualScheduler::Start;

RealNode::Process::Process(RealNode& node)
    : files(node.disk, "boot-" + std::to_string(node.boots), node.lies_,
            {node.hooks_.rare_call, [&node] { return node.full || node.full_for_good; }}),
      numbers(node.random_()),
      scheduler(
          node.world_.time, node.random_(),
          VirtualScheduler::Hooks{[&node] { return node.disk.halted(); }, node.hooks_.task_done}),
      at_coordinator(std::make_shared<SimulatedCoordinator::Process>()) {
  at_coordinator->awake = [&node] { return node.up() && node.asleep_for() == Moment(0); };
  at_coordinator->starting = true;
}

RealNode::RealNode(World& world, std::size_t its_number, const Lies& lies, Hooks hooks)
    : number(its_number),
      name("node " + std::to_string(its_number)),
      disk(world.numbers()),
      world_(world),
      lies_(lies),
      hooks_(std::move(hooks)),
      random_(world.numbers()),
      clock_(world.time, static_cast<std::int64_t>(random_() % 2'000'000)) {
  disk.set_fault([this](DiskCall call, const std::string&) { return on_disk_call(call); });
}

RealNode::~RealNode() = default;

std::optional<Errc> RealNode::on_disk_call(DiskCall call) {
  const bool syncs = call == DiskCall::sync || call == DiskCall::sync_folder;
  const std::uint64_t us = syncs  ? (slow ? 20'000 + random_() % 600'000 : 100 + random_() % 1'500)
                           : slow ? 100 + random_() % 20'000
                                  : 5 + random_() % 50;
  world_.time.spend(std::chrono::microseconds(us));
  const std::optional<Errc> failure = failure_of(call);
  if (failure && starting()) process_->fail_start();
  return failure;
}

std::optional<Errc> RealNode::failure_of(DiskCall call) {
  if (call == DiskCall::sync && std::exchange(fail_sync, false)) return Errc::io_error;
  if (call != DiskCall::write && call != DiskCall::allocate) return std::nullopt;
  // Now and then there is room, but none comes for a start that has found none.
  const bool refused = full_for_good || (full && (random_() % 2 == 0 || starting_in_vain()));
  return refused ? std::optional(Errc::disk_full) : std::nullopt;
}

Result<void> RealNode::start(SimulatedCoordinator& coordinator, SimulatedNetwork& network) {
  ++life;
  dying = false;
  up_since_ = Moment::max();
  process_ = std::make_unique<Process>(*this);
  Process& process = *process_;
  process.coordinator = coordinator.connect(process.at_coordinator);
  const Environment environment{process.files, clock_, process.numbers, process.scheduler,
                                [this, &process](const Error&) {
                                  if (!process.over) disk.halt();
                                }};
  StoreOptions options;
  options.folder = kFolder;
  cluster::ClusterStoreOptions in_cluster;
  in_cluster.name = {id_of(number), kCluster};
  in_cluster.http_address = "node-" + std::to_string(number) + ":8080";
  in_cluster.version = "1";
  in_cluster.protocol.append_bytes_max = 16u << 10;
  in_cluster.protocol.window_bytes_max = 64u << 10;
  in_cluster.give_away_time = 0ms;
  in_cluster.retention_waits_for = 0s;
  // Who does not get its folder at once is started again.
  in_cluster.claim_patience = in_cluster.claim_quiet = 0s;
  in_cluster.report = [this, &process](const std::string& what) {
    if (process.over || disk.halted()) return;
    hooks_.report(what);
    // With no patience it is refused.
    if (what.contains("has shown a sign of life")) process.fail_start();
  };
  // A start that waits for room would wait in real time: it ends, and is tried again.
  in_cluster.give_up = [&process] { return process.in_vain; };
  process.scheduler.set_start(Start::going_on);
  KEELSON_TRY_ASSIGN(
      process.store,
      cluster::ClusterStore::open(
          environment, options, in_cluster, *process.coordinator,
          [&](const Member& member,
              const replication::Incarnation&) -> Result<cluster::ClusterStore::Transporting> {
            self = member;
            return cluster::ClusterStore::Transporting{
                network.attach(number, member,
                               {[this] { return up(); }, [this] { return asleep_for(); }}),
                SimulatedNetwork::address_of(number)};
          }));
  process.scheduler.set_start(Start::no);
  process.at_coordinator->starting = false;
  process.files.end_start();
  up_since_ = world_.now();
  const auto damage = process.store->damage();
  if (!damage.empty()) return std::unexpected(damage.front().error);
  return {};
}

void RealNode::stop(SimulatedNetwork& network) {
  if (!process_) return;
  network.detach(number);
  process_->over = process_->at_coordinator->over = true;
  process_->files.end();
  for (SeenReplica& seen : replicas) {
    seen.replica.reset();
    seen.published = BatchNo(0);
  }
  const Moment spent = world_.time.spent();
  process_->scheduler.unwind();
  process_.reset();
  world_.time.forget_spent_since(spent);
}

void RealNode::wipe() {
  disk.replace();
  self.reset();
  replicas.assign(replicas.size(), {});
}

void RealNode::pause(Moment until) {
  if (process_) process_->scheduler.pause(until);
}

void RealNode::hang_disk(Moment until) {
  if (process_) process_->scheduler.hold_workers(until);
}

void RealNode::cut_off_coordinator(Moment until) {
  if (process_) process_->at_coordinator->cut_off_until = until;
}

}  // namespace keelson::simulation
