#include "engine/transport/tcp_transport.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/coding.h"
#include "tests/engine/transport/raw_peer.h"
#include "tests/engine/transport/test_node.h"

using namespace keelson;
using namespace keelson::test;
using namespace std::chrono_literals;

namespace {

const Member kOne = make_member(1);
const Member kTwo = make_member(2);

/// Peers of node 2, when nobody is to be reached.
const std::map<NodeId, std::string> kOneNowhere{{NodeId(1), "127.0.0.1:1"}};

std::string refusal_of(RawPeer& peer) {
  const auto shaken = peer.shake_hands();
  REQUIRE(!shaken.has_value());
  return shaken.error().context;
}

/// Sends numbered messages of a space and `filling` until nothing more is taken for a while; how
/// many went. The kernel's buffers hold some megabytes and the transport's one: far from a GB.
std::size_t send_until_stuck(TestNode& from, const Member& to, const std::string& filling) {
  std::size_t sent = 0;
  for (int refused = 0; refused < 100;) {
    if (from.transport().send(to, std::to_string(sent) + " " + filling)) {
      ++sent;
      refused = 0;
      REQUIRE(sent * filling.size() < 1u << 30);
    } else {
      ++refused;
      std::this_thread::sleep_for(1ms);
    }
  }
  return sent;
}

}  // namespace

TEST_CASE("transport: messages of all sizes arrive in order, both ways") {
  TestNode one(kOne);
  TestNode two(kTwo);
  connect(one, two);
  std::vector<std::string> sent;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t length = i % 100 == 7 ? 1'000'000 : static_cast<std::size_t>(i) % 300;
    sent.push_back(std::to_string(i) + std::string(length, static_cast<char>('a' + i % 26)));
  }
  const auto send_all = [&sent](TestNode& from, const Member& to) {
    for (const std::string& message : sent) {
      while (true) {
        const auto done = from.transport().send(to, message);
        if (done) break;
        REQUIRE(done.error().code == Errc::overloaded);
        std::this_thread::sleep_for(1ms);
      }
    }
  };
  std::thread other([&] { send_all(two, kOne); });
  send_all(one, kTwo);
  other.join();
  const auto heard_all = [&sent](const TestNode& node, const Member& from) {
    REQUIRE(node.heard.wait(to_text(from) + ": " + sent.back()));
    const auto heard = node.heard.all();
    REQUIRE(heard.size() == 1 + sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      REQUIRE(heard[i + 1] == to_text(from) + ": " + sent[i]);
    }
  };
  heard_all(one, kTwo);
  heard_all(two, kOne);
}

TEST_CASE("transport: an empty message is a message") {
  TestNode one(kOne);
  TestNode two(kTwo);
  connect(one, two);
  CHECK(one.transport().send(kTwo, "").has_value());
  CHECK(two.heard.wait("1.0: "));
}

TEST_CASE("transport: who is not connected cannot be sent to") {
  TestNode one(kOne);
  TestNode two(kTwo);
  CHECK(one.send_error(kTwo, "early") == Errc::closed);
  connect(one, two);
  CHECK(one.send_error(make_member(2, 9), "another data folder") == Errc::closed);
  CHECK(one.send_error(make_member(3), "unknown") == Errc::closed);
  CHECK(one.send_error(kOne, "itself") == Errc::closed);
  two.transport().stop();
  CHECK(one.heard.wait("disconnected 2.0"));
  CHECK(one.send_error(kTwo, "late") == Errc::closed);
  CHECK(two.send_error(kOne, "stopped") == Errc::closed);
}

TEST_CASE("transport: a node that is started again on its address is reached again") {
  TestNode one(kOne);
  auto two = std::make_unique<TestNode>(kTwo);
  connect(one, *two);
  auto options = make_options(kTwo);
  options.port = two->transport().port();
  for (int life = 1; life <= 3; ++life) {
    REQUIRE(one.transport().send(kTwo, "life " + std::to_string(life)).has_value());
    REQUIRE(two->heard.wait("1.0: life " + std::to_string(life)));
    two.reset();
    REQUIRE(one.heard.wait("disconnected 2.0", life));
    two = std::make_unique<TestNode>(options);
    two->start({{NodeId(1), one.address()}});
    REQUIRE(one.heard.wait("connected 2.0", life + 1));
    REQUIRE(two->heard.wait("connected 1.0"));
  }
}

