#include "engine/transport/tcp_transport.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/host_port.h"
#include "engine/io/file_system.h"
#include "engine/transport/asio.h"
#include "engine/transport/frame.h"
#include "engine/transport/handshake.h"
#include "engine/transport/link.h"
#include "engine/transport/outbox.h"
#include "engine/transport/wire.h"

namespace keelson::transport {

using replication::FileRegion;

namespace {

constexpr std::size_t kSecretBytesMin = 16;
/// Read at a time before the other side is known.
constexpr std::size_t kGreetingBytes = 1024;
/// Out of file descriptors, say: trying again at once would only burn the processor.
constexpr std::chrono::milliseconds kAcceptPause{50};

std::string name_of(NodeId node) { return "node " + std::to_string(node.value); }

Error with_place(Error error, const std::string& place) {
  if (!place.empty()) error.context = place + ": " + error.context;
  return error;
}

Result<void> check(const TcpTransportOptions& options) {
  if (options.cluster.empty() || options.cluster.size() > kClusterNameBytesMax) {
    return fail(Errc::bad_request, "the cluster's name must have 1 to 255 bytes");
  }
  if (options.secret.size() < kSecretBytesMin) {
    return fail(Errc::bad_request, "the cluster's secret must have 16 bytes or more");
  }
  if (options.strangers_max == 0 || options.redial_min.count() <= 0 ||
      options.redial_max < options.redial_min) {
    return fail(Errc::bad_request, "the transport's limits contradict each other");
  }
  return {};
}

/// What goes on to reach one peer.
struct Dial {
  NodeId node;
  HostPort address;
  asio::steady_timer timer;
  std::shared_ptr<Wire> wire;  ///< until it is a link's
  bool cancelled = false;

  void cancel() {
    cancelled = true;
    timer.cancel();
    if (wire) wire->close();
  }
};

/// Who is connected, as `send` sees it.
struct Entry {
  Member member;
  std::shared_ptr<Outbox> outbox;
  std::weak_ptr<Link> link;
};

}  // namespace

class TcpTransport::Impl {
 public:
  Impl(TcpTransportOptions options, Clock& clock, Random& random)
      : options_(std::move(options)),
        identity_{options_.cluster, options_.secret, options_.self, options_.incarnation},
        clock_(clock),
        random_(random),
        context_(std::make_unique<asio::io_context>(1)) {}
  ~Impl() { stop(); }

  Result<void> listen();
  [[nodiscard]] std::uint16_t port() const { return port_; }

  // From any thread.
  void start(Listener listener);
  Result<void> set_peers(const std::map<NodeId, std::string>& texts);
  void outdate(const Member& member, const Incarnation& latest);
  Result<void> send(const Member& to, std::string message, std::optional<FileRegion> region,
                    Flow flow);
  [[nodiscard]] std::size_t waiting(const Member& to) const;
  [[nodiscard]] Result<void> check_region(const FileRegion& region) const;
  void stop();

 private:
  // On the transport's thread.
  Awaitable<void> accept();
  Awaitable<void> serve(std::shared_ptr<Wire> wire);
  Awaitable<void> dial(std::shared_ptr<Dial> dial);
  Awaitable<Result<std::shared_ptr<Link>>> reach(std::shared_ptr<Dial> dial);
  Awaitable<Result<std::vector<tcp::endpoint>>> resolve(HostPort address);
  Awaitable<Result<std::shared_ptr<Link>>> greet(std::shared_ptr<Wire> wire, Side side,
                                                 std::optional<NodeId> expected);
  Awaitable<Result<std::shared_ptr<Link>>> prove(std::shared_ptr<Wire> wire, Side side,
                                                 std::optional<NodeId> expected);
  Awaitable<void> run(std::shared_ptr<Link> link);
  Awaitable<void> write(std::shared_ptr<Link> link);

