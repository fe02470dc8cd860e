#include "engine/store/store_inspector.h"

#include <algorithm>
#include <utility>

#include "engine/log/cut_copies.h"
#include "engine/store/names.h"
#include "engine/store/topic_folder.h"

namespace keelson {

Result<std::vector<TopicInfo>> StoreInspector::topics() const {
  const std::string folder = folder_ + "/topics";
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(folder));
  if (!there) return fail(Errc::not_found, folder_ + " holds no store");
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder));
  std::vector<TopicInfo> topics;
  for (const std::string& name : names) {
    if (!check_topic_name(name, Limits())) continue;  // `lost+found`, say
    KEELSON_TRY_ASSIGN(const bool is_folder, files_.is_folder(folder + "/" + name));
    if (!is_folder) continue;
    const auto record = TopicFolder(files_, folder + "/" + name).read();
    if (!record) topics.push_back({name, {}, record.error()});
    if (record && *record) topics.push_back({name, (*record)->options});
  }
  return topics;
}

Result<log::LogInspector> StoreInspector::partition(const std::string& topic,
                                                    PartitionId partition) const {
  KEELSON_TRY_ASSIGN(const Place place, place_of(topic, partition));
  return log::LogInspector(files_, place.folder, place.identity);
}

Result<std::vector<std::string>> StoreInspector::cuts(const std::string& topic,
                                                      PartitionId partition) const {
  KEELSON_TRY_ASSIGN(const Place place, place_of(topic, partition));
  return log::list_cuts(files_, place.folder);
}

Result<log::LogInspector> StoreInspector::cut(const std::string& topic, PartitionId partition,
                                              const std::string& name) const {
  KEELSON_TRY_ASSIGN(const Place place, place_of(topic, partition));
  KEELSON_TRY_ASSIGN(const auto all, log::list_cuts(files_, place.folder));
  if (std::ranges::find(all, name) == all.end()) {
    return fail(Errc::not_found, "there is no cut '" + name + "' in " + place.folder);
  }
  return log::LogInspector(files_, log::cut_folder(place.folder) + "/" + name, place.identity);
}

Result<StoreInspector::Place> StoreInspector::place_of(const std::string& topic,
                                                       PartitionId partition) const {
  const std::string topics = folder_ + "/topics";
  const auto no_topic = [&] {
    return fail(Errc::not_found, "there is no topic '" + topic + "' in " + folder_);
  };
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(topics));
  if (!there) return fail(Errc::not_found, folder_ + " holds no store");
  KEELSON_TRY_ASSIGN(const auto names, files_.list(topics));
  if (std::ranges::find(names, topic) == names.end()) return no_topic();
  const std::string folder = topics + "/" + topic;
  KEELSON_TRY_ASSIGN(const auto record, TopicFolder(files_, folder).read());
  if (!record) return no_topic();
  if (partition.value >= record->options.partitions) {
    return fail(Errc::not_found, "topic '" + topic + "' has " +
                                     std::to_string(record->options.partitions) + " partitions");
  }
  return Place{folder + "/" + std::to_string(partition.value),
               partition_identity(record->id, partition)};
}

}  // namespace keelson
