// A host on a real store in a temporary folder, with calls that wait.
#pragma once

#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/reaction.h"
#include "aggregates/registry.h"
#include "tests/support/test_store.h"

namespace keelson::test {

using namespace keelson::aggregates;  // NOLINT: a test's vocabulary

struct TestHostOptions {
  std::uint32_t partitions = 1;
  HostOptions host{};
  io::FileSystem* files = nullptr;  ///< of the store and the snapshots; null: the real ones
};

class TestHost {
 public:
  explicit TestHost(std::shared_ptr<const AggregateRegistry> registry,
                    std::shared_ptr<const ReactionRegistry> reactions = nullptr,
                    TestHostOptions options = {})
      : registry_(std::move(registry)),
        reactions_(std::move(reactions)),
        options_(std::move(options)),
        store_(options_.files) {
    open_host();
  }

  /// Ends the host and the store and opens both again, perhaps with other code.
  void reopen(std::shared_ptr<const AggregateRegistry> registry = nullptr,
              std::shared_ptr<const ReactionRegistry> reactions = nullptr) {
    if (registry) registry_ = std::move(registry);
    if (reactions) reactions_ = std::move(reactions);
    host_.reset();
    store_.reopen();
    open_host();
  }

  [[nodiscard]] AggregateHost& operator*() { return *host_; }
  [[nodiscard]] AggregateHost* operator->() { return host_.get(); }
  [[nodiscard]] TestStore& store() { return store_; }
  [[nodiscard]] Topic& topic() { return store_.topic("test", options_.partitions); }

  [[nodiscard]] std::future<Result<CommandReply>> start(CommandCall call) {
    auto promise = std::make_shared<std::promise<Result<CommandReply>>>();
    auto future = promise->get_future();
    host_->execute(std::move(call),
                   [promise](Result<CommandReply> reply) { promise->set_value(std::move(reply)); });
    return future;
  }
  [[nodiscard]] Result<CommandReply> execute(CommandCall call) {
    return start(std::move(call)).get();
  }

  /// The state's JSON now, or the error's text.
  [[nodiscard]] std::string state(std::string_view type, std::string_view id,
                                  const AsOf& as_of = {}) {
    const auto loaded = host_->load(type, id, as_of);
    return loaded ? loaded->state : std::string(to_string(loaded.error().code));
  }

  [[nodiscard]] HostOptions& host_options() { return options_.host; }

 private:
  void open_host() {
    auto opened =
        AggregateHost::open(store_.environment(), topic(), registry_, reactions_, options_.host);
    if (!opened) FAIL(opened.error().message());
    host_ = *std::move(opened);
  }

  std::shared_ptr<const AggregateRegistry> registry_;
  std::shared_ptr<const ReactionRegistry> reactions_;
  TestHostOptions options_;
  TestStore store_;
  std::unique_ptr<AggregateHost> host_;
};

/// A command to `wallet-<id>` without a key.
inline CommandCall wallet(std::string id, std::string command, std::string body = "{}") {
  CommandCall call;
  call.type = "wallet";
  call.id = std::move(id);
  call.command = std::move(command);
  call.body = std::move(body);
  call.principal = "tester";
  return call;
}

/// The same with a key.
inline CommandCall keyed(CommandCall call, std::string key) {
  call.key = std::move(key);
  return call;
}

}  // namespace keelson::test
