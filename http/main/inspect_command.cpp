#include "http/main/inspect_command.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/io/posix_file_system.h"
#include "engine/store/names.h"
#include "engine/store/store_inspector.h"
#include "http/command_line_checks.h"
#include "http/etcd/etcd_client.h"
#include "http/json_text.h"
#include "http/main/command_line.h"
#include "http/rfc3339.h"

namespace keelson::tools {

namespace {

struct InspectOptions {
  std::string data;
  std::optional<std::string> topic;
  std::uint32_t partition = 0;
  bool cuts = false;
  std::optional<std::string> cut;
  std::optional<std::uint64_t> batches_from;
  std::size_t limit = 100;
  std::optional<std::uint64_t> event;
  bool json = false;
};

/// One thing that is shown of another.
struct Field {
  std::string name;
  std::string text;  ///< for people
  std::string json;  ///< for programs
  bool number = false;
};
using Fields = std::vector<Field>;

Field number(std::string name, std::uint64_t value) {
  const std::string text = std::to_string(value);
  return {std::move(name), text, text, true};
}
Field text(std::string name, std::string value) {
  std::string json = http::json_string(value);
  return {std::move(name), std::move(value), std::move(json)};
}
Field yes_or_no(std::string name, bool value) {
  const std::string text = value ? "true" : "false";
  return {std::move(name), text, text};
}

std::string object_of(const Fields& fields) {
  std::string object = "{";
  for (const Field& field : fields) {
    if (object.size() > 1) object += ',';
    http::append_json_string(object, field.name);
    object += ':';
    object += field.json;
  }
  return object += '}';
}

std::string array_of(const std::vector<Fields>& rows) {
  std::string array = "[";
  for (const Fields& row : rows) {
    if (array.size() > 1) array += ',';
    array += object_of(row);
  }
  return array += ']';
}

/// Columns as wide as what stands in them; numbers to the right.
void print_table(const std::vector<Fields>& rows) {
  if (rows.empty()) return;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < rows.front().size(); ++i) {
    std::size_t width = rows.front()[i].name.size();
    for (const Fields& row : rows) width = std::max(width, row[i].text.size());
    widths.push_back(width);
  }
  const auto print_cell = [&](std::size_t i, const std::string& cell, bool right) {
    const int width = static_cast<int>(widths[i]);
    std::printf(right ? "%s%*s" : "%s%-*s", i == 0 ? "" : "  ", width, cell.c_str());
  };
  for (std::size_t i = 0; i < widths.size(); ++i) {
    print_cell(i, rows.front()[i].name, rows.front()[i].number);
  }
  std::printf("\n");
  for (const Fields& row : rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) print_cell(i, row[i].text, row[i].number);
    std::printf("\n");
  }
}

/// What could not be shown: for people a line each on stderr, after what could.
class Gaps {
 public:
  void add(const log::LogGap& gap) {
    Fields row{text("file", gap.file), text("code", std::string(to_string(gap.error.code))),
               text("what", gap.error.context)};
    if (gap.position) row.push_back(number("position", *gap.position));
    std::string line = gap.error.context;
    if (gap.resumes) {
      row.push_back(number("resumes", *gap.resumes));
      line += "; the next batch is at byte " + std::to_string(*gap.resumes);
    } else if (gap.position.value_or(0) > 0) {
      line += "; no batch follows in this file";
    }
    rows_.push_back(std::move(row));
    lines_.push_back(std::move(line));
  }
  void add(const std::string& file, const Error& error) { add(log::LogGap{error, file, {}, {}}); }
  [[nodiscard]] std::string json() const { return array_of(rows_); }
  [[nodiscard]] int tell() const {
    std::fflush(stdout);
    for (const std::string& line : lines_) complain(line);
    return finish(lines_.empty() ? kGood : kFound);
  }

 private:
  std::vector<Fields> rows_;
  std::vector<std::string> lines_;
};

/// @param more  further members of the object, for programs.
int show(const std::vector<Fields>& rows, const std::string& name, const Gaps& gaps, bool json,
         const std::string& more = {}) {
  if (json) {
    std::printf("{\"%s\":%s%s,\"damaged\":%s}\n", name.c_str(), array_of(rows).c_str(),
                more.c_str(), gaps.json().c_str());
  } else {
    print_table(rows);
  }
  return gaps.tell();
}

int refuse(const Error& error, const InspectOptions& options) {
  return tools::refuse(error, options.json, is_damage(error.code) ? kFound : kCannot);
}

std::string name_of(log::Codec codec) { return codec == log::Codec::zstd ? "zstd" : "none"; }

