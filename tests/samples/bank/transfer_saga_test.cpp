// Transfers on a real store: how each ends, and what a crash at any step leaves behind.
#include <doctest/doctest.h>

#include <atomic>

#include "tests/samples/bank/bank_host.h"
#include "tests/support/simulated_file_system.h"

namespace bank::test {

using keelson::Errc;
using keelson::test::DiskCall;
using keelson::test::SimulatedFileSystem;

namespace {

constexpr std::uint32_t kPartitions = 3;

std::string request(const std::string& from, const std::string& to, std::int64_t amount) {
  return R"({"from":")" + from + R"(","to":")" + to + R"(","amount":)" + std::to_string(amount) +
         "}";
}

/// Accounts `a` (100), `b` (0), `foreign` (0 EUR), and `closed`; `none` does not exist.
void open_accounts(BankHost& bank) {
  bank.open_account("a", 100);
  bank.open_account("b");
  bank.open_account("foreign", 0, "EUR");
  bank.open_account("closed");
  bank.accept("account", "closed", "close", "{}");
}

/// How a transfer ended: `completed`, or `refunded: closed`.
std::string end_of(BankHost& bank, const std::string& transfer) {
  const auto state = bank.state("transfer", transfer);
  const std::string reason = state.value("reason", "");
  return state.value("status", "") + (reason.empty() ? "" : ": " + reason);
}

std::string transfer(BankHost& bank, const std::string& id, const std::string& from,
                     const std::string& to, std::int64_t amount) {
  bank.accept("transfer", id, "request", request(from, to, amount));
  bank.await([&] { return bank.has_ended(id); });
  return end_of(bank, id);
}

/// Fails every change of the disk from the `last`-th on, as if the process had ended there.
class Cutoff {
 public:
  Cutoff(SimulatedFileSystem& disk, BankHost& bank, std::uint64_t last) : disk_(disk) {
    disk.set_fault([this, &bank, last](DiskCall call, const std::string&) -> std::optional<Errc> {
      if (call == DiskCall::sync || call == DiskCall::sync_folder) return std::nullopt;
      if (calls_.fetch_add(1) < last) return std::nullopt;
      if (!hit_.exchange(true)) bank.wake();
      return Errc::disk_full;
    });
  }
  ~Cutoff() { disk_.set_fault(nullptr); }

  [[nodiscard]] bool hit() const { return hit_; }

 private:
  SimulatedFileSystem& disk_;
  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<bool> hit_ = false;
};

struct Story {
  std::string target;
  std::string end;
  std::int64_t source_after;
};

/// One life cut off after `last` changes of the disk, and the next one.
/// @return whether the transfer was over before the cut.
bool crash_and_go_on(const Story& story, std::uint64_t last) {
  SimulatedFileSystem disk(last);
  BankHost bank(kPartitions, &disk);
  open_accounts(bank);
  const auto body = request("a", story.target, 30);
  bool over = false;
  {
    const Cutoff cutoff(disk, bank, last);
    bank.host()->start_reactions();
    (void)bank.execute("transfer", "t", "request", body, "once");
    bank.await([&] { return cutoff.hit() || bank.has_ended("t"); });
    over = !cutoff.hit();
    bank.host()->stop_reactions();
  }
  bank.host().reopen();
  const auto again = bank.execute("transfer", "t", "request", body, "once");
  REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message()));
  bank.host()->start_reactions();
  bank.await([&] { return bank.has_ended("t"); });
  bank.host()->stop_reactions();

  CHECK(end_of(bank, "t") == story.end);
  CHECK(bank.state("account", "a").at("balance") == story.source_after);
  CHECK(bank.state("account", "a").at("held").empty());
  CHECK(bank.state("account", "b").at("balance") == 100 - story.source_after);
  const bool completed = story.end == "completed";
  CHECK(bank.count("requested") == 1);
  CHECK(bank.count("transfer_sent") == 1);
  CHECK(bank.count("transfer_received") == (completed ? 1 : 0));
  CHECK(bank.count("transfer_settled") == (completed ? 1 : 0));
  CHECK(bank.count("transfer_returned") == (completed ? 0 : 1));
  return over;
}

}  // namespace

TEST_CASE("transfers: complete, fail or refund, and the money is where the end says") {
  BankHost bank(kPartitions);
  open_accounts(bank);
  REQUIRE(bank.topic().partition_of("account-a") != bank.topic().partition_of("account-b"));
  bank.host()->start_reactions();

  CHECK(transfer(bank, "1", "a", "b", 30) == "completed");
  CHECK(bank.state("account", "a").at("balance") == 70);
  CHECK(bank.state("account", "b").at("balance") == 30);
  CHECK(transfer(bank, "2", "a", "b", 71) == "failed: insufficient_funds");
  CHECK(transfer(bank, "3", "none", "b", 1) == "failed: not_open");
  CHECK(transfer(bank, "4", "closed", "b", 1) == "failed: closed");
  CHECK(transfer(bank, "5", "a", "none", 1) == "refunded: not_open");
  CHECK(transfer(bank, "6", "a", "closed", 1) == "refunded: closed");
  CHECK(transfer(bank, "7", "a", "foreign", 1) == "refunded: currency_mismatch");
  CHECK(transfer(bank, "8", "b", "a", 30) == "completed");
  bank.accept("account", "b", "deposit", R"({"amount":9223372036854775807})");
  CHECK(transfer(bank, "9", "a", "b", 1) == "refunded: overflow");
  CHECK(bank.state("account", "a").at("balance") == 100);
  CHECK(bank.state("account", "a").at("held").empty());
  CHECK(bank.count("transfer_returned") == 4);
}

TEST_CASE("transfers: wherever the process ends, the money arrives once, or is back once") {
  for (const Story& story :
       {Story{"b", "completed", 70}, Story{"closed", "refunded: closed", 100}}) {
    std::uint64_t last = 0;
    while (!crash_and_go_on(story, last)) {
      CAPTURE(last);
      ++last;
      REQUIRE(last < 1000);
    }
    CHECK(last >= 5);  // each of the steps was cut off before it was durable
  }
}

TEST_CASE("transfers: in a tangle of them between all accounts the money stays the same") {
  constexpr int kAccounts = 8;
  constexpr int kTransfers = 300;
  BankHost bank(kPartitions);
  for (int i = 0; i < kAccounts; ++i) bank.open_account(std::to_string(i), 50);
  bank.host()->start_reactions();
  std::uint64_t dice = 1;
  for (int i = 0; i < kTransfers; ++i) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    const auto from = (dice >> 33) % kAccounts;
    const auto to = (from + 1 + (dice >> 40) % (kAccounts - 1)) % kAccounts;
    const auto amount = static_cast<std::int64_t>((dice >> 50) % 40 + 1);
    bank.accept("transfer", "t" + std::to_string(i), "request",
                request(std::to_string(from), std::to_string(to), amount));
  }
  for (int i = 0; i < kTransfers; ++i)
    bank.await([&] { return bank.has_ended("t" + std::to_string(i)); });
  std::int64_t total = 0;
  for (int i = 0; i < kAccounts; ++i) {
    const auto state = bank.state("account", std::to_string(i));
    CHECK(state.at("balance").get<std::int64_t>() >= 0);
    CHECK(state.at("held").empty());
    total += state.at("balance").get<std::int64_t>();
  }
  CHECK(total == 50 * kAccounts);
  CHECK(bank.count("completed") > 0);
  CHECK(bank.count("failed") > 0);
}

}  // namespace bank::test
