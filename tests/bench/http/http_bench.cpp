// HTTP commands, decided and durable, beside a bare Beast server that parses the same JSON.
//
//     http_bench [--quick]      expects bank and bare_server beside itself
#include <filesystem>

#include "tests/bench/http/child.h"
#include "tests/bench/http/load.h"
#include "tests/bench/report.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;

namespace {

constexpr int kAccounts = 1000;
constexpr int kConnections = 64;

std::string account(std::uint64_t i) { return std::to_string(i % kAccounts); }

void must(const LoadResult& result) {
  if (result.failed == 0) return;
  std::fprintf(stderr, "bench: %lu requests failed\n", static_cast<unsigned long>(result.failed));
  std::exit(1);
}

void open_accounts(unsigned short port) {
  must(run_load(port, kConnections, kAccounts, [](std::uint64_t i) {
    return post("/v1/aggregates/account/" + account(i) + "/open",
                R"({"owner":"bench","currency":"CZK","overdraft_limit":null})");
  }));
}

std::string deposit(std::uint64_t i, const std::string& run) {
  return post("/v1/aggregates/account/" + account(i) + "/deposit",
              R"({"amount":100,"reference":"salary","booked_at":"2026-01-31"})",
              "Idempotency-Key: " + run + "-" + std::to_string(i) + "\r\n");
}

std::string bulk(std::uint64_t request, const std::string& run) {
  std::string body;
  for (std::uint64_t i = request * 1000; i < (request + 1) * 1000; ++i) {
    body += R"({"type":"account","id":")" + account(i) +
            R"(","command":"deposit","data":{"amount":100},"key":")" + run + "-" +
            std::to_string(i) + "\"}\n";
  }
  return "POST /v1/commands HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
         "Accept: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

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
