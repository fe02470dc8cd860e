#include "http/main/verify_command.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <thread>
#include <utility>

#include "engine/cluster/kept_records.h"
#include "engine/io/posix_file_system.h"
#include "engine/store/store.h"
#include "engine/store/store_verifier.h"
#include "http/main/command_line.h"

namespace keelson::tools {

namespace {

using Finding = log::LogFinding;
using log::LogVerdict;

/// Before what a server may just be writing is looked at again.
constexpr std::chrono::milliseconds kPause{100};

std::string_view name_of(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::lost: return "lost";
    case Finding::Kind::unreadable: return "unreadable";
    case Finding::Kind::unsupported: return "unsupported";
    case Finding::Kind::undecided: return "undecided";
    case Finding::Kind::unfinished: return "unfinished";
    case Finding::Kind::derived: return "derived";
    case Finding::Kind::unknown: return "unknown";
  }
  return "";
}

std::string_view meaning_of(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::lost: return "restore it from a backup or another replica";
    case Finding::Kind::unreadable:
      return "the system does not give it: look at the disk and at who may read it, then verify "
             "again";
    case Finding::Kind::unsupported:
      return "a newer Keelson wrote it: verify and serve it with that one";
    case Finding::Kind::undecided:
      return "the next start cuts the log there and keeps what may be a batch in cut/; another "
             "replica, or a backup made since, tells whether an event is missing: 'Torn or "
             "corrupt' in docs/log-format.md";
    case Finding::Kind::unfinished: return "a start finishes it; nobody was told of what goes";
    case Finding::Kind::derived: return "made again from the log";
    case Finding::Kind::unknown: return "nothing is missing; move it away if nobody needs it";
  }
  return "";
}

std::string_view name_of(LogVerdict verdict) {
  switch (verdict) {
    case LogVerdict::intact: return "intact";
    case LogVerdict::undecided: return "undecided";
    case LogVerdict::damaged: return "damaged";
  }
  return "";
}

nlohmann::json to_json(const std::vector<Finding>& findings) {
  auto all = nlohmann::json::array();
  for (const Finding& finding : findings) {
    nlohmann::json one{
        {"kind", name_of(finding.kind)}, {"file", finding.file}, {"what", finding.what}};
    if (finding.position) one["position"] = *finding.position;
    all.push_back(std::move(one));
  }
  return all;
}

void print_json(const StoreReport& report) {
  auto partitions = nlohmann::json::array();
  for (const auto& [topic, partition, log] : report.partitions) {
    const LogVerdict verdict = log.verdict();
    nlohmann::json one{{"topic", topic},
                       {"partition", partition.value},
                       {"start", log.start.value},
                       {"segments", log.segments},
                       {"batches", log.batches},
                       {"events", log.events},
                       {"bytes", log.bytes},
                       {"intact", verdict == LogVerdict::intact},
                       {"verdict", name_of(verdict)},
                       {"findings", to_json(log.findings)}};
    if (verdict != LogVerdict::damaged) one["tree_root"] = hex(log.tree_root);
    partitions.push_back(std::move(one));
  }
  const nlohmann::json all{{"intact", report.verdict() == LogVerdict::intact},
                           {"verdict", name_of(report.verdict())},
                           {"partitions", std::move(partitions)},
                           {"findings", to_json(report.findings)}};
  const auto text = all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

void print_findings(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    std::printf("\n%s: %s\n  %s: %s\n", std::string(name_of(finding.kind)).c_str(),
                finding.file.c_str(), finding.what.c_str(),
                std::string(meaning_of(finding.kind)).c_str());
  }
}

std::string root_of(const log::LogReport& log) {
  switch (log.verdict()) {
    case LogVerdict::intact: return hex(log.tree_root).substr(0, 16) + "…";
    case LogVerdict::undecided: return "UNDECIDED";
    case LogVerdict::damaged: return "DAMAGED";
  }
  return "";
}

