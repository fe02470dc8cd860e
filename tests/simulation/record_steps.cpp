#include "tests/simulation/record_steps.h"

namespace keelson::simulation {

using replication::MemberList;
using replication::PartitionRecord;

bool is_one_step(const PartitionRecord& last, const PartitionRecord& next) {
  if (next.generation != last.generation) return next.generation > last.generation;
  const bool same_leader = next.leader == last.leader;
  const bool same_members = next.replicas == last.replicas;
  if (next.epoch == last.epoch) {
    // A change of members ends.
    return same_leader && same_members && last.changing() && !next.changing();
  }
  if (next.epoch != last.epoch + 1 || !next.leader) return false;
  if (same_members && next.old_replicas == last.old_replicas) return true;  // an election
  if (!last.changing() && next.changing()) return same_leader && next.old_replicas == last.replicas;
  if (next.changing()) return false;
  const bool taken_back = last.changing() && next.replicas == last.old_replicas;
  return taken_back || next.replicas == MemberList{*next.leader};  // or by force
}

}  // namespace keelson::simulation