  [[nodiscard]] Result<void> admit(const Peer& peer, Side side,
                                   std::optional<NodeId> expected) const;
  [[nodiscard]] Result<void> check_latest(const Peer& peer) const;
  void note_latest(const Member& member, const Incarnation& incarnation);
  void apply_peers(const std::map<NodeId, HostPort>& peers);
  void adopt(const std::shared_ptr<Link>& link);
  void end(const std::shared_ptr<Link>& link, Error why);
  void report(std::optional<NodeId> peer, const Error& why) const;
  void spawn(Awaitable<void> coroutine);
  [[nodiscard]] std::chrono::nanoseconds jittered(std::chrono::nanoseconds pause) const;

  const TcpTransportOptions options_;
  const Identity identity_;
  Clock& clock_;
  Random& random_;
  std::uint16_t port_ = 0;
  std::unique_ptr<asio::ssl::context> tls_;

  std::mutex lifecycle_;  ///< of who starts and stops
  std::thread thread_;

  mutable std::mutex mutex_;
  bool stopped_ = false;             ///< with the mutex: nobody reaches the context any more
  std::map<NodeId, Entry> entries_;  ///< with the mutex

  // Of the transport's thread.
  Listener listener_;
  std::map<NodeId, HostPort> peers_;
  std::map<NodeId, std::shared_ptr<Dial>> dials_;
  std::map<NodeId, std::shared_ptr<Link>> links_;
  std::map<Member, Incarnation> latest_;  ///< of members that have been connected, or heard of
  std::list<std::shared_ptr<Wire>> strangers_;  ///< the oldest first
  std::optional<tcp::acceptor> acceptor_;

  /// Destroyed before all else: the coroutines that are left in it end with it.
  std::unique_ptr<asio::io_context> context_;
};

// --- from any thread ---

Result<void> TcpTransport::Impl::listen() {
  KEELSON_TRY(check(options_));
  if (options_.tls) {
    KEELSON_TRY_ASSIGN(tls_, make_tls_context(*options_.tls));
  }
  error_code error;
  const auto address = asio::ip::make_address(options_.address, error);
  if (error) {
    return fail(Errc::bad_request,
                "'" + options_.address + "' is not a numeric address to listen on");
  }
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.emplace(*context_);
  acceptor_->open(endpoint.protocol(), error);
  if (!error) acceptor_->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_->bind(endpoint, error);
  if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(Errc::bad_request, "cannot listen on " + options_.address + " port " +
                                       std::to_string(options_.port) + ": " + error.message());
  }
  port_ = acceptor_->local_endpoint(error).port();
  return {};
}

void TcpTransport::Impl::start(Listener listener) {
  const std::lock_guard lock(lifecycle_);
  KEELSON_ASSERT(!thread_.joinable());
  KEELSON_ASSERT(listener.received && listener.received_file && listener.connected &&
                 listener.disconnected);
  if (!context_) return;
  listener_ = std::move(listener);
  spawn(accept());
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "transport");
    // A connection that is gone is an error of the write, whatever the process does with signals.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    const auto work = asio::make_work_guard(*context_);
    context_->run();
  });
}

Result<void> TcpTransport::Impl::set_peers(const std::map<NodeId, std::string>& texts) {
  std::map<NodeId, HostPort> peers;
  for (const auto& [node, text] : texts) {
    KEELSON_TRY_ASSIGN(HostPort address, parse_host_port(text));
    if (address.port == 0) return fail(Errc::bad_request, "'" + text + "' has no port to reach");
    if (node != options_.self.node) peers.emplace(node, std::move(address));
  }
  const std::lock_guard lock(mutex_);
  if (stopped_) return {};
  asio::post(*context_, [this, peers = std::move(peers)] { apply_peers(peers); });
  return {};
}

