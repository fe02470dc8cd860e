#include "http/websocket_session.h"

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>
#include <variant>

#include "engine/store/store.h"
#include "http/beast.h"
#include "http/corked_stream.h"
#include "http/home_thread.h"
#include "http/problem.h"
#include "http/subscription_connection.h"
#include "http/upgrade.h"
#include "http/websocket_handshake.h"

namespace keelson::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

/// Gathered from the log at a time: of live events, which are gathered on the connection's thread,
/// less than of history, where each time costs a way to the work pool and back.
constexpr std::size_t kLivePollBytes = 64u << 10;
constexpr std::size_t kHistoryPollBytes = 256u << 10;
/// Over this much unsent the log is not read for this connection: a slow reader costs no memory.
constexpr std::size_t kBacklogBytesMax = 256u << 10;
/// Until the reading of history is tried again when all threads for it are taken.
constexpr std::chrono::milliseconds kPoolRetry{20};
/// A client that says nothing for this long, not even a pong, is gone.
constexpr std::chrono::seconds kIdleTimeout{300};
/// For the handshake, and for a client to answer a close.
constexpr std::chrono::seconds kHandshakeTimeout{5};

/// Appends the header of an unmasked, unfragmented text frame (RFC 6455, section 5.2).
void append_frame_header(std::string& out, std::size_t payload_bytes) {
  out += static_cast<char>(0x81);
  const auto append_length = [&](int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
      out += static_cast<char>((payload_bytes >> shift) & 0xff);
    }
  };
  if (payload_bytes < 126) {
    append_length(1);
  } else if (payload_bytes <= 0xffff) {
    out += static_cast<char>(126);
    append_length(2);
  } else {
    out += static_cast<char>(127);
    append_length(8);
  }
}

/// One connection: Beast reads frames and keeps it alive, `SubscriptionConnection` says what to
/// answer, `CorkedStream` sends.
///
/// One thing happens at a time (`step`): a message is answered, or the log is polled. History is
/// polled on the work pool, because reading it may wait for a disk; live events are in the page
/// cache and are polled here.
///
/// Lives on the thread of its stream and is held by its operations in flight, and by nothing
/// outside of its context: it is destroyed there, or with the context when the server is (see
/// `Server`). That operation is a read, but while a message waits for its answer (`unanswered_`),
/// and none is read: then it is what that message waits for, the wait for the work pool
/// (`pool_wait_`), a write of the backlog, or a step that is posted. What the work pool itself
/// works on is a part of its own (`Work`) and may outlive the session.
template <class Stream>
class WebsocketSession final : public std::enable_shared_from_this<WebsocketSession<Stream>> {
 public:
  WebsocketSession(Services& services, Stream stream, HomeThread home, std::shared_ptr<void> ticket)
      : services_(services),
        home_(std::move(home)),
        ticket_(std::move(ticket)),
        socket_(CorkedStream<Stream>(std::move(stream))),
        pool_wait_(socket_.get_executor()) {}

  void start(Handshake handshake, std::stop_token interrupted) {
    websocket::stream_base::timeout timeout;
    timeout.handshake_timeout = kHandshakeTimeout;
    timeout.idle_timeout = kIdleTimeout;
    timeout.keep_alive_pings = true;
    socket_.set_option(timeout);
    socket_.read_message_max(kClientMessageBytesMax);
    socket_.set_option(websocket::stream_base::decorator(
        [subprotocol = handshake.subprotocol](websocket::response_type& response) {
          response.set(beast::http::field::server, "keelson");  // and not the library's version
          if (subprotocol) response.set(beast::http::field::sec_websocket_protocol, kSubprotocol);
        }));
    // A close is answered by Beast while it reads; no frame may follow that answer.
    socket_.control_callback([this](websocket::frame_type kind, beast::string_view) {
      if (kind == websocket::frame_type::close) ended_ = true;
    });
    request_ = std::move(handshake.request);
    interrupted_ = std::move(interrupted);
    socket_.async_accept(request_, [self = this->shared_from_this()](error_code error) {
      if (!error) self->accepted();
    });
  }

 private:
  using Self = WebsocketSession<Stream>;

  /// The subscriptions and what they have to say. Knows neither socket nor thread.
  struct Work {
    SubscriptionConnection subscriptions;
    MessageBatch batch;
  };

  void accepted() {
    const std::weak_ptr<Self> weak = this->weak_from_this();
    Store& store = services_.store;
    work_ = std::make_shared<Work>(
        SubscriptionConnection([&store](std::string_view name) { return store.find_topic(name); },
                               [weak, home = home_] { post_step(home, weak); }));
    socket_.next_layer().set_owner(weak);
    socket_.next_layer().set_written([weak](error_code error) {
      const auto self = weak.lock();
      if (!self) return;
      if (error) self->ended_ = true;
      self->step();
    });
    stop_.emplace(interrupted_, [this, weak] {
      stopping_ = true;
      post_step(home_, weak);
    });
    read();
  }

