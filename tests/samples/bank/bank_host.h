// The bank's aggregates and reactions on a real store, with calls that wait.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "samples/bank/account.h"
#include "samples/bank/transfer.h"
#include "tests/aggregates/test_host.h"

namespace bank::test {

using keelson::Result;
using keelson::aggregates::CommandCall;
using keelson::aggregates::CommandReply;

class BankHost {
 public:
  explicit BankHost(std::uint32_t partitions, keelson::io::FileSystem* files = nullptr)
      : host_(registry(), reactions(), {.partitions = partitions, .host = {}, .files = files}) {}

  /// Runs one command; the id of the command is `key`.
  [[nodiscard]] Result<CommandReply> execute(std::string type, std::string id, std::string command,
                                             std::string body, std::string key = "") {
    CommandCall call;
    call.type = std::move(type);
    call.id = std::move(id);
    call.command = std::move(command);
    call.body = std::move(body);
    call.key = std::move(key);
    return host_.execute(std::move(call));
  }
  void accept(std::string type, std::string id, std::string command, std::string body) {
    const auto reply = execute(std::move(type), std::move(id), std::move(command), std::move(body));
    REQUIRE_MESSAGE(reply.has_value(), (reply ? "" : reply.error().message()));
    REQUIRE_MESSAGE(!reply->outcome.rejected, reply->reason);
  }
  void open_account(const std::string& id, std::int64_t balance = 0,
                    const std::string& currency = "CZK") {
    accept("account", id, "open",
           R"({"owner":")" + id + R"(","currency":")" + currency + R"(","overdraft_limit":0})");
    if (balance > 0)
      accept("account", id, "deposit", R"({"amount":)" + std::to_string(balance) + "}");
  }

  /// Empty when there is no such aggregate.
  [[nodiscard]] nlohmann::json state(std::string_view type, std::string_view id) {
    const auto loaded = host_->load(type, id, {});
    return loaded ? nlohmann::json::parse(loaded->state) : nlohmann::json::object();
  }
  [[nodiscard]] bool has_ended(const std::string& transfer) {
    const auto status = state("transfer", transfer).value("status", "");
    return status == "completed" || status == "failed" || status == "refunded";
  }

  /// Waits until `done` holds, looking again after each commit and each `wake`.
  void await(const std::function<bool()>& done) {
    const auto& topic = host_.topic();
    while (true) {
      std::vector<std::unique_ptr<keelson::Registration>> waiting;
      for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
        auto& partition = host_.topic().partition(keelson::PartitionId(p));
        waiting.push_back(partition.when_past(partition.end(), [this] { wake(); }));
      }
      if (done()) return;
      REQUIRE_MESSAGE(wakes_.try_acquire_for(std::chrono::seconds(30)), "nothing happens any more");
    }
  }
  void wake() { wakes_.release(); }

  [[nodiscard]] keelson::test::TestHost& host() { return host_; }
  [[nodiscard]] keelson::Topic& topic() { return host_.topic(); }

  /// All events, partition by partition.
  [[nodiscard]] std::vector<keelson::Event> events() {
    std::vector<keelson::Event> all;
    for (std::uint32_t p = 0; p < topic().partition_count(); ++p) {
      auto some = keelson::test::read_all(topic().partition(keelson::PartitionId(p)));
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    return all;
  }
  [[nodiscard]] std::int64_t count(std::string_view event_type) {
    std::int64_t found = 0;
    for (const auto& event : events()) found += event.type == event_type ? 1 : 0;
    return found;
  }

 private:
  static std::shared_ptr<const keelson::aggregates::AggregateRegistry> registry() {
    auto made = std::make_shared<keelson::aggregates::AggregateRegistry>();
    made->add<Account>().add<Transfer>();
    return made;
  }
  static std::shared_ptr<const keelson::aggregates::ReactionRegistry> reactions() {
    auto made = std::make_shared<keelson::aggregates::ReactionRegistry>();
    made->add<StartTransfer>().add<CarryTransfer>();
    return made;
  }

  std::counting_semaphore<> wakes_{0};
  keelson::test::TestHost host_;
};

}  // namespace bank::test
