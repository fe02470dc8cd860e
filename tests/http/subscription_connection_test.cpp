#include "http/subscription_connection.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::http;
using nlohmann::json;

namespace {

/// A connection over a real store, with the messages it sent.
class Client {
 public:
  explicit Client(test::TestStore& store, SubscriptionLimits limits = {})
      : connection_([&store](std::string_view name) { return store->find_topic(name); },
                    [this] { wake(); }, limits) {}

  /// Sends a message and returns what is answered at once.
  std::vector<json> send(const json& message) {
    MessageBatch out;
    connection_.receive(message.dump(), out);
    return messages(out);
  }
  void subscribe(const std::string& id, const std::string& from, std::uint64_t credit,
                 json more = json::object()) {
    more.update(
        {{"op", "subscribe"}, {"id", id}, {"topic", "test"}, {"from", from}, {"credit", credit}});
    const auto answers = send(more);
    REQUIRE(answers.size() == 1);
    REQUIRE(answers[0] == json({{"op", "subscribed"}, {"id", id}}));
  }
  /// Polls as long as something is ready.
  std::vector<json> drain(std::size_t bytes_max = 1u << 20) {
    std::vector<json> all;
    while (connection_.ready()) {
      MessageBatch out;
      connection_.poll(bytes_max, out);
      for (auto& message : messages(out)) all.push_back(std::move(message));
    }
    return all;
  }
  void wait_for_wake() {
    std::unique_lock lock(mutex_);
    woken_.wait(lock, [this] { return wakes_ > 0; });
    wakes_ = 0;
  }
  SubscriptionConnection& operator*() { return connection_; }

  static std::vector<json> messages(const MessageBatch& out) {
    std::vector<json> all;
    for (std::size_t i = 0; i < out.count(); ++i) all.push_back(json::parse(out.message(i)));
    return all;
  }

 private:
  void wake() {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    woken_.notify_one();
  }
  std::mutex mutex_;
  std::condition_variable woken_;
  int wakes_ = 0;
  SubscriptionConnection connection_;  // last: its end stops the wakes
};

void append(test::TestStore& store, const std::string& stream, int count,
            const std::string& type = "t") {
  StreamWrite write{stream, ExpectedVersion::any(), {}};
  for (int i = 0; i < count; ++i) write.events.push_back({type, "{}", ""});
  Commit commit;
  commit.writes.push_back(std::move(write));
  REQUIRE(test::commit(store.topic().home_of(stream), std::move(commit)));
}

/// Offsets of the events among `messages` for subscription `id`, in the order they came.
std::vector<std::uint64_t> offsets(const std::vector<json>& messages, const std::string& id) {
  std::vector<std::uint64_t> found;
  for (const json& message : messages) {
    if (message["op"] == "event" && message["id"] == id) found.push_back(message["offset"]);
  }
  return found;
}

std::vector<std::uint64_t> range(std::uint64_t first, std::uint64_t end) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t i = first; i < end; ++i) all.push_back(i);
  return all;
}

std::size_t count_op(const std::vector<json>& messages, const std::string& op) {
  return static_cast<std::size_t>(
      std::ranges::count_if(messages, [&](const json& message) { return message["op"] == op; }));
}

}  // namespace

TEST_CASE("subscription connection: history, then caught_up once, then live") {
  test::TestStore store;
  append(store, "account-1", 5);
  Client client(store);
  client.subscribe("s", "start", 1000);
  auto sent = client.drain();
  CHECK(offsets(sent, "s") == range(0, 5));
  REQUIRE(sent.size() == 6);
  CHECK(sent.back() == json({{"op", "caught_up"}, {"id", "s"}, {"position", "4"}}));
  CHECK_FALSE((*client).ready());

  append(store, "account-1", 2);
  client.wait_for_wake();
  CHECK((*client).live());
  sent = client.drain();
  CHECK(offsets(sent, "s") == range(5, 7));
  CHECK(count_op(sent, "caught_up") == 0);
}

TEST_CASE("subscription connection: not one event is sent without credit") {
  test::TestStore store;
  append(store, "account-1", 10);
  Client client(store);
  client.subscribe("s", "start", 0);
  CHECK_FALSE((*client).ready());
  client.send({{"op", "credit"}, {"id", "s"}, {"n", 3}});
  CHECK(offsets(client.drain(), "s") == range(0, 3));
  client.send({{"op", "credit"}, {"id", "s"}, {"n", 4}});
  CHECK(offsets(client.drain(), "s") == range(3, 7));
  // Two credits whose sum does not fit are as much as there is.
  client.send({{"op", "credit"}, {"id", "s"}, {"n", UINT64_MAX}});
  client.send({{"op", "credit"}, {"id", "s"}, {"n", 2}});
  CHECK(offsets(client.drain(), "s") == range(7, 10));
}

