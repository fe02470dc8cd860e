// HTTP commands, decided and durable, beside a bare Beast server that parses the same JSON.
//
//     http_bench [--quick]      expects bank and bare_server beside itself
#include <filesystem>

#include "tests/bench/http/bank_load.h"
#include "tests/bench/http/child.h"
#include "tests/bench/report.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  const int runs = quick ? 3 : 5;
  const auto folder = std::filesystem::path(argv[0]).parent_path();
  const test::TemporaryFolder data;
  const Child bank(
      {folder / "bank", "serve", "--data", data.path() + "/data", "--listen", "127.0.0.1:0"});
  const Child bare({folder / "bare_server", "2"});
  open_accounts(bank.port());

  int run = 0;
  const std::uint64_t requests = quick ? 20'000 : 60'000;
  const auto commands = paired(
      runs,
      [&] {
        const std::string key = "c" + std::to_string(run++);
        const auto result = run_load(bank.port(), kConnections, requests,
                                     [&](std::uint64_t i) { return deposit(i, key); });
        must(result);
        return result.per_second;
      },
      [&] {
        const auto result = run_load(bare.port(), kConnections, requests,
                                     [&](std::uint64_t i) { return deposit(i, "x"); });
        must(result);
        return result.per_second;
      });
  report("http.command.c64", commands.value, "commands/s", commands.limit,
         "deposit, decided, durable, answered, 64 keep-alive connections, 1,000 accounts; limit: "
         "bare Beast server parsing the same JSON");

  const std::uint64_t bulks = quick ? 50 : 150;
  const auto bulk_rate = paired(
      runs,
      [&] {
        const std::string key = "b" + std::to_string(run++);
        const auto result =
            run_load(bank.port(), 4, bulks, [&](std::uint64_t i) { return bulk(i, key); });
        must(result);
        return 1000 * result.per_second;
      },
      [] { return 0.0; });
  report("http.bulk", bulk_rate.value, "commands/s", 0,
         "POST /v1/commands, NDJSON, 1,000 a request, 4 connections; no limit measured");
  return 0;
}
