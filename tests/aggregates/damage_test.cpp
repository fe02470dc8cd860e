// Aggregates and reactions over a topic of which one partition is damaged: that one stops.
#include <doctest/doctest.h>

#include "tests/aggregates/reacting.h"
#include "tests/support/simulated_file_system.h"

namespace keelson::test {

namespace {

std::string segment_of(TestHost& host, PartitionId partition) {
  return host.store().folder() + "/data/topics/test/" + std::to_string(partition.value) +
         "/00000000000000000000.seg";
}

/// An id whose aggregates lie in `partition` with `prefix` in front.
std::string id_in(TestHost& host, PartitionId partition, std::string id) {
  while (host.topic().partition_of("wallet-" + id) != partition) id += "x";
  return id;
}

}  // namespace

TEST_CASE("damage: commands and reactions of a damaged partition stop, those of others go on") {
  SimulatedFileSystem disk(1);
  TestHost host(wallets_and_moves(), reactions<CarryMove>(), {.partitions = 2, .files = &disk});
  const PartitionId damaged(0);
  const PartitionId whole(1);
  const std::string lost = id_in(host, damaged, "l");
  const std::string from = id_in(host, whole, "f");
  const std::string to = id_in(host, whole, "t");
  for (const std::string& id : {lost, from, to}) {
    must(host.execute(wallet(id, "open")));
    must(host.execute(wallet(id, "put", R"({"amount":100})")));
  }
  const auto break_or_mend = [&] { disk.flip_bit(segment_of(host, damaged), 8 * 100); };
  break_or_mend();
  host.reopen();
  host->start_reactions();

  CHECK(host.state("wallet", lost) == "corruption");
  const auto refused = host.execute(wallet(lost, "put", R"({"amount":1})"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::corruption);
  CHECK(refused.error().context.find(segment_of(host, damaged)) != std::string::npos);

  // A saga whose steps and causes lie in the whole partition.
  must(host.execute(request(id_in(host, whole, "m"), from, to, 30)));
  const auto balance = [&](const std::string& id) {
    return nlohmann::json::parse(host.state("wallet", id)).at("balance").get<int>();
  };
  eventually([&] { return balance(to) == 130; });
  CHECK(balance(from) == 70);
  for (const ReactionStatus& status : host->reactions()) {
    if (status.partition == damaged) {
      CHECK(status.error.find(segment_of(host, damaged)) != std::string::npos);
    } else {
      CHECK(status.error.empty());
    }
  }

  break_or_mend();
  host.reopen();
  host->start_reactions();
  CHECK(balance(lost) == 100);
  must(host.execute(request(id_in(host, damaged, "n"), lost, to, 100)));
  eventually([&] { return settled(*host); });
  CHECK(balance(lost) == 0);
  CHECK(balance(to) == 230);
}

}  // namespace keelson::test