TEST_CASE("transport: so is the one that dials, when it is started again") {
  TestNode two(kTwo);
  auto one = std::make_unique<TestNode>(kOne);
  connect(*one, two);
  for (int life = 1; life <= 3; ++life) {
    one = std::make_unique<TestNode>(kOne);
    one->start({{NodeId(2), two.address()}});
    REQUIRE(two.heard.wait("connected 1.0", life + 1));
    REQUIRE(one->heard.wait("connected 2.0"));
    CHECK(two.heard.count("disconnected 1.0") == static_cast<std::size_t>(life));
    REQUIRE(one->transport().send(kTwo, "life " + std::to_string(life)).has_value());
    REQUIRE(two.heard.wait("1.0: life " + std::to_string(life)));
  }
}

TEST_CASE("transport: of three nodes each two are connected, and the end of one is no other's") {
  TestNode one(kOne);
  TestNode two(kTwo);
  auto three = std::make_unique<TestNode>(make_member(3));
  const std::map<NodeId, std::string> peers{
      {NodeId(1), one.address()}, {NodeId(2), two.address()}, {NodeId(3), three->address()}};
  for (TestNode* const node : {&one, &two, three.get()}) node->start(peers);
  for (TestNode* const node : {&one, &two, three.get()}) {
    REQUIRE(node->heard.wait_until([](const auto& all) { return all.size() == 2; }));
  }
  three.reset();
  REQUIRE(one.heard.wait("disconnected 3.0"));
  REQUIRE(two.heard.wait("disconnected 3.0"));
  REQUIRE(one.transport().send(kTwo, "still").has_value());
  REQUIRE(two.heard.wait("1.0: still"));
  CHECK(one.heard.count("disconnected 2.0") == 0);
  REQUIRE(two.transport().set_peers({}).has_value());
  CHECK(two.heard.wait("disconnected 1.0"));
  CHECK(one.heard.wait("disconnected 2.0"));
}

