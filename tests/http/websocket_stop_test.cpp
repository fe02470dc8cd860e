// The end of a server under its WebSocket sessions: what they have elsewhere is left alone by them,
// and leaves them alone.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "http/timers.h"
#include "http/websocket_session.h"
#include "tests/http/test_server.h"
#include "tests/http/websocket_client.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using nlohmann::json;

namespace {

/// Tasks run when the test runs them.
class HeldPool final : public WorkPool {
 public:
  bool post(Task task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    arrived_.notify_all();
    return true;
  }
  void post_ending(Task task) override { static_cast<void>(post(std::move(task))); }

  /// Waits for the next.
  Task next() {
    std::unique_lock lock(mutex_);
    REQUIRE(arrived_.wait_for(lock, std::chrono::seconds(20), [this] { return !tasks_.empty(); }));
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Task> tasks_;
};

/// A server of subscriptions that may end before everything else does.
struct Subscriptions {
  keelson::test::TestStore store;
  Metrics metrics;
  ThreadTimers timers;
  HeldPool work;
  Services services{store.environment(), *store, nullptr, nullptr, timers, work, metrics};
  std::unique_ptr<TestServer> server = std::make_unique<TestServer>([this](Router& router) {
    add_subscription_route(router, services);
    router.add(Method::get, "/probe", open_route(), echo);
  });

  void append() {
    REQUIRE(keelson::test::commit(store.topic().partition(PartitionId(0)),
                                  keelson::test::write_to("wallet-1", {"{}"})));
  }
};

json subscribe() {
  return {{"op", "subscribe"},
          {"id", "s"},
          {"topic", "test"},
          {"from", "start"},
          {"credit", 1'000'000}};
}

/// Whether the server has closed the connection already, as nothing that is to be read comes first.
bool is_closed(WebsocketClient& client) {
  char byte = 0;
  const int socket = client.socket().next_layer().native_handle();
  const auto got = ::recv(socket, &byte, 1, MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

}  // namespace

TEST_CASE(
    "websocket: a server's end does not wait for history being read, nor is it used by that") {
  Subscriptions subscriptions;
  subscriptions.append();
  WebsocketClient client(subscriptions.server->port());
  client.send(subscribe());
  REQUIRE((*client.receive())["op"] == "subscribed");
  Task reading_history = subscriptions.work.next();
  subscriptions.server.reset();
  CHECK(is_closed(client));
  reading_history();
}

TEST_CASE("websocket: a session is held while its history is read and its client has spoken") {
  Subscriptions subscriptions;
  subscriptions.append();
  WebsocketClient client(subscriptions.server->port());
  RawClient other_thread(subscriptions.server->port());
  RawClient same_thread(subscriptions.server->port());
  client.send(subscribe());
  REQUIRE((*client.receive())["op"] == "subscribed");
  Task reading_history = subscriptions.work.next();
  client.send_text("{}");
  // Connections take turns with the two threads: what one has sent is read before what another of
  // its thread sends then.
  REQUIRE(same_thread.get("/probe").status == 200);
  reading_history();
  CHECK((*client.receive())["op"] == "event");
  CHECK((*client.receive())["op"] == "caught_up");
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK((*answer)["op"] == "error");
}

TEST_CASE("websocket: a server ends while events are written for its subscribers") {
  for (int round = 0; round < 10; ++round) {
    Subscriptions subscriptions;
    subscriptions.append();
    std::vector<std::unique_ptr<WebsocketClient>> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(std::make_unique<WebsocketClient>(subscriptions.server->port()));
      clients.back()->send(subscribe());
      REQUIRE((*clients.back()->receive())["op"] == "subscribed");
      subscriptions.work.next()();
      while ((*clients.back()->receive())["op"] != "caught_up") continue;
    }
    std::atomic<bool> ended{false};
    std::jthread writer([&] {
      while (!ended) subscriptions.append();
    });
    REQUIRE((*clients.back()->receive())["op"] == "event");
    subscriptions.server.reset();
    ended = true;
  }
}