TEST_CASE("subscription connection: credit given while waiting at the end is kept for later") {
  test::TestStore store;
  append(store, "account-1", 1);
  Client client(store);
  client.subscribe("s", "end", 1);
  CHECK(count_op(client.drain(), "caught_up") == 1);
  client.send({{"op", "credit"}, {"id", "s"}, {"n", 1}});
  append(store, "account-1", 3);
  client.wait_for_wake();
  CHECK(offsets(client.drain(), "s") == range(1, 3));
}

TEST_CASE("subscription connection: begins at the position of the first event wanted") {
  test::TestStore store;
  append(store, "account-1", 10);
  Client client(store);
  client.subscribe("s", "7", 100);
  CHECK(offsets(client.drain(), "s") == range(7, 10));
  CHECK(client.send({{"op", "subscribe"},
                     {"id", "r"},
                     {"topic", "test"},
                     {"after", "7"},
                     {"credit", 100}})[0]["op"] == "subscribed");
  CHECK(offsets(client.drain(), "r") == range(8, 10));
  client.subscribe("e", "10", 100);
  CHECK(offsets(client.drain(), "e").empty());
}

TEST_CASE("subscription connection: a batch stops near its size and goes on where it stopped") {
  test::TestStore store;
  append(store, "account-1", 100);
  Client client(store);
  client.subscribe("s", "start", 1000);
  MessageBatch out;
  (*client).poll(500, out);
  CHECK(out.count() > 0);
  CHECK(out.bytes() < 1000);
  auto sent = Client::messages(out);
  for (auto& message : client.drain(500)) sent.push_back(std::move(message));
  CHECK(offsets(sent, "s") == range(0, 100));
}

TEST_CASE("subscription connection: subscriptions take turns, so none starves") {
  test::TestStore store;
  append(store, "account-1", 100);
  Client client(store, {.subscriptions_max = 64, .turn_events_max = 10, .turn_scan_max = 1000});
  client.subscribe("a", "start", 1000);
  client.subscribe("b", "start", 1000);
  MessageBatch out;
  (*client).poll(1u << 20, out);
  const auto sent = Client::messages(out);
  CHECK(offsets(sent, "a") == range(0, 10));
  CHECK(offsets(sent, "b") == range(0, 10));
  const auto rest = client.drain();
  CHECK(offsets(rest, "a") == range(10, 100));
  CHECK(offsets(rest, "b") == range(10, 100));
}

TEST_CASE("subscription connection: filters, and a turn that finds nothing goes on") {
  test::TestStore store;
  append(store, "account-1", 50, "deposited");
  append(store, "transfer-1", 1, "started");
  append(store, "account-2", 1, "opened");
  Client client(store, {.subscriptions_max = 64, .turn_events_max = 10, .turn_scan_max = 5});
  client.subscribe("type", "start", 10, {{"types", {"started", "opened"}}});
  client.subscribe("stream", "start", 10, {{"stream", "account-2"}});
  client.subscribe("prefix", "start", 10, {{"stream_prefix", "transfer-"}});
  const auto sent = client.drain();
  CHECK(offsets(sent, "type") == range(50, 52));
  CHECK(offsets(sent, "stream") == range(51, 52));
  CHECK(offsets(sent, "prefix") == range(50, 51));
  CHECK(count_op(sent, "caught_up") == 3);
}

TEST_CASE("subscription connection: unsubscribe and close tell where to resume") {
  test::TestStore store;
  append(store, "account-1", 10);
  Client client(store);
  client.subscribe("a", "start", 4);
  client.subscribe("b", "start", 2);
  client.drain();
  auto answers = client.send({{"op", "unsubscribe"}, {"id", "a"}});
  REQUIRE(answers.size() == 1);
  CHECK(answers[0] ==
        json({{"op", "closed"}, {"id", "a"}, {"reason", "unsubscribed"}, {"position", "3"}}));
  MessageBatch out;
  (*client).close("server-stopping", out);
  answers = Client::messages(out);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0] ==
        json({{"op", "closed"}, {"id", "b"}, {"reason", "server-stopping"}, {"position", "1"}}));
  CHECK_FALSE((*client).ready());
}

TEST_CASE("subscription connection: an id can be used again after its end") {
  test::TestStore store;
  append(store, "account-1", 1);
  Client client(store);
  client.subscribe("a", "start", 4);
  client.send({{"op", "unsubscribe"}, {"id", "a"}});
  client.subscribe("a", "start", 4);
  CHECK(offsets(client.drain(), "a") == range(0, 1));
}