TEST_CASE(
    "transport: a newer connection of a node replaces the older one, of which nothing more "
    "is delivered") {
  TestNode two(kTwo);
  two.start(kOneNowhere);
  RawPeer older(kOne, two.transport().port());
  REQUIRE(older.shake_hands().has_value());
  older.socket().write(older.frame("first"));
  REQUIRE(two.heard.wait("1.0: first"));
  RawPeer newer(kOne, two.transport().port());
  REQUIRE(newer.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0", 2));
  CHECK(older.socket().read_to_end().empty());
  newer.socket().write(newer.frame("second"));
  REQUIRE(two.heard.wait("1.0: second"));
  CHECK(two.heard.all() == std::vector<std::string>{"connected 1.0", "1.0: first",
                                                    "disconnected 1.0", "connected 1.0",
                                                    "1.0: second"});
  REQUIRE(two.transport().send(kOne, "to the newer").has_value());
  const auto frame = newer.read_frame();
  REQUIRE((frame && *frame));
  CHECK((*frame)->payload == "to the newer");
}

TEST_CASE(
    "transport: what an older connection still holds unread is lost when a newer one "
    "replaces it") {
  std::binary_semaphore reached(0);
  std::binary_semaphore go_on(0);
  std::atomic<int> calls = 0;
  TestNode two(make_options(kTwo), [&] {
    if (calls++ > 0) return;
    reached.release();
    go_on.acquire();
  });
  two.start(kOneNowhere);
  RawPeer newer(kOne, two.transport().port());
  RawPeer older(kOne, two.transport().port());
  REQUIRE(older.shake_hands().has_value());
  older.socket().write(older.frame("first"));
  reached.acquire();
  // The listener is busy: all of this waits in the sockets.
  for (int i = 0; i < 10'000; ++i) older.socket().write(older.frame("old"));
  std::thread release([&] { go_on.release(); });
  REQUIRE(newer.shake_hands().has_value());
  newer.socket().write(newer.frame("new"));
  release.join();
  REQUIRE(two.heard.wait("1.0: new"));
  const auto heard = two.heard.all();
  const auto replaced = std::ranges::find(heard, "disconnected 1.0");
  REQUIRE(replaced != heard.end());
  CHECK(std::vector<std::string>(replaced, heard.end()) ==
        std::vector<std::string>{"disconnected 1.0", "connected 1.0", "1.0: new"});
}

TEST_CASE("transport: a node with another data folder is another member") {
  TestNode two(kTwo);
  two.start(kOneNowhere);
  RawPeer before(kOne, two.transport().port());
  REQUIRE(before.shake_hands().has_value());
  RawPeer wiped(make_member(1, 7), two.transport().port());
  REQUIRE(wiped.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.7"));
  CHECK(two.heard.all() ==
        std::vector<std::string>{"connected 1.0", "disconnected 1.0", "connected 1.7"});
  CHECK(two.send_error(kOne, "to the old one") == Errc::closed);
  CHECK(two.transport().send(make_member(1, 7), "to the new one").has_value());
}

TEST_CASE("transport: who does not belong here is refused and told why") {
  TestNode two(kTwo);
  two.start({{NodeId(1), "127.0.0.1:1"}, {NodeId(3), "127.0.0.1:1"}});
  const std::string secret = make_options(kOne).secret;
  const std::uint16_t port = two.transport().port();
  struct Case {
    transport::Identity identity;
    std::string reason;
  };
  const std::vector<Case> cases{
      {{"other", secret, kOne, {}}, "node 2 is of the cluster 'test', not of 'other'"},
      {{"test", "another secret of theirs", kOne, {}}, "node 1 has another secret than node 2"},
      {{"test", secret, kTwo, {}}, "node 2 has reached itself"},
      {{"test", secret, kTwo, {1, {}}},
       "another process runs with the data folder of node 2, or a copy of it"},
      {{"test", secret, make_member(2, 5), {}}, "two nodes call themselves node 2"},
      {{"test", secret, make_member(4), {}}, "node 4 is not a peer of node 2"},
      {{"test", secret, make_member(3), {}}, "node 3 is to be dialled by node 2"},
  };
  for (const Case& refused : cases) {
    CAPTURE(refused.reason);
    RawPeer peer(refused.identity, port);
    CHECK(refusal_of(peer) == "refused by the other side: " + refused.reason);
    CHECK(peer.socket().read_to_end().empty());
    CHECK(two.troubles.wait_part(refused.reason));
  }
  CHECK(two.heard.all().empty());
  RawPeer good(kOne, port);
  CHECK(good.shake_hands().has_value());
}

TEST_CASE("transport: of two incarnations of a member the later counts, and the other is refused") {
  TestNode two(kTwo);
  two.start({{NodeId(1), "127.0.0.1:1"}});
  const std::uint16_t port = two.transport().port();
  RawPeer first(kOne, port, 17);
  REQUIRE(first.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  RawPeer second(kOne, port, 18);
  REQUIRE(second.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0", 2));
  CHECK(first.socket().read_to_end().empty());
  // It is still there, and tries again. The later one keeps its connection.
  const std::string why =
      "node 1 runs twice, with one data folder or a copy of it: start 18 of it is known, and start "
      "17 is refused";
  RawPeer again(kOne, port, 17);
  CHECK(refusal_of(again) == "refused by the other side: " + why);
  CHECK(two.troubles.wait_part("locked: "));
  CHECK(two.troubles.wait_part(why));
  second.socket().write(second.frame("still here"));
  CHECK(two.heard.wait("1.0: still here"));
  // Another data folder has starts of its own.
  RawPeer other(make_member(1, 7), port, 1);
  CHECK(other.shake_hands().has_value());
}

TEST_CASE("transport: a member that was heard of as started anew is let go of") {
  TestNode two(kTwo);
  two.start({{NodeId(1), "127.0.0.1:1"}});
  const std::uint16_t port = two.transport().port();
  RawPeer first(kOne, port, 17);
  REQUIRE(first.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  two.transport().outdate(kOne, {17, {}});
  two.transport().outdate(make_member(1, 7), {40, {}});
  first.socket().write(first.frame("still here"));
  REQUIRE(two.heard.wait("1.0: still here"));
  two.transport().outdate(kOne, {18, {}});
  CHECK(two.heard.wait("disconnected 1.0"));
  CHECK(first.socket().read_to_end().empty());
  RawPeer again(kOne, port, 17);
  CHECK(refusal_of(again).find("runs twice") != std::string::npos);
  RawPeer second(kOne, port, 18);
  CHECK(second.shake_hands().has_value());
}

TEST_CASE("transport: other versions are refused and told why") {
  TestNode two(kTwo);
  two.start(kOneNowhere);
  const auto answer_to = [&two](const std::string& bytes) {
    const RawSocket socket = RawSocket::dial(two.transport().port());
    socket.write(bytes);
    return socket.read_to_end();
  };
  std::string hello = transport::encode_hello({"test", kOne, {}, {}});
  put(hello.data() + transport::hello_fields::kVersion, std::uint16_t{1});
  CHECK(answer_to(transport::encode_frame(transport::FrameKind::hello, 0, hello))
            .ends_with("version 1 of the protocol is not spoken here, only 2"));
  std::string frame = transport::encode_frame(transport::FrameKind::hello, 0, hello);
  put(frame.data() + transport::frame_header::kVersion, std::uint16_t{3});
  CHECK(answer_to(frame).ends_with("frames of version 3 are not understood, only 1"));
  CHECK(two.troubles.wait_part("unsupported_format"));
  CHECK(two.heard.all().empty());
}

TEST_CASE("transport: a node is not taken for the one that was expected") {
  TestNode one(kOne);
  TestNode two(kTwo);
  two.start({{NodeId(1), one.address()}});
  one.start({{NodeId(3), two.address()}});
  CHECK(one.troubles.wait_part("node 2 answers where node 3 was expected"));
  CHECK(two.troubles.wait_part("refused by the other side: node 2 answers where node 3"));
  CHECK(one.heard.all().empty());
  // Its own address, listed as another's.
  REQUIRE(one.transport().set_peers({{NodeId(3), one.address()}}).has_value());
  CHECK(one.troubles.wait_part("node 1 has reached itself"));
  CHECK(one.heard.all().empty());
}

TEST_CASE("transport: peers may move, and who is no longer listed is disconnected") {
  TestNode one(kOne);
  TestNode two(kTwo);
  connect(one, two);
  const auto refused = one.transport().set_peers({{NodeId(2), "no address"}});
  REQUIRE(!refused.has_value());
  CHECK(refused.error().code == Errc::bad_request);
  // The same again changes nothing.
  REQUIRE(one.transport().set_peers({{NodeId(2), two.address()}}).has_value());
  REQUIRE(one.transport().send(kTwo, "still").has_value());
  REQUIRE(two.heard.wait("1.0: still"));

  TestNode moved(kTwo);
  moved.start({{NodeId(1), one.address()}});
  REQUIRE(one.transport().set_peers({{NodeId(2), moved.address()}}).has_value());
  REQUIRE(moved.heard.wait("connected 1.0"));
  REQUIRE(two.heard.wait("disconnected 1.0"));
  REQUIRE(one.heard.wait("connected 2.0", 2));

  // By the one who accepts, too; and then it is not let in again.
  REQUIRE(moved.transport().set_peers({}).has_value());
  REQUIRE(moved.heard.wait("disconnected 1.0"));
  CHECK(one.troubles.wait_part("refused by the other side: node 1 is not a peer of node 2"));
  REQUIRE(one.transport().set_peers({}).has_value());
  REQUIRE(moved.transport().set_peers({{NodeId(1), one.address()}}).has_value());
  REQUIRE(one.transport().set_peers({{NodeId(2), moved.address()}}).has_value());
  CHECK(moved.heard.wait("connected 1.0", 2));
}

TEST_CASE("transport: a connection lasts when its peer is said to be where nobody answers") {
  TestNode one(kOne);
  TestNode two(kTwo);
  connect(one, two);
  REQUIRE(one.transport().set_peers({{NodeId(2), "127.0.0.1:1"}}).has_value());
  CHECK(one.troubles.wait_part("2 io_error: 127.0.0.1:1: connect"));  // it is tried
  REQUIRE(one.transport().send(kTwo, "still").has_value());
  CHECK(two.heard.wait("1.0: still"));
  CHECK(one.heard.count("disconnected 2.0") == 0);
  // When it breaks there is nobody, until the right address is known again.
  two.transport().stop();
  REQUIRE(one.heard.wait("disconnected 2.0"));
  TestNode again(kTwo);
  again.start({{NodeId(1), one.address()}});
  REQUIRE(one.transport().set_peers({{NodeId(2), again.address()}}).has_value());
  CHECK(one.heard.wait("connected 2.0", 2));
}

TEST_CASE("transport: what a peer does not read is bounded, and nothing of it is lost") {
  auto options = make_options(kTwo);
  options.send_buffer_bytes_max = 1 << 20;
  TestNode two(options);
  two.start(kOneNowhere);
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  const std::string filling(100'000, 'x');
  const std::size_t sent = send_until_stuck(two, kOne, filling);
  CHECK(two.send_error(kOne, filling) == Errc::overloaded);
  CHECK(two.heard.count("disconnected 1.0") == 0);
  for (std::size_t i = 0; i < sent; ++i) {
    const auto frame = one.read_frame();
    REQUIRE((frame && *frame));
    REQUIRE((*frame)->payload == std::to_string(i) + " " + filling);
  }
  // There is room again for as much as there was.
  for (int i = 0; i < 20; ++i) {
    int tries = 0;
    while (!two.transport().send(kOne, filling)) {
      REQUIRE(++tries < 30'000);
      std::this_thread::sleep_for(1ms);
    }
    const auto frame = one.read_frame();
    REQUIRE((frame && *frame));
    CHECK((*frame)->payload == filling);
  }
}

TEST_CASE("transport: a peer that takes nothing of what waits for it is given up") {
  auto options = make_options(kTwo);
  options.dead_peer = 500ms;
  TestNode two(options);
  two.start(kOneNowhere);
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  // More than the kernel's buffers hold.
  REQUIRE(two.transport().send(kOne, std::string(60u << 20, 'x')).has_value());
  CHECK(two.heard.wait("disconnected 1.0"));
}

TEST_CASE("transport: a small message does not wait for all of what another flow has to send") {
  std::promise<void> read_on;
  TestNode one(kOne);
  TestNode two(make_options(kTwo), [released = read_on.get_future().share()] { released.wait(); });
  connect(one, two);
  // Far more than what sockets hold.
  constexpr int kLarge = 48;
  const std::string filling(1u << 20, 'x');
  for (int i = 0; i < kLarge; ++i) {
    REQUIRE(one.transport().send(kTwo, std::to_string(i) + filling, replication::Flow(1)));
  }
  CHECK(one.transport().waiting(kTwo) > 0);
  REQUIRE(one.transport().send(kTwo, "its own last", replication::Flow(1)));
  REQUIRE(one.transport().send(kTwo, "heartbeat", replication::Flow(2)));
  read_on.set_value();
  REQUIRE(two.heard.wait("1.0: its own last"));
  const auto heard = two.heard.all();
  const auto place = [&](const std::string& what) {
    return std::ranges::find(heard, what) - heard.begin();
  };
  CHECK(place("1.0: heartbeat") < place("1.0: " + std::to_string(kLarge / 2) + filling));
  for (int i = 0; i < kLarge; ++i) {
    const auto next = i + 1 == kLarge ? "its own last" : std::to_string(i + 1) + filling;
    CHECK(place("1.0: " + std::to_string(i) + filling) < place("1.0: " + next));
  }
  CHECK(one.transport().waiting(make_member(2, 7)) == 0);
}

TEST_CASE("transport: while a listener is busy what peers send waits with them") {
  std::binary_semaphore reached(0);
  std::binary_semaphore go_on(0);
  std::atomic<int> calls = 0;
  auto options = make_options(kOne);
  options.send_buffer_bytes_max = 1 << 20;
  TestNode one(options);
  TestNode two(make_options(kTwo), [&] {
    if (calls++ > 0) return;
    reached.release();
    go_on.acquire();
  });
  connect(one, two);
  REQUIRE(one.transport().send(kTwo, "first").has_value());
  reached.acquire();
  const std::string filling(100'000, 'x');
  const std::size_t sent = send_until_stuck(one, kTwo, filling);
  CHECK(two.heard.all() == std::vector<std::string>{"connected 1.0"});
  go_on.release();
  REQUIRE(two.heard.wait("1.0: " + std::to_string(sent - 1) + " " + filling));
  CHECK(two.heard.all().size() == sent + 2);
}

TEST_CASE("transport: a message over the limit is not sent, one over the buffer is") {
  auto options = make_options(kOne);
  options.message_bytes_max = 1000;
  options.send_buffer_bytes_max = 10;
  TestNode one(options);
  TestNode two(kTwo);
  connect(one, two);
  CHECK(one.send_error(kTwo, std::string(1001, 'x')) == Errc::too_large);
  REQUIRE(one.transport().send(kTwo, std::string(1000, 'x')).has_value());
  CHECK(two.heard.wait("1.0: " + std::string(1000, 'x')));
}

TEST_CASE("transport: a frame over the limit ends the connection before it has come") {
  auto options = make_options(kTwo);
  options.message_bytes_max = 1000;
  TestNode two(options);
  two.start(kOneNowhere);
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  const std::string frame = one.frame(std::string(1001, 'x'));
  one.socket().write(frame.substr(0, transport::frame_header::kBytes));
  CHECK(one.socket().read_to_end().empty());
  CHECK(two.troubles.wait_part("1 too_large"));
}

TEST_CASE("transport: a damaged frame ends the connection, and nothing of it is delivered") {
  TestNode two(kTwo);
  two.start(kOneNowhere);
  const std::string message = "a message";
  const std::size_t length = transport::frame_header::kBytes + message.size();
  for (std::size_t damaged = 0; damaged < length; ++damaged) {
    CAPTURE(damaged);
    RawPeer one(kOne, two.transport().port());
    REQUIRE(one.shake_hands().has_value());
    std::string bytes = one.frame(message);
    bytes[damaged] = static_cast<char>(bytes[damaged] ^ 1);
    one.socket().write(one.frame("before") + bytes + one.frame("after"));
    CHECK(one.socket().read_to_end().empty());
    REQUIRE(two.heard.wait("disconnected 1.0", static_cast<std::ptrdiff_t>(damaged + 1)));
  }
  CHECK(two.heard.count("1.0: before") == length);
  CHECK(two.heard.all().size() == 3 * length);
}

TEST_CASE("transport: a frame of another connection, or of the other direction, is a damaged one") {
  TestNode two(kTwo);
  two.start(kOneNowhere);
  std::string recorded;
  {
    RawPeer one(kOne, two.transport().port());
    REQUIRE(one.shake_hands().has_value());
    recorded = one.frame("recorded");
  }
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  one.socket().write(recorded);
  CHECK(one.socket().read_to_end().empty());
  RawPeer mirror(kOne, two.transport().port());
  REQUIRE(mirror.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0", 3));
  REQUIRE(two.transport().send(kOne, "reflected").has_value());
  const std::string reflected = mirror.socket().read();
  mirror.socket().write(reflected);
  CHECK(mirror.socket().read_to_end().empty());
  REQUIRE(two.heard.wait("disconnected 1.0", 3));
  CHECK(two.heard.count("1.0: recorded") == 0);
  CHECK(two.heard.count("1.0: reflected") == 0);
}

TEST_CASE("transport: garbage is cut off at once, silence after a while") {
  auto options = make_options(kTwo);
  options.handshake_timeout = 300ms;
  TestNode two(options);
  two.start(kOneNowhere);
  const RawSocket silent = RawSocket::dial(two.transport().port());
  RawPeer half(kOne, two.transport().port());
  half.socket().write(transport::encode_frame(transport::FrameKind::hello, 0, "x").substr(0, 20));
  CHECK(silent.read_to_end().empty());
  CHECK(half.socket().read_to_end().empty());
  CHECK(two.troubles.wait_part("? timeout"));
  const RawSocket garbage = RawSocket::dial(two.transport().port());
  garbage.write("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
  CHECK(garbage.read_to_end().ends_with("what came is not a frame"));
  CHECK(two.heard.all().empty());
}

TEST_CASE("transport: strangers that hold on to their places lose them, and nodes get in") {
  auto options = make_options(kTwo);  // who says nothing may stay for long
  options.strangers_max = 4;
  TestNode two(options);
  two.start(kOneNowhere);
  std::vector<RawSocket> strangers;
  for (int i = 0; i < 40; ++i) strangers.push_back(RawSocket::dial(two.transport().port()));
  RawPeer one(kOne, two.transport().port());
  CHECK(one.shake_hands().has_value());
  // Those that came first are gone; the last three are still there.
  for (int i = 0; i < 37; ++i) CHECK(strangers[static_cast<std::size_t>(i)].read_to_end().empty());
  CHECK(two.troubles.wait_part("gave way to newer connections"));
}

TEST_CASE("transport: an address where nobody answers is tried again") {
  auto options = make_options(kOne);
  options.handshake_timeout = 100ms;
  TestNode one(options);
  // Accepts by the kernel alone.
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const RawSocket listening(socket);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(socket, 64) == 0);
  socklen_t length = sizeof address;
  REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  one.start({{NodeId(2), "127.0.0.1:" + std::to_string(ntohs(address.sin_port))},
             {NodeId(3), "127.0.0.1:1"},
             {NodeId(4), "localhost:1"}});
  const auto tried = [&one](const std::string& what) {
    return one.troubles.wait_until([&](const std::vector<std::string>& all) {
      return std::ranges::count_if(all, [&](const auto& t) { return t.starts_with(what); }) >= 3;
    });
  };
  CHECK(tried("2 timeout"));
  CHECK(tried("3 io_error: 127.0.0.1:1: connect"));
  CHECK(tried("4 io_error: localhost:1: connect"));
}

TEST_CASE("transport: a connected peer can be sent to from within the callback") {
  SystemClock clock;
  SystemRandom random;
  TestNode two(kTwo);
  auto one = TcpTransport::open(make_options(kOne), clock, random);
  REQUIRE(one.has_value());
  TcpTransport* const transport = one->get();
  transport->set_listener(
      {.received = [](const Member&, const std::string&) {},
       .received_file = [](const Member&, const std::string&, const std::string&) {},
       .connected =
           [transport](const Member& peer) { CHECK(transport->send(peer, "at once").has_value()); },
       .disconnected =
           [transport](const Member& peer) {
             CHECK(!transport->send(peer, "too late").has_value());
           }});
  two.start({{NodeId(1), "127.0.0.1:" + std::to_string(transport->port())}});
  REQUIRE(transport->set_peers({{NodeId(2), two.address()}}).has_value());
  CHECK(two.heard.wait("1.0: at once"));
  two.transport().stop();
}

TEST_CASE("transport: stopping under load ends everything at once") {
  for (int round = 0; round < 5; ++round) {
    TestNode one(kOne);
    TestNode two(kTwo);
    connect(one, two);
    std::atomic<bool> done = false;
    std::vector<std::thread> senders;
    for (int i = 0; i < 4; ++i) {
      senders.emplace_back([&, i] {
        TestNode& from = i % 2 == 0 ? one : two;
        const Member& to = i % 2 == 0 ? kTwo : kOne;
        while (!done) {
          [[maybe_unused]] const auto sent = from.transport().send(to, std::string(5000, 'x'));
          [[maybe_unused]] const auto set =
              from.transport().set_peers({{to.node, (i % 2 == 0 ? two : one).address()}});
        }
      });
    }
    REQUIRE(two.heard.wait_part("1.0: xxx"));
    two.transport().stop();
    const std::size_t heard = two.heard.all().size();
    one.transport().stop();
    done = true;
    for (std::thread& sender : senders) sender.join();
    CHECK(two.heard.all().size() == heard);  // no call after `stop`
  }
}

TEST_CASE("transport: a transport that was never started stops") {
  const TestNode one(kOne);
  CHECK(one.heard.all().empty());
}

TEST_CASE("transport: wrong options are refused") {
  SystemClock clock;
  SystemRandom random;
  const auto code_of = [&](const TcpTransportOptions& options) {
    const auto opened = TcpTransport::open(options, clock, random);
    REQUIRE(!opened.has_value());
    return opened.error().code;
  };
  auto options = make_options(kOne);
  options.secret = "too short";
  CHECK(code_of(options) == Errc::bad_request);
  options = make_options(kOne);
  options.cluster = "";
  CHECK(code_of(options) == Errc::bad_request);
  options = make_options(kOne);
  options.address = "localhost";
  CHECK(code_of(options) == Errc::bad_request);
  const TestNode one(kOne);
  options = make_options(kOne);
  options.port = 1;
  options.address = "192.0.2.1";  // not ours
  CHECK(code_of(options) == Errc::bad_request);
}