int show_topics(const StoreInspector& store, const InspectOptions& options) {
  const auto topics = store.topics();
  if (!topics) return refuse(topics.error(), options);
  std::vector<Fields> rows;
  Gaps gaps;
  for (const TopicInfo& topic : *topics) {
    if (topic.damage) {
      gaps.add(options.data + "/log/topics/" + topic.name + "/topic.meta", *topic.damage);
      continue;
    }
    const TopicOptions& of = topic.options;
    rows.push_back(
        {text("topic", topic.name), number("partitions", of.partitions),
         text("durability", of.durability == Durability::fsync ? "fsync" : "os"),
         number("segment_bytes", of.segment_bytes),
         number("retention_seconds", static_cast<std::uint64_t>(of.retention.age.count())),
         number("retention_bytes", of.retention.bytes), text("codec", name_of(of.codec)),
         text("sealed_codec", name_of(of.sealed_codec)),
         number("replication_factor", of.replication_factor)});
  }
  return show(rows, "topics", gaps, options.json);
}

/// What has been cut from a log, each copy with its one segment.
int show_cuts(const StoreInspector& store, const InspectOptions& options) {
  const PartitionId partition(options.partition);
  const auto names = store.cuts(*options.topic, partition);
  if (!names) return refuse(names.error(), options);
  std::vector<Fields> rows;
  Gaps gaps;
  for (const std::string& name : *names) {
    const auto log = store.cut(*options.topic, partition, name);
    if (!log) return refuse(log.error(), options);
    const auto list = log->list_segments();
    if (!list) return refuse(list.error(), options);
    for (const log::LogGap& gap : list->gaps) gaps.add(gap);
    for (const log::SegmentInfo& segment : list->segments) {
      if (segment.damage) continue;
      rows.push_back({text("cut", name), number("first_batch", segment.start.next_batch.value),
                      number("first_offset", segment.start.end.value),
                      number("bytes", segment.bytes), text("file", segment.file)});
    }
  }
  return show(rows, "cuts", gaps, options.json);
}

int show_segments(const log::LogInspector& log, const InspectOptions& options) {
  const auto list = log.list_segments();
  if (!list) return refuse(list.error(), options);
  std::vector<Fields> rows;
  Gaps gaps;
  for (const log::LogGap& gap : list->gaps) gaps.add(gap);
  for (const log::SegmentInfo& segment : list->segments) {
    if (segment.damage) continue;
    rows.push_back({number("first_batch", segment.start.next_batch.value),
                    number("first_offset", segment.start.end.value), number("bytes", segment.bytes),
                    yes_or_no("sealed", segment.indexed), text("file", segment.file)});
  }
  return show(rows, "segments", gaps, options.json);
}

Fields fields_of(const log::BatchInfo& batch) {
  const log::BatchHeader& header = batch.header;
  return {number("batch", header.batch_no.value),
          text("kind", header.kind == log::BatchKind::control ? "control" : "events"),
          number("epoch", header.epoch.value),
          number("base_offset", header.base_offset.value),
          number("events", header.event_count),
          number("commits", header.commit_count),
          text("codec", name_of(header.codec)),
          number("bytes", header.length),
          text("time", http::to_rfc3339(header.time)),
          number("durable_batches", header.durable_batches.value),
          text("tree_root", hex(header.tree_root)),
          number("position", batch.position),
          text("file", batch.file)};
}

int show_batches(const log::LogInspector& log, const InspectOptions& options) {
  const BatchNo from(*options.batches_from);
  const auto list = log.list_batches(from, options.limit);
  if (!list) return refuse(list.error(), options);
  std::vector<Fields> rows;
  Gaps gaps;
  for (const log::LogGap& gap : list->gaps) gaps.add(gap);
  for (const log::BatchInfo& batch : list->batches) rows.push_back(fields_of(batch));
  const log::LogPoint& start = list->start;
  const Fields begins{number("batch", start.next_batch.value), number("offset", start.end.value)};
  const int status = show(rows, "batches", gaps, options.json, ",\"start\":" + object_of(begins));
  // A copy of what was cut begins where the log was cut: that is no loss.
  if (from < start.next_batch && !options.cut) {
    complain("the log starts at batch " + std::to_string(start.next_batch.value) + ", offset " +
             std::to_string(start.end.value) + ": what was before has been removed");
  }
  return status;
}

/// Bytes as they are stored: as JSON text when they are that, to the last byte, which they need not
/// be; else as text, or in base64.
Field payload(const std::string& name, const std::string& bytes) {
  constexpr http::JsonLimits kAny{.bytes_max = std::numeric_limits<std::size_t>::max()};
  if (http::check_json(bytes, kAny)) return {name, bytes, bytes};
  std::string escaped = http::json_string(bytes);
  if (is_utf8(bytes)) return {name + "_text", escaped, escaped};
  return text(name + "_base64", http::to_base64(bytes));
}