const char* summary_of(LogVerdict verdict) {
  switch (verdict) {
    case LogVerdict::intact: return "Every event is as it was stored.";
    case LogVerdict::undecided:
      return "Every event that is whole is as it was stored; whether one is missing at the end "
             "cannot be told: see above.";
    case LogVerdict::damaged: return "Something is damaged, missing or cannot be read: see above.";
  }
  return "";
}

void print_table(const StoreReport& report) {
  int width = 5;
  for (const auto& one : report.partitions) {
    width = std::max(width, static_cast<int>(one.topic.size()));
  }
  std::printf("%-*s  partition  segments      batches       events          bytes  tree_root\n",
              width, "topic");
  for (const auto& [topic, partition, log] : report.partitions) {
    std::printf("%-*s  %9u  %8llu  %11llu  %11llu  %13llu  %s\n", width, topic.c_str(),
                partition.value, static_cast<unsigned long long>(log.segments),
                static_cast<unsigned long long>(log.batches),
                static_cast<unsigned long long>(log.events),
                static_cast<unsigned long long>(log.bytes), root_of(log).c_str());
  }
  print_findings(report.findings);
  for (const auto& one : report.partitions) print_findings(one.log.findings);
  std::printf("\n%s\n", summary_of(report.verdict()));
}

/// Shows people how far it is; programs and files get nothing of it.
void show_progress(std::uint64_t read, std::uint64_t all) {
  if (::isatty(STDERR_FILENO) == 0 || all == 0) return;
  std::fprintf(stderr, "\r%3.0f %% of %llu MB",
               100.0 * static_cast<double>(read) / static_cast<double>(all),
               static_cast<unsigned long long>(all >> 20));
  if (read >= all) std::fprintf(stderr, "\r                              \r");
}

/// Whether a process has the store's lock. Asked only when something looks amiss: for an instant
/// it shares the lock, if nobody has it.
bool is_served(const std::string& store) {
  const std::string path = store + "/" + std::string(kFolderLock);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool served = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return served;
}

int status_of(LogVerdict verdict) {
  switch (verdict) {
    case LogVerdict::intact: return kGood;
    case LogVerdict::undecided: return kUndecided;
    case LogVerdict::damaged: return kFound;
  }
  return kFound;
}

}  // namespace

int run_verify(const std::vector<std::string>& arguments) {
  CLI::App parser("Checks all that a data folder holds: every batch, number, hash and index",
                  "keelson verify");
  VerifyOptions options;
  std::string topic;
  bool json = false;
  std::string data;
  parser.add_option("--data", data, "The data folder, of a server that runs or not")->required();
  CLI::Option* const one = parser.add_option("--topic", topic, "This topic only");
  parser.add_flag("--json", json, "One JSON object, for programs");
  parser.footer(
      "Ends with 0 when every event is as it was stored, 1 when something is damaged, missing or\n"
      "cannot be read, 3 when that cannot be told of the end of a log alone, and 2 when it could\n"
      "not be done.\n");
  if (const auto ended = parse(parser, arguments, true)) return *ended;
  if (data.empty()) return refuse({Errc::bad_request, "--data is empty", {}}, json);
  if (one->count() > 0 && topic.empty()) {
    return refuse({Errc::bad_request, "--topic is empty", {}}, json);
  }
  if (one->count() > 0) options.topic = topic;
  options.folder = store_folder(data);
  options.progress = show_progress;
  options.in_use = [&] { return is_served(options.folder); };
  options.pause = [] { std::this_thread::sleep_for(kPause); };
  options.check_partition = cluster::check_kept_of_partition;
  options.check_topic = cluster::check_kept_of_topic;
  io::PosixFileSystem files;
  const auto report = verify_store(files, options);
  if (!report) return refuse(report.error(), json);
  json ? print_json(*report) : print_table(*report);
  return finish(status_of(report->verdict()));
}

}  // namespace keelson::tools
