// A node's transport with a listener that keeps all it hears, on 127.0.0.1.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/transport/tcp_transport.h"

namespace keelson::test {

using replication::FileRegion;
using replication::Member;
using replication::NodeId;
using transport::TcpTransport;
using transport::TcpTransportOptions;

/// Far longer than anything takes.
inline constexpr std::chrono::seconds kPatience{30};

/// Of node `node`, with a data folder that `data` tells from others.
inline Member make_member(std::uint32_t node, std::uint8_t data = 0) {
  Member member{NodeId(node), {}};
  member.data.bytes[0] = static_cast<std::byte>(node);
  member.data.bytes[1] = static_cast<std::byte>(data);
  return member;
}

inline TcpTransportOptions make_options(const Member& self) {
  TcpTransportOptions options;
  options.cluster = "test";
  options.secret = "a secret for the tests";
  options.self = self;
  options.handshake_timeout = kPatience;  // where a test waits for it, it sets its own
  options.dead_peer = kPatience;
  return options;
}

/// What was heard, in order: `connected 1.0`, `1.0: message`, `1.0: message + bytes`,
/// `disconnected 1.0`, where 1.0 is `make_member(1, 0)`. Thread-safe.
class Heard {
 public:
  void add(std::string what) {
    {
      const std::lock_guard lock(mutex_);
      all_.push_back(std::move(what));
    }
    changed_.notify_all();
  }
  [[nodiscard]] std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }
  [[nodiscard]] std::size_t count(const std::string& what) const {
    const auto now = all();
    return static_cast<std::size_t>(std::ranges::count(now, what));
  }
  /// Whether `what` is heard `times` times within the patience of the tests.
  [[nodiscard]] bool wait(const std::string& what, std::ptrdiff_t times = 1) const {
    return wait_until([&](const auto& all) { return std::ranges::count(all, what) >= times; });
  }
  /// Whether something that contains `part` is.
  [[nodiscard]] bool wait_part(const std::string& part) const {
    return wait_until([&](const auto& all) {
      return std::ranges::any_of(
          all, [&](const std::string& one) { return one.find(part) != one.npos; });
    });
  }
  [[nodiscard]] bool wait_until(
      const std::function<bool(const std::vector<std::string>&)>& holds) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return holds(all_); });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> all_;
};

inline std::string to_text(const Member& member) {
  return std::to_string(member.node.value) + "." +
         std::to_string(std::to_integer<int>(member.data.bytes[1]));
}

class TestNode {
 public:
  /// Where a listener may be slow, or do something. Called before the message is kept.
  using Hook = std::function<void()>;

  explicit TestNode(TcpTransportOptions options, Hook on_message = {})
      : self_(options.self), on_message_(std::move(on_message)) {
    options.report = [this](std::optional<NodeId> peer, const Error& why) {
      troubles.add((peer ? std::to_string(peer->value) : "?") + " " + why.message());
    };
    auto opened = TcpTransport::open(std::move(options), clock_, random_);
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message()));
    transport_ = *std::move(opened);
  }
  explicit TestNode(const Member& self) : TestNode(make_options(self)) {}
  ~TestNode() { transport_->stop(); }

  void start(const std::map<NodeId, std::string>& peers) {
    transport_->set_listener(
        {.received =
             [this](const Member& from, std::string message) {
               if (on_message_) on_message_();
               heard.add(to_text(from) + ": " + message);
             },
         .received_file =
             [this](const Member& from, std::string message, std::string bytes) {
               if (on_message_) on_message_();
               heard.add(to_text(from) + ": " + message + " + " + bytes);
             },
         .connected = [this](const Member& peer) { heard.add("connected " + to_text(peer)); },
         .disconnected =
             [this](const Member& peer) { heard.add("disconnected " + to_text(peer)); }});
    REQUIRE(transport_->set_peers(peers).has_value());
  }

  [[nodiscard]] TcpTransport& transport() { return *transport_; }
  [[nodiscard]] const Member& self() const { return self_; }
  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(transport_->port());
  }
  [[nodiscard]] Errc send_error(const Member& to, std::string message) {
    const auto sent = transport_->send(to, std::move(message));
    REQUIRE(!sent.has_value());
    return sent.error().code;
  }

  Heard heard;
  Heard troubles;  ///< `1 bad_request: …`, `? corruption: …`

 private:
  const Member self_;
  const Hook on_message_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<TcpTransport> transport_;
};

/// Starts both with each other as peers.
inline void connect(TestNode& a, TestNode& b) {
  const std::map<NodeId, std::string> peers{{a.self().node, a.address()},
                                            {b.self().node, b.address()}};
  a.start(peers);
  b.start(peers);
  REQUIRE(a.heard.wait("connected " + to_text(b.self())));
  REQUIRE(b.heard.wait("connected " + to_text(a.self())));
}

}  // namespace keelson::test
