#include "samples/bank/tools.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "samples/bank/byte_source.h"
#include "samples/bank/generator.h"
#include "samples/bank/importer.h"
#include "samples/bank/progress_bar.h"
#include "samples/bank/transactions.h"
#include "samples/bank/watch.h"

namespace bank {

namespace {

constexpr int kGood = 0;
constexpr int kBad = 1;
constexpr int kUsage = 2;
constexpr int kInterrupted = 130;

int complain(const std::string& what) {
  std::fprintf(stderr, "bank: %s\n", what.c_str());
  return kBad;
}

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdout) std::fclose(file);
  }
};

/// Writes the whole file, or says why not.
int generate(const GeneratorOptions& options, const std::string& path) {
  constexpr std::size_t kBufferBytes = 64u << 10;
  if (options.rows / options.accounts > GeneratorOptions::kRowsPerAccountMax)
    return complain("--rows is more than " + with_commas(GeneratorOptions::kRowsPerAccountMax) +
                    " for each account: raise --accounts");
  const std::unique_ptr<std::FILE, CloseFile> file(path == "-" ? stdout
                                                               : std::fopen(path.c_str(), "wb"));
  if (!file) return complain("cannot write " + path + ": " + std::strerror(errno));

  std::string text = csv_header();
  TransactionGenerator generator(options);
  for (auto row = generator.next();; row = generator.next()) {
    if (row) append_csv(text, *row);
    if (row && text.size() < kBufferBytes) continue;
    if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size()) break;
    text.clear();
    if (!row) break;
  }
  if (std::ferror(file.get()) != 0 || std::fflush(file.get()) != 0)
    return complain("cannot write " + path + ": " + std::strerror(errno));
  return kGood;
}

int import(ImportOptions options, const std::string& path, bool json) {
  const std::string name = path == "-" ? "standard input" : path;
  auto source = open_byte_source(path);
  if (!source) return complain(source.error().context);
  auto reader = TransactionReader::open(name, *std::move(source));
  if (!reader) return complain(reader.error().context);

  Importer importer(std::move(options), *std::move(reader));
  ImportReport report;
  {
    ProgressBar bar;
    Importer::OnProgress on_progress;
    if (bar.visible())
      on_progress = [&bar](const ImportReport& now) {
        bar.draw({.rows = now.rows, .fraction = now.fraction, .elapsed = now.elapsed});
      };
    report = importer.run(std::move(on_progress));
  }
  const std::string summary = json ? to_json(report, name) : to_table(report, name);
  std::fwrite(summary.data(), 1, summary.size(), stdout);
  std::fflush(stdout);
  if (report.stopped) return complain(report.stopped->context);
  if (report.interrupted) return kInterrupted;
  return report.good() ? kGood : kBad;
}

int watch_events(const WatchOptions& options, bool json) {
  const auto on_ready = [&options] {
    std::fprintf(stderr, "watching topic %s from %s\n", options.topic.c_str(),
                 options.from.c_str());
  };
  const auto on_event = [json](std::string_view event) {
    const std::string line = (json ? std::string(event) : describe_event(event)) + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  };
  auto watched = watch(options, on_ready, on_event);
  return watched ? kGood : complain(watched.error().context);
}

/// What the three have in common on the command line.
struct Arguments {
  GeneratorOptions generator;
  ImportOptions import;
  WatchOptions watch;
  std::string file;
  std::string url;
  std::string token;
  std::string out = "-";
  std::int64_t retry_seconds = 30;
  bool json = false;
};

void add_server(CLI::App& command, Arguments& arguments) {
  command.add_option("--url", arguments.url, "The server, like http://127.0.0.1:8080")->required();
  command.add_option("--token", arguments.token, "Bearer token (default: $KEELSON_TOKEN)")
      ->envname("KEELSON_TOKEN");
}

void add_generate(CLI::App& root, Arguments& arguments) {
  CLI::App* command = root.add_subcommand("generate", "Invent a transactions file, as CSV");
  command->add_option("--accounts", arguments.generator.accounts, "How many accounts")
      ->check(CLI::Range(1u, 10'000'000u))
      ->capture_default_str();
  command->add_option("--rows", arguments.generator.rows, "How many transactions")
      ->capture_default_str();
  command->add_option("--seed", arguments.generator.seed, "The same seed gives the same file")
      ->capture_default_str();
  command->add_option("--out", arguments.out, "File to write, - for standard output")
      ->capture_default_str();
}

void add_import(CLI::App& root, Arguments& arguments) {
  CLI::App* command = root.add_subcommand("import",
                                          "Feed a transactions file to a bank, checking "
                                          "each balance");
  command->add_option("file", arguments.file, "CSV, plain or zstd; - for standard input")
      ->required();
  add_server(*command, arguments);
  command->add_option("--in-flight", arguments.import.in_flight, "Commands waiting for answers")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--connections", arguments.import.connections, "Keep-alive connections")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_flag("--single", arguments.import.single,
                    "A request for each command, pipelined, instead of batches");
  command
      ->add_option("--retry-seconds", arguments.retry_seconds,
                   "How long to repeat what fails for now")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  command->add_option("--currency", arguments.import.currency, "That accounts are opened in")
      ->capture_default_str();
  command->add_flag("--json", arguments.json, "The summary as one JSON object");
}

void add_watch(CLI::App& root, Arguments& arguments) {
  CLI::App* command = root.add_subcommand("watch", "Print events as they happen");
  add_server(*command, arguments);
  command->add_option("--topic", arguments.watch.topic, "Topic")->capture_default_str();
  command->add_option("--from", arguments.watch.from, "start, end, or a position")
      ->capture_default_str();
  command->add_option("--stream-prefix", arguments.watch.stream_prefix,
                      "Only streams beginning so");
  command->add_option("--count", arguments.watch.count, "Stop after so many events; 0: never")
      ->capture_default_str();
  command->add_flag("--json", arguments.json, "Each event as one JSON object");
}

int run(CLI::App& root, Arguments& arguments) {
  if (root.got_subcommand("generate")) return generate(arguments.generator, arguments.out);
  auto url = Url::parse(arguments.url);
  if (!url) {
    complain(url.error().context);
    return kUsage;
  }
  if (root.got_subcommand("import")) {
    arguments.import.url = *url;
    arguments.import.token = arguments.token;
    arguments.import.retry = std::chrono::seconds(arguments.retry_seconds);
    return import(arguments.import, arguments.file, arguments.json);
  }
  arguments.watch.url = *url;
  arguments.watch.token = arguments.token;
  return watch_events(arguments.watch, arguments.json);
}

}  // namespace

std::optional<int> run_tool(int argc, char** argv) {
  constexpr std::array<std::string_view, 3> kTools = {"generate", "import", "watch"};
  if (argc < 2 || std::find(kTools.begin(), kTools.end(), argv[1]) == kTools.end())
    return std::nullopt;
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, told like any other

  Arguments arguments;
  CLI::App root("A bank on Keelson", "bank");
  add_generate(root, arguments);
  add_import(root, arguments);
  add_watch(root, arguments);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return root.exit(error) == 0 ? kGood : kUsage;
  }
  return run(root, arguments);
}

}  // namespace bank
