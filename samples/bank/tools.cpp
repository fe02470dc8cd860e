#include "samples/bank/tools.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/command_line_checks.h"
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

int complain(const std::string& what, int exit_code = kBad) {
  std::fprintf(stderr, "bank: %s\n", what.c_str());
  return exit_code;
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

/// Reads `arguments` by what `command` describes; the exit code when there is nothing left to do.
std::optional<int> parse(CLI::App& command, const std::vector<std::string>& arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, told like any other
  try {
    command.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    return std::nullopt;
  } catch (const CLI::Success& wanted) {
    return command.exit(wanted);
  } catch (const CLI::ParseError& wrong) {
    return complain(wrong.what(), kUsage);
  }
}

/// The server that a tool talks to.
struct Server {
  std::string url;
  std::string token;

  void describe(CLI::App& command) {
    command.add_option("--url", url, "The server, like http://127.0.0.1:8080")->required();
    command.add_option("--token", token, "Bearer token (default: $KEELSON_TOKEN)")
        ->envname("KEELSON_TOKEN");
  }
};

}  // namespace

int run_generate(const std::vector<std::string>& arguments) {
  GeneratorOptions options;
  std::string out = "-";
  CLI::App command("Invents a transactions file, as CSV", "bank generate");
  command.add_option("--accounts", options.accounts, "How many accounts")
      ->check(CLI::Range(1u, 10'000'000u))
      ->capture_default_str();
  command.add_option("--rows", options.rows, "How many transactions")
      ->check(keelson::http::whole_number())
      ->capture_default_str();
  command.add_option("--seed", options.seed, "The same seed gives the same file")
      ->check(keelson::http::whole_number())
      ->capture_default_str();
  command.add_option("--out", out, "File to write, - for standard output")->capture_default_str();
  if (const auto exit_code = parse(command, arguments)) return *exit_code;
  return generate(options, out);
}

int run_import(const std::vector<std::string>& arguments) {
  ImportOptions options;
  Server server;
  std::string file;
  std::int64_t retry_seconds = options.retry.count();
  bool json = false;
  CLI::App command("Feeds a transactions file to a bank, checking each balance", "bank import");
  command.add_option("file", file, "CSV, plain or zstd; - for standard input")->required();
  server.describe(command);
  command.add_option("--in-flight", options.in_flight, "Commands waiting for answers")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command.add_option("--connections", options.connections, "Keep-alive connections")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_flag("--single", options.single,
                   "A request for each command, pipelined, instead of batches");
  command.add_option("--retry-seconds", retry_seconds, "How long to repeat what fails for now")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  command.add_option("--currency", options.currency, "That accounts are opened in")
      ->capture_default_str();
  command.add_flag("--json", json, "The summary as one JSON object");
  if (const auto exit_code = parse(command, arguments)) return *exit_code;
  auto url = Url::parse(server.url);
  if (!url) return complain(url.error().context, kUsage);
  options.url = *std::move(url);
  options.token = server.token;
  options.retry = std::chrono::seconds(retry_seconds);
  return import(std::move(options), file, json);
}

int run_watch(const std::vector<std::string>& arguments) {
  WatchOptions options;
  Server server;
  bool json = false;
  CLI::App command("Prints events as they happen", "bank watch");
  server.describe(command);
  command.add_option("--topic", options.topic, "Topic")->capture_default_str();
  command.add_option("--from", options.from, "start, end, or a position")->capture_default_str();
  command.add_option("--stream-prefix", options.stream_prefix, "Only streams beginning so");
  command.add_option("--count", options.count, "Stop after so many events; 0: never")
      ->check(keelson::http::whole_number())
      ->capture_default_str();
  command.add_flag("--json", json, "Each event as one JSON object");
  if (const auto exit_code = parse(command, arguments)) return *exit_code;
  auto url = Url::parse(server.url);
  if (!url) return complain(url.error().context, kUsage);
  options.url = *std::move(url);
  options.token = server.token;
  return watch_events(options, json);
}

}  // namespace bank