Result<void> TcpTransport::Impl::send(const Member& to, std::string message,
                                      std::optional<FileRegion> region, Flow flow) {
  if (message.size() > options_.message_bytes_max) {
    return fail(Errc::too_large, "a message of " + std::to_string(message.size()) + " bytes");
  }
  Entry entry;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(to.node);
    if (found == entries_.end() || found->second.member != to) {
      return fail(Errc::closed, name_of(to.node) + " is not connected");
    }
    entry = found->second;
  }
  Outgoing item;
  item.flow = flow;
  item.header = make_frame_header(region ? FrameKind::file : FrameKind::message,
                                  entry.outbox->seed(), message, region ? region->length : 0);
  item.message = std::move(message);
  item.region = std::move(region);
  auto pushed = entry.outbox->push(std::move(item));
  if (!pushed) return std::unexpected(with_place(std::move(pushed).error(), name_of(to.node)));
  if (*pushed == Outbox::Writer::awake) return {};
  const std::lock_guard lock(mutex_);
  if (stopped_) return {};
  asio::post(*context_, [link = std::move(entry.link)] {
    if (const auto there = link.lock()) there->wake();
  });
  return {};
}

std::size_t TcpTransport::Impl::waiting(const Member& to) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(to.node);
  return found == entries_.end() || found->second.member != to ? 0 : found->second.outbox->bytes();
}

void TcpTransport::Impl::outdate(const Member& member, const Incarnation& latest) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  asio::post(*context_, [this, member, latest] { note_latest(member, latest); });
}

Result<void> TcpTransport::Impl::check_region(const FileRegion& region) const {
  if (region.length > options_.region_bytes_max) {
    return fail(Errc::too_large, "a region of " + std::to_string(region.length) + " bytes");
  }
  KEELSON_TRY_ASSIGN(const std::uint64_t size, region.file->size());
  if (region.position > size || region.length > size - region.position) {
    return fail(Errc::bad_request, "a region of " + std::to_string(region.length) + " bytes at " +
                                       std::to_string(region.position) + " in a file of " +
                                       std::to_string(size));
  }
  return {};
}

void TcpTransport::Impl::stop() {
  const std::lock_guard lifecycle(lifecycle_);
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    entries_.clear();
  }
  if (!context_) return;
  context_->stop();
  if (thread_.joinable()) {
    KEELSON_ASSERT(thread_.get_id() != std::this_thread::get_id());
    thread_.join();
  }
  links_.clear();
  dials_.clear();
  strangers_.clear();
  acceptor_.reset();
  context_.reset();
}

// --- peers, on the transport's thread ---

/// Where a peer is to be reached may be wrong: a connection that there is lasts until it breaks, or
/// there is one with the new address.
void TcpTransport::Impl::apply_peers(const std::map<NodeId, HostPort>& peers) {
  peers_ = peers;
  std::erase_if(dials_, [this](const auto& one) {
    const auto& [node, dial] = one;
    const auto found = peers_.find(node);
    if (found != peers_.end() && found->second == dial->address) return false;
    dial->cancel();
    return true;
  });
  std::vector<std::shared_ptr<Link>> dropped;
  for (const auto& [node, link] : links_) {
    if (!peers_.contains(node)) dropped.push_back(link);
  }
  for (const auto& link : dropped) {
    end(link, {Errc::closed, "its address has been taken away", std::nullopt});
  }
  for (const auto& [node, address] : peers_) {
    if (node < options_.self.node || dials_.contains(node)) continue;
    const auto begun =
        std::make_shared<Dial>(node, address, asio::steady_timer(*context_), nullptr, false);
    dials_.emplace(node, begun);
    spawn(dial(begun));
  }
}

