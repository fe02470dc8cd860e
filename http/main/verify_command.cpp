#include "http/main/verify_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "engine/io/posix_file_system.h"
#include "engine/store/store_verifier.h"
#include "http/main/command_line.h"

namespace keelson::tools {

namespace {

using Finding = log::LogFinding;

std::string_view name_of(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::lost: return "lost";
    case Finding::Kind::torn: return "torn";
    case Finding::Kind::derived: return "derived";
  }
  return "";
}

std::string_view meaning_of(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::lost: return "restore it from a backup or another replica";
    case Finding::Kind::torn:
      return "cut at the next start: 'Torn or corrupt' in docs/log-format.md";
    case Finding::Kind::derived: return "made again from the log";
  }
  return "";
}

nlohmann::json to_json(const std::vector<Finding>& findings) {
  auto all = nlohmann::json::array();
  for (const Finding& finding : findings) {
    all.push_back(
        {{"kind", name_of(finding.kind)}, {"file", finding.file}, {"what", finding.what}});
  }
  return all;
}

bool has_lost(const std::vector<Finding>& findings) {
  return std::ranges::any_of(
      findings, [](const Finding& finding) { return finding.kind == Finding::Kind::lost; });
}

void print_json(const StoreReport& report) {
  auto partitions = nlohmann::json::array();
  for (const auto& [topic, partition, log] : report.partitions) {
    nlohmann::json one{{"topic", topic},
                       {"partition", partition.value},
                       {"start", log.start.value},
                       {"segments", log.segments},
                       {"batches", log.batches},
                       {"events", log.events},
                       {"bytes", log.bytes},
                       {"intact", !has_lost(log.findings)},
                       {"findings", to_json(log.findings)}};
    if (!has_lost(log.findings)) one["tree_root"] = hex(log.tree_root);
    partitions.push_back(std::move(one));
  }
  const nlohmann::json all{{"intact", report.intact()},
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

void print_table(const StoreReport& report) {
  int width = 5;
  for (const auto& one : report.partitions) {
    width = std::max(width, static_cast<int>(one.topic.size()));
  }
  std::printf("%-*s  partition  segments      batches       events          bytes  tree_root\n",
              width, "topic");
  for (const auto& [topic, partition, log] : report.partitions) {
    const bool lost = has_lost(log.findings);
    std::printf(
        "%-*s  %9u  %8llu  %11llu  %11llu  %13llu  %s\n", width, topic.c_str(), partition.value,
        static_cast<unsigned long long>(log.segments), static_cast<unsigned long long>(log.batches),
        static_cast<unsigned long long>(log.events), static_cast<unsigned long long>(log.bytes),
        lost ? "DAMAGED" : (hex(log.tree_root).substr(0, 16) + "…").c_str());
  }
  print_findings(report.findings);
  for (const auto& one : report.partitions) print_findings(one.log.findings);
  std::printf("\n%s\n", report.intact() ? "Every event is as it was stored."
                                        : "Something is damaged or missing: see above.");
}

/// Shows people how far it is; programs and files get nothing of it.
void show_progress(std::uint64_t read, std::uint64_t all) {
  if (::isatty(STDERR_FILENO) == 0 || all == 0) return;
  std::fprintf(stderr, "\r%3.0f %% of %llu MB",
               100.0 * static_cast<double>(read) / static_cast<double>(all),
               static_cast<unsigned long long>(all >> 20));
  if (read >= all) std::fprintf(stderr, "\r                              \r");
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
  if (const auto ended = parse(parser, arguments)) return *ended;
  if (one->count() > 0) options.topic = topic;
  options.folder = store_folder(data);
  options.progress = show_progress;
  io::PosixFileSystem files;
  const auto report = verify_store(files, options);
  if (!report) return complain(report.error().message());
  json ? print_json(*report) : print_table(*report);
  return report->intact() ? kGood : kBad;
}

}  // namespace keelson::tools