  /// From any thread.
  static void post_step(const HomeThread& home, const std::weak_ptr<Self>& weak) {
    home.post([weak] {
      if (const auto self = weak.lock()) self->step();
    });
  }

  /// Others on this thread have their turn before the next step.
  void step_later() {
    asio::post(socket_.get_executor(), [self = this->shared_from_this()] { self->step(); });
  }

  void read() {
    socket_.async_read(received_, [self = this->shared_from_this()](error_code error, std::size_t) {
      self->message_arrived(error);
    });
  }

  void message_arrived(error_code error) {
    if (error) {
      ended_ = true;
    } else {
      unanswered_ = true;
    }
    step();
  }

  /// Does the next thing there is to do, unless something is under way or the client is slow; is
  /// called again whenever that changes.
  void step() {
    if (polling_) return;
    if (ended_) return end();
    if (stopping_) return say_goodbye();
    if (socket_.next_layer().backlog() > kBacklogBytesMax) return;
    if (unanswered_) {
      answer();
    } else if (work_->subscriptions.ready()) {
      poll();
    }
  }

  void answer() {
    unanswered_ = false;
    if (!socket_.got_text()) return close(websocket::close_code::unknown_data, "text frames only");
    const auto bytes = received_.cdata();
    work_->subscriptions.receive({static_cast<const char*>(bytes.data()), bytes.size()},
                                 work_->batch);
    received_.consume(received_.size());
    send();
    read();
    step_later();
  }

  void poll() {
    if (work_->subscriptions.live()) {
      work_->subscriptions.poll(kLivePollBytes, work_->batch);
      return polled();
    }
    const std::weak_ptr<Self> weak = this->weak_from_this();
    polling_ = services_.work.post([work = work_, home = home_, weak] {
      work->subscriptions.poll(kHistoryPollBytes, work->batch);
      home.post([weak] {
        if (const auto self = weak.lock()) self->history_polled();
      });
    });
    if (polling_) {
      // The pool must not hold the session, so this does; it ends when the poll has.
      pool_wait_.expires_at(PoolWait::time_point::max());
      pool_wait_.async_wait([self = this->shared_from_this()](error_code) {});
    } else {
      pool_wait_.expires_after(kPoolRetry);
      pool_wait_.async_wait([weak](error_code) {
        if (const auto self = weak.lock()) self->step();
      });
    }
  }

  void history_polled() {
    polling_ = false;
    pool_wait_.cancel();
    polled();
  }

  void polled() {
    if (ended_) return end();
    send();
    step_later();
  }

  void send() {
    std::string& out = socket_.next_layer().gathered();
    MessageBatch& batch = work_->batch;
    for (std::size_t i = 0; i < batch.count(); ++i) {
      const std::string_view message = batch.message(i);
      append_frame_header(out, message.size());
      out += message;
    }
    batch.clear();
    socket_.next_layer().flush();
  }

  /// The server stops: every subscription is told where to resume.
  void say_goodbye() {
    work_->subscriptions.close("server-stopping", work_->batch);
    send();
    close(websocket::close_code::going_away, "server stopping");
  }

  void close(websocket::close_code code, std::string_view reason) {
    ended_ = true;
    socket_.async_close(
        websocket::close_reason(code, beast::string_view(reason.data(), reason.size())),
        [self = this->shared_from_this()](error_code) {});
    end();
  }

  /// Lets go of what reads the log; the connection follows when nothing is in flight any more.
  void end() {
    stop_.reset();
    work_.reset();
    pool_wait_.cancel();
  }

  using PoolWait =
      asio::basic_waitable_timer<std::chrono::steady_clock,
                                 asio::wait_traits<std::chrono::steady_clock>, Executor>;

  Services& services_;
  const HomeThread home_;
  std::shared_ptr<void> ticket_;
  websocket::stream<CorkedStream<Stream>> socket_;
  PoolWait pool_wait_;  ///< for the pool to have polled, or to have a free thread
  Handshake::HttpRequest request_;
  std::stop_token interrupted_;

  std::shared_ptr<Work> work_;
  beast::flat_buffer received_;
  std::optional<std::stop_callback<std::function<void()>>> stop_;
  bool unanswered_ = false;  ///< `received_` holds a message
  bool polling_ = false;     ///< the work pool has what is in `work_`
  bool stopping_ = false;
  bool ended_ = false;  ///< nothing may be sent any more
};

}  // namespace

void add_subscription_route(Router& router, Services& services) {
  router.add_upgrade("/v1/subscriptions", Role::read, [&services](Upgrade&& upgrade) {
    auto handshake = check_handshake(std::move(upgrade.handshake));
    if (!handshake) return refuse_handshake(std::move(upgrade), handshake.error());
    std::visit(
        [&](auto&& stream) {
          using Stream = std::decay_t<decltype(stream)>;
          std::make_shared<WebsocketSession<Stream>>(
              services, std::move(stream), std::move(upgrade.home), std::move(upgrade.ticket))
              ->start(*std::move(handshake), upgrade.request.interrupted);
        },
        std::move(upgrade.stream));
  });
}

}  // namespace keelson::http
