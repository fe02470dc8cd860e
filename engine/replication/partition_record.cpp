#include "engine/replication/partition_record.h"

#include <algorithm>

#include "engine/replication/record_text.h"

namespace keelson::replication {

namespace {

constexpr std::string_view kTitle = "keelson partition 1\n";

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "record of a partition: " + std::string(what));
}

}  // namespace

MemberList PartitionRecord::members() const {
  MemberList all = replicas;
  for (const Member& member : old_replicas) {
    if (!contains(all, member)) all.push_back(member);
  }
  return all;
}

Result<void> check_members(const MemberList& list) {
  if (list.empty() || list.size() > kMembersMax) {
    return fail(Errc::bad_request, "a partition has 1…" + std::to_string(kMembersMax) +
                                       " replicas, not " + std::to_string(list.size()));
  }
  for (const Member& member : list) {
    if (std::ranges::count(list, member) > 1) {
      return fail(Errc::bad_request, "node " + std::to_string(member.node.value) +
                                         " is named twice as a replica of a partition");
    }
  }
  return {};
}

std::string encode_partition_record(const PartitionRecord& record) {
  std::string text(kTitle);
  text += "epoch " + std::to_string(record.epoch.value) + "\n";
  text += "leader " + (record.leader ? text_of(*record.leader) : "") + "\n";
  text += "replicas " + text_of(record.replicas) + "\n";
  text += "old_replicas " + text_of(record.old_replicas) + "\n";
  if (record.generation != 0) {
    text += "generation " + std::to_string(record.generation) + "\n";
  }
  return text;
}

Result<PartitionRecord> decode_partition_record(std::string_view text) {
  if (!text.starts_with(kTitle)) return damaged("title");
  text.remove_prefix(kTitle.size());
  PartitionRecord record;
  const auto epoch_text = take_line(text, "epoch");
  const auto epoch = epoch_text ? number_from<Epoch::rep>(*epoch_text) : std::nullopt;
  if (!epoch) return damaged("epoch");
  record.epoch = Epoch(*epoch);
  const auto leader = take_line(text, "leader");
  if (!leader) return damaged("leader");
  if (!leader->empty()) {
    record.leader = member_from(*leader);
    if (!record.leader) return damaged("leader");
  }
  const auto replicas_text = take_line(text, "replicas");
  auto replicas = replicas_text ? list_from(*replicas_text) : std::nullopt;
  if (!replicas || replicas->empty()) return damaged("replicas");
  record.replicas = *std::move(replicas);
  const auto old_text = take_line(text, "old_replicas");
  auto old_replicas = old_text ? list_from(*old_text) : std::nullopt;
  if (!old_replicas) return damaged("old_replicas");
  record.old_replicas = *std::move(old_replicas);
  if (const auto generation_text = take_line(text, "generation")) {
    const auto generation = number_from<std::uint64_t>(*generation_text);
    if (!generation || *generation == 0) return damaged("generation");
    record.generation = *generation;
  }
  if (!text.empty()) return damaged("more lines");
  return record;
}

}  // namespace keelson::replication