int show_event(const log::LogInspector& log, const InspectOptions& options) {
  const auto event = log.event(Offset(*options.event));
  if (!event) return refuse(event.error(), options);
  if (!*event) {
    return refuse(
        {Errc::beyond_end, "offset " + std::to_string(*options.event) + " is past the end", {}},
        options);
  }
  const log::EventInfo& e = **event;
  Fields fields{number("partition", options.partition),
                number("offset", e.offset.value),
                text("stream", e.stream),
                number("version", e.version.value),
                text("type", e.type),
                text("time", http::to_rfc3339(e.time)),
                payload("data", e.data)};
  if (!e.metadata.empty()) fields.push_back(payload("metadata", e.metadata));
  if (!e.command_id.empty()) {
    fields.push_back(text("command_id", e.command_id));
    fields.push_back(text("principal", e.principal));
  }
  fields.push_back(text("leaf_hash", hex(e.leaf_hash)));
  fields.push_back(number("batch", e.batch.header.batch_no.value));
  fields.push_back(number("epoch", e.batch.header.epoch.value));
  fields.push_back(number("position", e.batch.position));
  fields.push_back(text("file", e.batch.file));
  if (options.json) {
    const std::string object = object_of(fields);
    std::fwrite(object.data(), 1, object.size(), stdout);
    std::printf("\n");
    return finish(kGood);
  }
  for (const Field& field : fields) {
    std::printf("%-10s  ", field.name.c_str());
    std::fwrite(field.text.data(), 1, field.text.size(), stdout);
    std::printf("\n");
  }
  return finish(kGood);
}

/// What cannot be meant.
std::optional<std::string> contradiction(const InspectOptions& options) {
  if (options.data.empty()) return "--data is empty";
  if (options.topic && options.topic->empty()) return "--topic is empty";
  if (options.cut && options.cut->empty()) return "--cut is empty";
  if (options.cuts && (options.event || options.batches_from)) {
    return std::string("--cuts shows no ") + (options.event ? "events" : "batches") +
           ": look into one of them with --cut";
  }
  return std::nullopt;
}

int inspect(const InspectOptions& options) {
  io::PosixFileSystem files;
  const StoreInspector store(files, store_folder(options.data));
  if (!options.topic) return show_topics(store, options);
  if (options.cuts) return show_cuts(store, options);
  const PartitionId partition(options.partition);
  const auto log = !options.cut ? store.partition(*options.topic, partition)
                                : store.cut(*options.topic, partition, *options.cut);
  if (!log) return refuse(log.error(), options);
  if (options.event) return show_event(*log, options);
  if (options.batches_from) return show_batches(*log, options);
  return show_segments(*log, options);
}

}  // namespace

int run_inspect(const std::vector<std::string>& arguments) {
  constexpr std::size_t kBatchesMax = 100'000;
  CLI::App parser("Shows what a data folder holds, of a server that runs or not",
                  "keelson inspect");
  InspectOptions options;
  parser.add_option("--data", options.data, "The data folder")->required();
  CLI::Option* const topic =
      parser.add_option("--topic", options.topic, "Its segments, instead of the topics");
  parser.add_option("--partition", options.partition, "Of the topic; 0 by default")
      ->needs(topic)
      ->check(http::whole_number());
  CLI::Option* const cuts =
      parser.add_flag("--cuts", options.cuts, "What was cut from the log, and is kept")
          ->needs(topic);
  parser.add_option("--cut", options.cut, "Look into one of these, instead of the log")
      ->needs(topic)
      ->excludes(cuts);
  CLI::Option* const batches =
      parser.add_option("--batches", options.batches_from, "Batches from this number on")
          ->needs(topic)
          ->check(http::whole_number());
  parser.add_option("--limit", options.limit, "How many batches; 100 by default")
      ->needs(batches)
      ->check(CLI::Range(std::size_t{1}, kBatchesMax));
  parser.add_option("--event", options.event, "The event at this offset")
      ->needs(topic)
      ->check(http::whole_number())
      ->excludes(batches);
  parser.add_flag("--json", options.json, "One JSON object, for programs");
  parser.footer(
      "Ends with 0, with 1 when something of it is damaged, and with 2 when it could not\n"
      "be done.\n");
  if (const auto ended = parse(parser, arguments, true)) return *ended;
  if (const auto wrong = contradiction(options)) {
    return refuse({Errc::bad_request, *wrong, {}}, options);
  }
  return inspect(options);
}

}  // namespace keelson::tools
