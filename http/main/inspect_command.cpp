#include "http/main/inspect_command.h"

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/io/posix_file_system.h"
#include "engine/store/store_inspector.h"
#include "http/main/command_line.h"
#include "http/rfc3339.h"

namespace keelson::tools {

namespace {

using nlohmann::json;
using Cells = std::vector<std::string>;

struct InspectOptions {
  std::string data;
  std::string topic;
  std::uint32_t partition = 0;
  bool cuts = false;
  std::string cut;
  std::optional<std::uint64_t> batches_from;
  std::size_t limit = 100;
  std::optional<std::uint64_t> event;
  bool json = false;
};

/// What a user sees of one thing, in the order of its fields.
using Fields = std::vector<std::pair<std::string, json>>;

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json object_of(const Fields& fields) {
  auto object = json::object();
  for (const auto& [name, value] : fields) object[name] = value;
  return object;
}

void print(const json& value) {
  std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
}

/// Columns as wide as what stands in them; numbers to the right.
void print_table(const std::vector<Fields>& rows) {
  if (rows.empty()) return;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < rows.front().size(); ++i) {
    std::size_t width = rows.front()[i].first.size();
    for (const Fields& row : rows) width = std::max(width, text_of(row[i].second).size());
    widths.push_back(width);
  }
  const auto print_cell = [&](std::size_t i, const std::string& text, bool right) {
    const int width = static_cast<int>(widths[i]);
    std::printf(right ? "%s%*s" : "%s%-*s", i == 0 ? "" : "  ", width, text.c_str());
  };
  for (std::size_t i = 0; i < widths.size(); ++i) {
    print_cell(i, rows.front()[i].first, rows.front()[i].second.is_number());
  }
  std::printf("\n");
  for (const Fields& row : rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      print_cell(i, text_of(row[i].second), row[i].second.is_number());
    }
    std::printf("\n");
  }
}

void print_rows(const std::vector<Fields>& rows, const std::string& name, bool as_json) {
  if (!as_json) return print_table(rows);
  auto all = json::array();
  for (const Fields& row : rows) all.push_back(object_of(row));
  print({{name, std::move(all)}});
}

int show_topics(const StoreInspector& store, bool as_json) {
  const auto topics = store.topics();
  if (!topics) return complain(topics.error().message());
  std::vector<Fields> rows;
  for (const TopicInfo& topic : *topics) {
    rows.push_back({{"topic", topic.name},
                    {"partitions", topic.options.partitions},
                    {"durability", topic.options.durability == Durability::fsync ? "fsync" : "os"},
                    {"segment_bytes", topic.options.segment_bytes}});
  }
  print_rows(rows, "topics", as_json);
  return kGood;
}

/// What a replica has cut from its log, each copy with its one segment.
int show_cuts(const StoreInspector& store, const InspectOptions& options) {
  const PartitionId partition(options.partition);
  const auto names = store.cuts(options.topic, partition);
  if (!names) return complain(names.error().message());
  std::vector<Fields> rows;
  for (const std::string& name : *names) {
    const auto log = store.cut(options.topic, partition, name);
    if (!log) return complain(log.error().message());
    const auto segments = log->segments();
    if (!segments) return complain(segments.error().message());
    for (const log::SegmentInfo& segment : *segments) {
      rows.push_back({{"cut", name},
                      {"first_batch", segment.start.next_batch.value},
                      {"first_offset", segment.start.end.value},
                      {"bytes", segment.bytes},
                      {"file", segment.file}});
    }
  }
  print_rows(rows, "cuts", options.json);
  return kGood;
}

int show_segments(const log::LogInspector& log, bool as_json) {
  const auto segments = log.segments();
  if (!segments) return complain(segments.error().message());
  std::vector<Fields> rows;
  for (const log::SegmentInfo& segment : *segments) {
    rows.push_back({{"first_batch", segment.start.next_batch.value},
                    {"first_offset", segment.start.end.value},
                    {"bytes", segment.bytes},
                    {"sealed", segment.indexed},
                    {"file", segment.file}});
  }
  print_rows(rows, "segments", as_json);
  return kGood;
}

Fields fields_of(const log::BatchInfo& batch) {
  const log::BatchHeader& header = batch.header;
  return {{"batch", header.batch_no.value},
          {"kind", header.kind == log::BatchKind::control ? "control" : "events"},
          {"epoch", header.epoch.value},
          {"base_offset", header.base_offset.value},
          {"events", header.event_count},
          {"commits", header.commit_count},
          {"bytes", header.length},
          {"time", http::to_rfc3339(header.time)},
          {"tree_root", hex(header.tree_root)},
          {"position", batch.position},
          {"file", batch.file}};
}