Awaitable<void> TcpTransport::Impl::dial(std::shared_ptr<Dial> dial) {
  std::chrono::nanoseconds pause = options_.redial_min;
  while (!dial->cancelled) {
    Result<std::shared_ptr<Link>> link = co_await reach(dial);
    dial->wire.reset();
    if (dial->cancelled) {
      if (link) (*link)->close();
      break;
    }
    if (link) {
      // It may have been heard of since its hello.
      if (auto good = check_latest({(*link)->peer(), (*link)->incarnation()}); !good) {
        (*link)->close();
        link = std::unexpected(std::move(good).error());
      }
    }
    if (link) {
      const auto since = clock_.monotonic();
      adopt(*link);
      co_await run(*link);
      if (clock_.monotonic() - since >= options_.redial_max) pause = options_.redial_min;
    } else {
      report(dial->node, link.error());
    }
    if (dial->cancelled) break;
    dial->timer.expires_after(
        std::chrono::duration_cast<asio::steady_timer::duration>(jittered(pause)));
    co_await dial->timer.async_wait(kAwait);
    pause = std::min<std::chrono::nanoseconds>(2 * pause, options_.redial_max);
  }
}

Awaitable<Result<std::shared_ptr<Link>>> TcpTransport::Impl::reach(std::shared_ptr<Dial> dial) {
  const std::string place = dial->address.host + ":" + std::to_string(dial->address.port);
  auto endpoints = co_await resolve(dial->address);
  if (!endpoints) co_return std::unexpected(with_place(std::move(endpoints).error(), place));
  if (dial->cancelled) co_return fail(Errc::closed, "no longer a peer");
  auto wire = std::make_shared<Wire>(context_->get_executor(), tls_.get());
  dial->wire = wire;
  {
    const Deadline deadline(options_.connect_timeout, wire);
    const auto [error, endpoint] = co_await asio::async_connect(wire->socket(), *endpoints, kAwait);
    if (deadline.expired()) co_return fail(Errc::timeout, place + ": does not answer");
    if (error) co_return fail(Errc::io_error, place + ": connect: " + error.message());
  }
  co_return co_await greet(std::move(wire), Side::dialler, dial->node);
}

Awaitable<Result<std::vector<tcp::endpoint>>> TcpTransport::Impl::resolve(HostPort address) {
  std::vector<tcp::endpoint> endpoints;
  error_code error;
  const auto numeric = asio::ip::make_address(address.host, error);
  if (!error) {
    endpoints.emplace_back(numeric, address.port);
    co_return endpoints;
  }
  tcp::resolver resolver(*context_);
  const std::string port = std::to_string(address.port);
  const auto [failed, found] = co_await resolver.async_resolve(address.host, port, kAwait);
  if (failed) co_return fail(Errc::io_error, "resolve: " + failed.message());
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  co_return endpoints;
}

// --- strangers ---

Awaitable<void> TcpTransport::Impl::accept() {
  asio::steady_timer pause(*context_);
  while (true) {
    auto wire = std::make_shared<Wire>(context_->get_executor(), tls_.get());
    const auto [error] = co_await acceptor_->async_accept(wire->socket(), kAwait);
    if (error) {
      report(std::nullopt, {Errc::io_error, "accept: " + error.message(), std::nullopt});
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAwait);
      continue;
    }
    // Whoever belongs here is done in no time; who holds on to a place loses it.
    if (strangers_.size() >= options_.strangers_max) {
      strangers_.front()->close();
      strangers_.pop_front();
    }
    strangers_.push_back(wire);
    spawn(serve(std::move(wire)));
  }
}

Awaitable<void> TcpTransport::Impl::serve(std::shared_ptr<Wire> wire) {
  auto link = co_await greet(wire, Side::acceptor, std::nullopt);
  std::erase(strangers_, wire);
  wire.reset();
  if (!link) {
    report(std::nullopt, link.error());
    co_return;
  }
  // The peers may have changed since its hello.
  const Peer peer{(*link)->peer(), (*link)->incarnation()};
  if (auto good = admit(peer, Side::acceptor, std::nullopt); !good) {
    (*link)->close();
    report(std::nullopt, good.error());
    co_return;
  }
  adopt(*link);
  co_await run(*link);
}

