#include "engine/store/store_verifier.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/io/checked_text.h"
#include "engine/log/segment_files.h"
#include "engine/store/names.h"
#include "engine/store/topic_folder.h"

namespace keelson {

namespace {

using Kind = log::LogFinding::Kind;

constexpr std::uint64_t kRecordBytesMax = 64u << 10;
/// Besides partitions. The last is that of a node of a cluster: engine/cluster/last_records.h.
constexpr std::string_view kTopicFiles[] = {"topic.meta", "topic.making", "last-placement"};
/// A file system's own.
constexpr std::string_view kLostAndFound = "lost+found";

/// A partition that is to be verified.
struct Task {
  std::string topic;
  PartitionId partition;
  std::string folder;
  Uuid identity;
};

bool is_in_topic(std::string_view name, std::uint32_t partitions) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) {
    return number < partitions && name == std::to_string(number);
  }
  if (name.ends_with(".tmp")) name.remove_suffix(4);
  return std::ranges::find(kTopicFiles, name) != std::end(kTopicFiles);
}

/// Verifies one store.
class StoreWalk {
 public:
  StoreWalk(io::FileSystem& files, const VerifyOptions& options)
      : files_(files), options_(options), topics_(options.folder + "/topics") {}

  Result<StoreReport> run() {
    KEELSON_TRY_ASSIGN(const bool there, files_.exists(topics_));
    if (!there) return fail(Errc::not_found, options_.folder + " holds no store");
    KEELSON_TRY_ASSIGN(const auto names, files_.list(topics_));
    if (options_.topic && std::ranges::find(names, *options_.topic) == names.end()) {
      return fail(Errc::not_found,
                  "there is no topic '" + *options_.topic + "' in " + options_.folder);
    }
    for (const std::string& name : names) {
      if (!options_.topic || name == *options_.topic) add_topic(name);
    }
    std::uint64_t all = 0;
    for (const Task& task : tasks_) all += bytes_of(task);
    std::uint64_t read = 0;
    const auto read_bytes = [&](std::uint64_t bytes) {
      read += bytes;
      if (options_.progress) options_.progress(std::min(read, all), all);
    };
    for (Task& task : tasks_) {
      log::LogReport log = log::verify_log(files_, task.folder, task.identity,
                                           {read_bytes, options_.in_use, options_.pause});
      if (options_.check_partition) {
        add(options_.check_partition(files_, task.folder, task.identity), log.findings);
      }
      report_.partitions.push_back({std::move(task.topic), task.partition, std::move(log)});
    }
    return std::move(report_);
  }

 private:
  static void add(std::vector<log::LogFinding> more, std::vector<log::LogFinding>& findings) {
    std::ranges::move(more, std::back_inserter(findings));
  }

  /// Adds the partitions of one topic.
  void add_topic(const std::string& name) {
    const std::string path = topics_ + "/" + name;
    if (!check_topic_name(name, Limits())) {
      if (name != kLostAndFound) {
        report_.findings.push_back({Kind::unknown, path, "no topic has such a name"});
      }
      return;
    }
    if (const auto folder = files_.is_folder(path); folder && !*folder) {
      report_.findings.push_back({Kind::unknown, path, "topics are folders, and this is none"});
      return;
    }
    const auto inside = files_.list(path);
    if (!inside) {
      report_.findings.push_back(log::finding_of(inside.error(), Kind::lost, path));
      return;
    }
    const auto record = TopicFolder(files_, path).read();
    if (!record) {
      report_.findings.push_back(of_record(record.error(), path + "/topic.meta"));
      return;
    }
    if (!*record) return;  // never wholly made
    const std::uint32_t partitions = (*record)->options.partitions;
    for (const std::string& file : *inside) {
      if (is_in_topic(file, partitions)) continue;
      report_.findings.push_back(
          {Kind::unknown, path + "/" + file, "the topic has no such file and no such partition"});
    }
    if (options_.check_topic) add(options_.check_topic(files_, path), report_.findings);
    for (std::uint32_t p = 0; p < partitions; ++p) {
      const PartitionId id(p);
      tasks_.push_back(
          {name, id, path + "/" + std::to_string(p), partition_identity((*record)->id, id)});
    }
  }

  /// @param error  of reading the record.
  [[nodiscard]] log::LogFinding of_record(const Error& error, const std::string& file) const {
    const auto text = io::read_file(files_, file, kRecordBytesMax);
    log::LogFinding finding = log::finding_of_text(error, text, file);
    // With its checksum right it is as it was written: it has a line that is not known here.
    if (text && io::without_checksum(*text)) finding.kind = Kind::unsupported;
    return finding;
  }

  /// Of a partition's segment files, for showing progress alone.
  std::uint64_t bytes_of(const Task& task) {
    const auto names = files_.list(task.folder);
    if (!names) return 0;
    std::uint64_t bytes = 0;
    for (const log::SegmentOnDisk& segment : log::find_segments(*names)) {
      const auto file = files_.open(
          log::segment_file(task.folder + "/" + segment.name, segment.form), io::OpenMode::read);
      if (file) bytes += (*file)->size().value_or(0);
    }
    return bytes;
  }

  io::FileSystem& files_;
  const VerifyOptions& options_;
  const std::string topics_;
  std::vector<Task> tasks_;
  StoreReport report_;
};

}  // namespace

log::LogVerdict StoreReport::verdict() const {
  log::LogVerdict verdict = log::verdict_of(findings);
  for (const auto& partition : partitions) verdict = log::worse(verdict, partition.log.verdict());
  return verdict;
}

Result<StoreReport> verify_store(io::FileSystem& files, const VerifyOptions& options) {
  return StoreWalk(files, options).run();
}

}  // namespace keelson
