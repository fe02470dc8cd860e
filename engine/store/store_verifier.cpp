#include "engine/store/store_verifier.h"

#include <algorithm>
#include <utility>

#include "engine/log/open_segment.h"
#include "engine/log/segment_files.h"
#include "engine/store/topic_folder.h"

namespace keelson {

namespace {

using Kind = log::LogFinding::Kind;

/// A partition that is to be verified.
struct Task {
  std::string topic;
  PartitionId partition;
  std::string folder;
  Uuid identity;
};

bool lost(const std::vector<log::LogFinding>& findings) {
  return std::ranges::any_of(findings,
                             [](const auto& finding) { return finding.kind == Kind::lost; });
}

/// Adds the partitions of one topic.
Result<void> add_topic(io::FileSystem& files, const std::string& path, const std::string& name,
                       std::vector<Task>& tasks, StoreReport& report) {
  const auto record = TopicFolder(files, path).read();
  if (!record && record.error().code != Errc::corruption &&
      record.error().code != Errc::unsupported_format) {
    return std::unexpected(record.error());
  }
  if (!record) {
    report.findings.push_back({Kind::lost, path, record.error().context});
    return {};
  }
  if (!*record) return {};  // never wholly made
  for (std::uint32_t p = 0; p < (*record)->options.partitions; ++p) {
    const PartitionId id(p);
    tasks.push_back(
        {name, id, path + "/" + std::to_string(p), partition_identity((*record)->id, id)});
  }
  return {};
}

Result<std::uint64_t> segment_bytes(io::FileSystem& files, const std::string& folder) {
  KEELSON_TRY_ASSIGN(const bool there, files.exists(folder));
  if (!there) return 0;
  KEELSON_TRY_ASSIGN(const auto names, files.list(folder));
  std::uint64_t bytes = 0;
  for (const log::SegmentOnDisk& segment : log::find_segments(names)) {
    const auto file =
        log::SegmentFile::open_form(files, folder + "/" + segment.name, segment.form, {});
    if (file) bytes += (*file)->bytes.size();  // what cannot be opened is found by who verifies it
  }
  return bytes;
}

}  // namespace

bool StoreReport::intact() const {
  return !lost(findings) && std::ranges::none_of(partitions, [](const auto& partition) {
    return lost(partition.log.findings);
  });
}

Result<StoreReport> verify_store(io::FileSystem& files, const VerifyOptions& options) {
  const std::string topics = options.folder + "/topics";
  KEELSON_TRY_ASSIGN(const bool there, files.exists(topics));
  if (!there) return fail(Errc::not_found, options.folder + " holds no store");
  KEELSON_TRY_ASSIGN(const auto names, files.list(topics));
  if (options.topic && std::ranges::find(names, *options.topic) == names.end()) {
    return fail(Errc::not_found, "there is no topic '" + *options.topic + "' in " + options.folder);
  }
  StoreReport report;
  std::vector<Task> tasks;
  for (const std::string& name : names) {
    if (options.topic && name != *options.topic) continue;
    KEELSON_TRY(add_topic(files, topics + "/" + name, name, tasks, report));
  }
  std::uint64_t all = 0;
  for (const Task& task : tasks) {
    KEELSON_TRY_ASSIGN(const std::uint64_t bytes, segment_bytes(files, task.folder));
    all += bytes;
  }
  std::uint64_t read = 0;
  for (Task& task : tasks) {
    KEELSON_TRY_ASSIGN(auto log,
                       log::verify_log(files, task.folder, task.identity, [&](std::uint64_t bytes) {
                         read += bytes;
                         if (options.progress) {
                           options.progress(std::min(read, all), all);
                         }
                       }));
    report.partitions.push_back({std::move(task.topic), task.partition, std::move(log)});
  }
  return report;
}

}  // namespace keelson