Result<void> TcpTransport::Impl::admit(const Peer& peer, Side side,
                                       std::optional<NodeId> expected) const {
  const std::string self = name_of(options_.self.node);
  const NodeId node = peer.member.node;
  if (side == Side::dialler) {
    if (node == *expected) return check_latest(peer);
    return fail(Errc::bad_request,
                name_of(node) + " answers where " + name_of(*expected) + " was expected");
  }
  if (!peers_.contains(node)) {
    return fail(Errc::bad_request, name_of(node) + " is not a peer of " + self);
  }
  if (node > options_.self.node) {
    return fail(Errc::bad_request, name_of(node) + " is to be dialled by " + self);
  }
  return check_latest(peer);
}

Result<void> TcpTransport::Impl::check_latest(const Peer& peer) const {
  const auto latest = latest_.find(peer.member);
  if (latest == latest_.end() || peer.incarnation >= latest->second) return {};
  return fail(Errc::locked, name_of(peer.member.node) +
                                " runs twice, with one data folder or a copy of it: start " +
                                std::to_string(latest->second.number) +
                                " of it is known, and start " +
                                std::to_string(peer.incarnation.number) + " is refused");
}

/// On the transport's thread, like all that reads it.
void TcpTransport::Impl::note_latest(const Member& member, const Incarnation& incarnation) {
  Incarnation& latest = latest_[member];
  latest = std::max(latest, incarnation);
  const auto found = links_.find(member.node);
  if (found == links_.end() || found->second->peer() != member) return;
  const std::shared_ptr<Link> link = found->second;
  if (link->incarnation() >= latest) return;
  end(link, {Errc::closed, name_of(member.node) + " has been started again", std::nullopt});
}

Awaitable<Result<std::shared_ptr<Link>>> TcpTransport::Impl::greet(std::shared_ptr<Wire> wire,
                                                                   Side side,
                                                                   std::optional<NodeId> expected) {
  wire->tune(options_.dead_peer);
  const Deadline deadline(options_.handshake_timeout, wire);
  auto link = co_await prove(wire, side, expected);
  if (link && !wire->closed()) co_return link;
  Error why = link ? Error{} : std::move(link).error();
  if (deadline.expired()) {
    why = {Errc::timeout, "the handshake took too long", std::nullopt};
  } else if (wire->closed()) {
    why = {Errc::overloaded, "gave way to newer connections", std::nullopt};
  }
  wire->close();
  co_return std::unexpected(with_place(std::move(why), wire->remote()));
}

Awaitable<Result<std::shared_ptr<Link>>> TcpTransport::Impl::prove(std::shared_ptr<Wire> wire,
                                                                   Side side,
                                                                   std::optional<NodeId> expected) {
  if (auto good = co_await wire->shake_hands(side); !good) {
    co_return std::unexpected(std::move(good).error());
  }
  Handshake handshake(
      identity_, side,
      [this, side, expected](const Member& peer, const Incarnation& incarnation) {
        return admit({peer, incarnation}, side, expected);
      },
      random_);
  FrameParser parser{FrameRules{}};
  if (auto good = co_await wire->write(handshake.begin()); !good) {
    co_return std::unexpected(std::move(good).error());
  }
  std::string buffer(kGreetingBytes, '\0');
  while (true) {
    auto got = co_await wire->read_some(buffer.data(), buffer.size());
    if (!got) co_return std::unexpected(std::move(got).error());
    if (*got == 0) co_return fail(Errc::closed, "closed during the handshake");
    std::string_view bytes = std::string_view(buffer).substr(0, *got);
    while (!bytes.empty()) {
      auto frame = parser.take(bytes);
      if (frame && !*frame) break;
      Result<Handshake::Step> step =
          frame ? handshake.on_frame(**frame) : std::unexpected(std::move(frame).error());
      if (!step) {
        if (!handshake.was_refused()) {
          [[maybe_unused]] const auto told =
              co_await wire->write(encode_refusal(step.error().context));
        }
        co_return std::unexpected(std::move(step).error());
      }
      if (auto good = co_await wire->write(std::move(step->send)); !good) {
        co_return std::unexpected(std::move(good).error());
      }
      if (!step->done) continue;
      parser.set_rules(
          {handshake.seed_in(), options_.message_bytes_max, options_.region_bytes_max});
      auto outbox = std::make_shared<Outbox>(handshake.seed_out(), options_.send_buffer_bytes_max);
      co_return std::make_shared<Link>(std::move(wire),
                                       Peer{handshake.peer(), handshake.incarnation()},
                                       std::move(outbox), std::move(parser), std::string(bytes));
    }
  }
}

