// History pushed to one WebSocket subscriber, beside pre-built frames coalesced by bare Beast.
//
//     ws_bench [--quick]        expects bank and bare_server beside itself
#include <filesystem>

#include "tests/bench/http/bank_load.h"
#include "tests/bench/http/child.h"
#include "tests/bench/http/frame_reader.h"
#include "tests/bench/report.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  const auto folder = std::filesystem::path(argv[0]).parent_path();
  const test::TemporaryFolder data;
  const Child bank(
      {folder / "bank", "serve", "--data", data.path() + "/data", "--listen", "127.0.0.1:0"});
  const Child bare({folder / "bare_server", "1"});
  const std::uint64_t requests = arguments.quick() ? 200 : 500;
  const std::uint64_t events = requests * 1000;
  open_accounts(bank.port());
  must(run_load(bank.port(), 4, requests, [](std::uint64_t i) { return bulk(i, "ws"); }));
  settle(bank.port());

  const auto push = paired(
      arguments.runs(),
      [&] {
        FrameReader reader(bank.port(), "/v1/subscriptions");
        return static_cast<double>(events) / seconds([&] {
                 reader.send(
                     R"({"op":"subscribe","id":"s","topic":"bank","from":"start","credit":)" +
                     std::to_string(events) + "}");
                 reader.read(events, R"("op":"event")");
               });
      },
      [&] {
        FrameReader reader(bare.port(), "/");
        return static_cast<double>(events) /
               seconds([&] { reader.read(events, R"("op":"event")"); });
      });
  report("ws.push", push.value, "events/s", push.limit,
         "history to one subscriber; limit: pre-built frames of one event, 64 KiB a write");
  return 0;
}
