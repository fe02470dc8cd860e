#include "engine/cluster/record_rebuild.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace keelson::cluster {

using replication::Member;
using replication::MemberList;
using replication::PartitionRecord;
using replication::Promise;

namespace {

std::string name_of(const Member& member) { return "node " + std::to_string(member.node.value); }

/// Where a record stands in the history of its partition: within an epoch the lists change once,
/// when a change of members ends.
auto place_of(const PartitionRecord& record) {
  return std::tuple(record.generation, record.epoch, !record.changing());
}

/// Of one history: epochs do not go back when revisions go on.
bool forked(const LastRecord& a, const LastRecord& b) {
  if (a.record.generation != b.record.generation) return false;
  return (a.record.epoch < b.record.epoch && a.revision > b.revision) ||
         (b.record.epoch < a.record.epoch && b.revision > a.revision);
}

struct Known {
  std::string by;
  LastRecord last;
};

void check_list(const MemberList& list, const char* what,
                const std::map<Member, PartitionTestimony>& said,
                std::vector<std::string>& doubts) {
  const auto asked = [&](const Member& member) {
    const auto found = said.find(member);
    return found != said.end() && !found->second.damage;
  };
  if (list.empty() || replication::majority(list, asked)) return;
  std::string missing;
  for (const Member& member : list) {
    if (!asked(member)) missing += (missing.empty() ? "" : ", ") + name_of(member);
  }
  doubts.push_back("no majority of its " + std::string(what) + " was asked, " + missing +
                   (missing.find(',') == std::string::npos ? " is" : " are") + " missing");
}

}  // namespace

Result<RebuiltRecord> rebuild_record(const std::map<Member, PartitionTestimony>& said,
                                     const std::optional<LastRecord>& there,
                                     const MemberList& began, std::uint64_t generation) {
  RebuiltRecord rebuilt;
  std::vector<Known> all;
  for (const auto& [member, testimony] : said) {
    if (testimony.last) all.push_back({name_of(member), *testimony.last});
  }
  if (there) all.push_back({"the coordinator", *there});
  for (const Known& one : all) {
    if (!rebuilt.known || place_of(rebuilt.known->record) < place_of(one.last.record)) {
      rebuilt.known = one.last;
    }
  }
  for (const Known& one : all) {
    if (place_of(one.last.record) == place_of(rebuilt.known->record) &&
        one.last.record != rebuilt.known->record) {
      return fail(Errc::corruption, one.by + " knows another record of epoch " +
                                        std::to_string(one.last.record.epoch.value) +
                                        " than another does");
    }
    if (forked(one.last, *rebuilt.known)) {
      rebuilt.doubts.push_back(one.by + " knows a later record of an earlier epoch, " +
                               std::to_string(one.last.record.epoch.value) +
                               ": the coordinator went on after it had gone back");
    }
  }
  Epoch highest = rebuilt.known ? rebuilt.known->record.epoch : Epoch(0);
  const Epoch known_epoch = highest;
  for (const auto& [member, testimony] : said) {
    highest = std::max({highest, testimony.promise.epoch, testimony.end.epoch});
    const Epoch led = std::max(testimony.promise.led, testimony.end.epoch);
    if (led <= known_epoch) continue;
    rebuilt.doubts.push_back(
        name_of(member) + " has obeyed a leader of epoch " + std::to_string(led.value) +
        ", and the last record known is of epoch " + std::to_string(known_epoch.value) +
        ": since then the members may have changed");
  }
  const bool waited_for =
      std::ranges::any_of(said, [](const auto& one) { return one.second.without_record; });
  const bool stays =
      there && rebuilt.known->record == there->record && highest == known_epoch && !waited_for;
  if (stays && rebuilt.doubts.empty()) return rebuilt;
  if (!rebuilt.known) {
    if (began.empty()) return fail(Errc::not_found, "nobody knows a record of it");
    rebuilt.known = LastRecord{{Epoch(0), std::nullopt, began, {}}, {}};
    if (highest > Epoch(0)) {
      rebuilt.doubts.emplace_back("nobody knows a record of it, only where it began");
    }
  }
  PartitionRecord next = rebuilt.known->record;
  next.generation = generation;
  // A multiple, so that a second try, which asks others perhaps, comes to the same epoch as one
  // that was cut short: whoever has pledged that is not above the record then.
  next.epoch = Epoch((highest.value / kRebuiltEpochGap + 2) * kRebuiltEpochGap);
  next.leader.reset();
  check_list(next.replicas, "replicas", said, rebuilt.doubts);
  check_list(next.old_replicas, "old replicas", said, rebuilt.doubts);
  rebuilt.record = std::move(next);
  return rebuilt;
}

Result<void> check_fenced(const RebuiltRecord& rebuilt, const std::map<Member, Promise>& pledged) {
  for (const auto& [member, before] : pledged) {
    if (before.led > rebuilt.known->record.epoch) {
      return fail(Errc::version_conflict, name_of(member) + " has obeyed a leader of epoch " +
                                              std::to_string(before.led.value) + " meanwhile");
    }
  }
  const PartitionRecord& record = *rebuilt.record;
  if (record.agreed([&](const Member& member) { return pledged.contains(member); })) return {};
  std::string missing;
  for (const Member& member : record.members()) {
    if (!pledged.contains(member)) missing += (missing.empty() ? "" : ", ") + name_of(member);
  }
  return fail(Errc::not_enough_replicas, "no majority could be fenced, without " + missing);
}

}  // namespace keelson::cluster