// --- connections ---

void TcpTransport::Impl::adopt(const std::shared_ptr<Link>& link) {
  const Member peer = link->peer();
  if (const auto older = links_.find(peer.node); older != links_.end()) {
    const std::shared_ptr<Link> replaced = older->second;
    end(replaced, {Errc::closed, "replaced by a newer connection", std::nullopt});
  }
  links_.emplace(peer.node, link);
  note_latest(peer, link->incarnation());
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) entries_.insert_or_assign(peer.node, Entry{peer, link->outbox(), link});
  }
  listener_.connected(peer);
  spawn(write(link));
}

void TcpTransport::Impl::end(const std::shared_ptr<Link>& link, Error why) {
  if (link->closed()) return;
  const Member peer = link->peer();
  link->close();
  links_.erase(peer.node);
  {
    const std::lock_guard lock(mutex_);
    entries_.erase(peer.node);
  }
  listener_.disconnected(peer);
  report(peer.node, with_place(std::move(why), link->wire().remote()));
}

Awaitable<void> TcpTransport::Impl::run(std::shared_ptr<Link> link) {
  Error why = co_await link->read(listener_);
  end(link, std::move(why));
}

Awaitable<void> TcpTransport::Impl::write(std::shared_ptr<Link> link) {
  Error why = co_await link->write();
  end(link, std::move(why));
}

void TcpTransport::Impl::report(std::optional<NodeId> peer, const Error& why) const {
  if (options_.report) options_.report(peer, why);
}

/// What throws here is an allocation that fails: the process cannot go on as promised.
void TcpTransport::Impl::spawn(Awaitable<void> coroutine) {
  asio::co_spawn(*context_, std::move(coroutine), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

std::chrono::nanoseconds TcpTransport::Impl::jittered(std::chrono::nanoseconds pause) const {
  const std::uint64_t half = static_cast<std::uint64_t>(pause.count()) / 2;
  return std::chrono::nanoseconds(half + random_.next() % (half + 1));
}

// --- the public face ---

Result<std::unique_ptr<TcpTransport>> TcpTransport::open(TcpTransportOptions options, Clock& clock,
                                                         Random& random) {
  auto impl = std::make_unique<Impl>(std::move(options), clock, random);
  KEELSON_TRY(impl->listen());
  return std::unique_ptr<TcpTransport>(new TcpTransport(std::move(impl)));
}

TcpTransport::TcpTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpTransport::~TcpTransport() = default;

std::uint16_t TcpTransport::port() const { return impl_->port(); }

void TcpTransport::set_listener(Listener listener) { impl_->start(std::move(listener)); }

Result<void> TcpTransport::set_peers(std::map<NodeId, std::string> peers) {
  return impl_->set_peers(peers);
}

void TcpTransport::outdate(const Member& member, const Incarnation& latest) {
  impl_->outdate(member, latest);
}

Result<void> TcpTransport::send(const Member& to, std::string message, Flow flow) {
  return impl_->send(to, std::move(message), std::nullopt, flow);
}

Result<void> TcpTransport::send_file(const Member& to, std::string message, FileRegion region,
                                     Flow flow) {
  KEELSON_TRY(impl_->check_region(region));
  return impl_->send(to, std::move(message), std::move(region), flow);
}

std::size_t TcpTransport::waiting(const Member& to) const { return impl_->waiting(to); }

void TcpTransport::stop() { impl_->stop(); }

}  // namespace keelson::transport
