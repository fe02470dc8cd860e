#include "engine/cluster/kept_records.h"

#include <cstdint>
#include <utility>

#include "engine/cluster/last_records.h"
#include "engine/cluster/promise_store.h"

namespace keelson::cluster {

namespace {

constexpr std::uint64_t kBytesMax = 4u << 20;

template <class T>
void check(io::FileSystem& files, const std::string& path, const Result<T>& loaded,
           std::vector<log::LogFinding>& findings) {
  if (loaded) return;
  findings.push_back(
      log::finding_of_text(loaded.error(), io::read_file(files, path, kBytesMax), path));
}

}  // namespace

std::vector<log::LogFinding> check_kept_of_partition(io::FileSystem& files,
                                                     const std::string& folder,
                                                     const Uuid& partition) {
  std::vector<log::LogFinding> findings;
  check(files, folder + "/promise", PromiseStore(files, folder, partition).read(), findings);
  check(files, folder + "/last-record", load_last_record(files, folder, partition), findings);
  return findings;
}

std::vector<log::LogFinding> check_kept_of_topic(io::FileSystem& files, const std::string& folder) {
  std::vector<log::LogFinding> findings;
  check(files, folder + "/last-placement", load_last_placement(files, folder), findings);
  return findings;
}

}  // namespace keelson::cluster