int show_batches(const log::LogInspector& log, const InspectOptions& options) {
  const auto batches = log.batches(BatchNo(*options.batches_from), options.limit);
  if (!batches) return complain(batches.error().message());
  std::vector<Fields> rows;
  for (const log::BatchInfo& batch : *batches) rows.push_back(fields_of(batch));
  print_rows(rows, "batches", options.json);
  return kGood;
}

/// As JSON when it is that, which it need not be.
json payload(const std::string& bytes) {
  json value = json::parse(bytes, nullptr, false);
  return value.is_discarded() ? json(bytes) : value;
}

int show_event(const log::LogInspector& log, const InspectOptions& options) {
  const auto event = log.event(Offset(*options.event));
  if (!event) return complain(event.error().message());
  if (!*event) return complain("offset " + std::to_string(*options.event) + " is past the end");
  const log::EventInfo& e = **event;
  Fields fields{{"partition", options.partition},
                {"offset", e.offset.value},
                {"stream", e.stream},
                {"version", e.version.value},
                {"type", e.type},
                {"time", http::to_rfc3339(e.time)},
                {"data", payload(e.data)}};
  if (!e.metadata.empty()) fields.emplace_back("metadata", payload(e.metadata));
  if (!e.command_id.empty()) {
    fields.emplace_back("command_id", e.command_id);
    fields.emplace_back("principal", e.principal);
  }
  fields.emplace_back("leaf_hash", hex(e.leaf_hash));
  fields.emplace_back("batch", e.batch.header.batch_no.value);
  fields.emplace_back("epoch", e.batch.header.epoch.value);
  fields.emplace_back("position", e.batch.position);
  fields.emplace_back("file", e.batch.file);
  if (options.json) {
    print(object_of(fields));
    return kGood;
  }
  for (const auto& [name, value] : fields) {
    std::printf("%-10s  %s\n", name.c_str(), text_of(value).c_str());
  }
  return kGood;
}

int inspect(const InspectOptions& options) {
  io::PosixFileSystem files;
  const StoreInspector store(files, store_folder(options.data));
  if (options.topic.empty()) return show_topics(store, options.json);
  if (options.cuts) return show_cuts(store, options);
  const PartitionId partition(options.partition);
  const auto log = options.cut.empty() ? store.partition(options.topic, partition)
                                       : store.cut(options.topic, partition, options.cut);
  if (!log) return complain(log.error().message());
  if (options.event) return show_event(*log, options);
  if (options.batches_from) return show_batches(*log, options);
  return show_segments(*log, options.json);
}

}  // namespace

int run_inspect(const std::vector<std::string>& arguments) {
  constexpr std::size_t kBatchesMax = 100'000;
  // CLI11 reads -1 as the largest number otherwise.
  const CLI::Range kWholeNumber(std::uint64_t{0}, std::uint64_t{INT64_MAX});
  CLI::App parser("Shows what a data folder holds, of a server that runs or not",
                  "keelson inspect");
  InspectOptions options;
  parser.add_option("--data", options.data, "The data folder")->required();
  CLI::Option* const topic =
      parser.add_option("--topic", options.topic, "Its segments, instead of the topics");
  parser.add_option("--partition", options.partition, "Of the topic; 0 by default")
      ->needs(topic)
      ->check(kWholeNumber);
  CLI::Option* const cuts =
      parser.add_flag("--cuts", options.cuts, "What was cut from the log, and is kept")
          ->needs(topic);
  parser.add_option("--cut", options.cut, "Look into one of these, instead of the log")
      ->needs(topic)
      ->excludes(cuts);
  CLI::Option* const batches =
      parser.add_option("--batches", options.batches_from, "Batches from this number on")
          ->needs(topic)
          ->check(kWholeNumber);
  parser.add_option("--limit", options.limit, "How many batches; 100 by default")
      ->needs(batches)
      ->check(CLI::Range(std::size_t{1}, kBatchesMax));
  parser.add_option("--event", options.event, "The event at this offset")
      ->needs(topic)
      ->check(kWholeNumber)
      ->excludes(batches);
  parser.add_flag("--json", options.json, "One JSON object, for programs");
  if (const auto ended = parse(parser, arguments)) return *ended;
  return inspect(options);
}

}  // namespace keelson::tools