TEST_CASE("subscription connection: each mistake is answered with its code, and the rest goes on") {
  test::TestStore store;
  append(store, "account-1", 1);
  Client client(store, {.subscriptions_max = 2});
  const auto code = [&](const json& message) {
    const auto answers = client.send(message);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0]["op"] == "error");
    CHECK(answers[0]["id"] == message["id"]);
    return answers[0]["code"].get<std::string>();
  };
  const json subscribe{
      {"op", "subscribe"}, {"id", "s"}, {"topic", "test"}, {"from", "start"}, {"credit", 9}};
  const auto with = [&](const char* name, json value) {
    json changed = subscribe;
    changed[name] = std::move(value);
    return changed;
  };
  CHECK(code(with("topic", "nowhere")) == "not-found");
  CHECK(code(with("from", "2")) == "beyond-end");
  CHECK(code(with("from", "0:0,1:0")) == "bad-request");
  CHECK(code({{"op", "credit"}, {"id", "s"}, {"n", 1}}) == "not-found");
  CHECK(code({{"op", "unsubscribe"}, {"id", "s"}}) == "not-found");
  CHECK(code({{"op", "join"}, {"id", "g"}, {"topic", "test"}, {"group", "g"}, {"credit", 1}}) ==
        "not-supported");
  CHECK(code({{"op", "ack"}, {"id", "g"}, {"partition", 0}, {"offset", 1}}) == "not-supported");
  client.subscribe("s", "start", 9);
  CHECK(code(subscribe) == "already-exists");
  client.subscribe("t", "start", 9);
  CHECK(code(with("id", "u")) == "overloaded");
  CHECK(offsets(client.drain(), "s") == range(0, 1));
}

TEST_CASE("subscription connection: every event once and in order while others are written") {
  test::TestStore store;
  static_cast<void>(store.topic());
  Client client(store);
  client.subscribe("s", "start", UINT64_MAX);
  constexpr int kEvents = 500;
  std::thread writer([&] {
    for (int i = 0; i < kEvents; ++i) {
      static_cast<void>(
          test::commit(store.topic().home_of("account-1"), test::write_to("account-1", {"{}"})));
    }
  });
  std::vector<json> all;
  while (offsets(all, "s").size() < kEvents) {
    for (auto& message : client.drain(2000)) all.push_back(std::move(message));
    if (offsets(all, "s").size() < kEvents && !(*client).ready()) client.wait_for_wake();
  }
  writer.join();
  CHECK(offsets(all, "s") == range(0, kEvents));
  CHECK(count_op(all, "caught_up") == 1);
}

TEST_CASE("subscription connection: partitions each in their order, resumed where they were") {
  test::TestStore store;
  Topic& topic = store.topic("test", 3);
  for (int i = 0; i < 30; ++i) append(store, "account-" + std::to_string(i), 2);
  const auto per_partition = [&](const std::vector<json>& messages, auto& seen) {
    for (const json& message : messages) {
      if (message["op"] == "event") seen[message["partition"]].push_back(message["offset"]);
    }
  };
  std::map<std::uint64_t, std::vector<std::uint64_t>> seen;
  std::string resume;
  {
    Client client(store);
    client.subscribe("s", "start", 25);
    per_partition(client.drain(), seen);
    resume = client.send({{"op", "unsubscribe"}, {"id", "s"}})[0]["position"];
  }
  Client client(store);
  client.send(
      {{"op", "subscribe"}, {"id", "s"}, {"topic", "test"}, {"after", resume}, {"credit", 1000}});
  per_partition(client.drain(), seen);
  for (std::uint32_t p = 0; p < 3; ++p) {
    CHECK(seen[p] == range(0, topic.partition(PartitionId(p)).end().value));
  }
}

TEST_CASE("subscriptions: to some partitions") {
  test::TestStore store;
  Topic& topic = store.topic("test", 3);
  for (int i = 0; i < 30; ++i) append(store, "s-" + std::to_string(i), 1);
  Client client(store);
  client.subscribe("s", "start", 100, {{"partitions", {0, 2}}});
  const auto sent = client.drain();
  std::size_t events = 0;
  for (const json& message : sent) {
    if (message["op"] != "event") continue;
    ++events;
    CHECK(message["partition"] != 1);
  }
  const auto end = [&](std::uint32_t p) { return topic.partition(PartitionId(p)).end().value; };
  CHECK(events == end(0) + end(2));
  const std::string position =
      "0:" + std::to_string(end(0) - 1) + ",2:" + std::to_string(end(2) - 1);
  CHECK(sent.back() == json({{"op", "caught_up"}, {"id", "s"}, {"position", position}}));
  for (const json& bad : {json::array(), json({0, -1}), json({0, 3}), json("0,2"), json({1.5})}) {
    CAPTURE(bad);
    const auto answer = client.send({{"op", "subscribe"},
                                     {"id", "bad"},
                                     {"topic", "test"},
                                     {"from", "start"},
                                     {"credit", 1},
                                     {"partitions", bad}});
    CHECK(answer[0]["code"] == "bad-request");
  }
}
