// HTTP commands, decided and durable, beside a bare Beast server that parses the same JSON.
//
//     http_bench [--quick] [FIGURE]...      expects bank and bare_server beside itself
#include <filesystem>

#include "tests/bench/engine/disk_limit.h"
#include "tests/bench/http/bank_load.h"
#include "tests/bench/http/child.h"
#include "tests/bench/report.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;

namespace {

constexpr std::size_t kRawBytes = 4096;

struct Bench {
  const std::filesystem::path folder;
  const Arguments arguments;
  const test::TemporaryFolder data{};
  const Child bank{
      {folder / "bank", "serve", "--data", data.path() + "/data", "--listen", "127.0.0.1:0"}};
  int run = 0;

  LoadResult deposits(const std::function<LoadResult(const MakeRequest&)>& load) {
    const std::string key = "c" + std::to_string(run++);
    LoadResult result = load([&](std::uint64_t i) { return deposit(i, key); });
    must(result);
    return result;
  }

  /// Deposits a second with 64 of them always under way.
  double command_rate(std::uint64_t requests) {
    return deposits([&](const MakeRequest& make) {
             return run_load(bank.port(), kConnections, requests, make);
           })
        .per_second;
  }
};

void measure_commands(Bench& bench) {
  const Child bare({bench.folder / "bare_server", "2"});
  const std::uint64_t requests = bench.arguments.quick() ? 20'000 : 60'000;
  double settling = 0;
  const auto commands = paired(
      bench.arguments.runs(),
      [&] {
        const double rate = bench.command_rate(requests);
        settling = settle(bench.bank.port());
        return rate;
      },
      [&] {
        const auto result = run_load(bare.port(), kConnections, requests,
                                     [&](std::uint64_t i) { return deposit(i, "x"); });
        must(result);
        return result.per_second;
      });
  report("http.command.c64", commands.value, "commands/s", commands.limit,
         "deposit, decided, durable, answered, 64 keep-alive connections, 1,000 accounts; limit: "
         "bare Beast server parsing the same JSON; read models were there " +
             std::to_string(settling) + " s later");
}

void measure_bulk(Bench& bench) {
  const Child bare({bench.folder / "bare_server", "2"});
  const std::uint64_t bulks = bench.arguments.quick() ? 50 : 150;
  double settling = 0;
  const auto rate = [&](unsigned short port, const std::string& key) {
    const auto result = run_load(port, 4, bulks, [&](std::uint64_t i) { return bulk(i, key); });
    must(result);
    return 1000 * result.per_second;
  };
  const auto commands = paired(
      bench.arguments.runs(),
      [&] {
        const double reached = rate(bench.bank.port(), "b" + std::to_string(bench.run++));
        settling = settle(bench.bank.port());
        return reached;
      },
      [&] { return rate(bare.port(), "x"); });
  report("http.bulk", commands.value, "commands/s", commands.limit,
         "POST /v1/commands, NDJSON, 1,000 a request, 4 connections; limit: bare Beast server "
         "parsing the same lines; read models were there " +
             std::to_string(settling) + " s later");
}

void measure_p99(Bench& bench) {
  const int syncs = bench.arguments.quick() ? 1000 : 3000;
  const double rate = bench.command_rate(20'000) / 2;
  const auto requests = static_cast<std::uint64_t>(rate * (bench.arguments.quick() ? 2 : 5));
  settle(bench.bank.port());
  const auto latency = paired(
      bench.arguments.runs(),
      [&] {
        const auto result = bench.deposits([&](const MakeRequest& make) {
          return run_paced(bench.bank.port(), kConnections, requests, rate, make);
        });
        settle(bench.bank.port());
        return result.quantile_us(0.99);
      },
      [&] { return fdatasync_quantile_us(bench.data.path(), kRawBytes, syncs, 0.99); });
  report("http.p99", latency.value, "us", latency.limit,
         "99th percentile of a deposit's latency at " +
             std::to_string(static_cast<std::uint64_t>(rate)) +
             "/s, half of what 64 connections reach, counted from when it was due; limit: 99th "
             "percentile of 4 KiB pwrite and fdatasync into a pre-zeroed file");
}

}  // namespace

int main(int argc, char** argv) {
  Bench bench{std::filesystem::path(argv[0]).parent_path(), Arguments(argc, argv)};
  open_accounts(bench.bank.port());
  if (bench.arguments.wants("http.command.c64")) measure_commands(bench);
  if (bench.arguments.wants("http.bulk")) measure_bulk(bench);
  if (bench.arguments.wants("http.p99")) measure_p99(bench);
  return 0;
}
