// One HTTP/1.1 connection. Private to the library.
#pragma once

#include <atomic>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "http/connections.h"
#include "http/gate.h"
#include "http/home_thread.h"
#include "http/metrics.h"
#include "http/services.h"
#include "http/signal.h"
#include "http/wire.h"

namespace keelson::http {

/// What the sessions of a server share.
struct SessionEnvironment {
  const ServerOptions options;
  const Gate gate;
  WorkPool& work;
  Metrics& metrics;
  RouteMetrics& unrouted;                       ///< requests that reached no route
  std::atomic<std::uint64_t> bodies_bytes{0};   ///< of requests in work
  std::atomic<std::uint64_t> answers_bytes{0};  ///< that clients have not taken

  SessionEnvironment(const ServerOptions& options_, const Router& router,
                     const Authenticator& authenticator, WorkPool& work_, Metrics& metrics_);
};

/// Two coroutines over one socket: one reads requests ahead and hands them to their handlers, the
/// other writes the answers in the order of the requests. Between them stands a bounded queue of
/// exchanges; a handler answers into its exchange from any thread, through the connection's. An
/// answer that is short, and due, is written as it comes, and only the rest of it, if the client
/// does not take it all, is left to the coroutine: waking that for each would cost more.
///
/// Thread: everything runs on the thread of the connection's io_context.
///
/// Time: each wait has its own limit, looked at by a timer that ticks as often as the shortest of
/// them. A client that is slow to send is answered 408, one that is slow to take answers is cut.
///
/// End: reading stops at the client's end of stream, at a request that closes the connection or
/// cannot be parsed, at a time-out, and between two requests when the server stops. What has been
/// read is still answered, in order; then the socket is closed.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  enum class Entry { serve, refuse };

  /// @param home     the wire's thread: an answer that comes when it is gone goes nowhere.
  /// @param entry    `refuse`: answer 503 to whatever comes, there are too many connections.
  HttpSession(std::shared_ptr<SessionEnvironment> environment, HomeThread home,
              std::unique_ptr<Wire> wire, std::shared_ptr<Connection> connection, Entry entry);

  /// Whoever waits on behalf of a request is woken, whatever way the session ended.
  ~HttpSession() { interrupted_.request_stop(); }
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  /// On the connection's thread.
  void start();

 private:
  using Clock = std::chrono::steady_clock;
  using TimePoint = Clock::time_point;

  /// A part of the memory for bodies or for answers, given back at the end.
  class MemoryShare;
  /// A request and, later, its answer.
  struct Exchange;
  class Pull;

  /// What the reading side waits for; decides which time limit counts.
  enum class Reading { nothing, request, rest };

  // --- reading: http_session.cpp ---
  Awaitable<void> run();
  Awaitable<bool> read_request();
  Awaitable<bool> read_head(RequestParser& parser);
  Awaitable<bool> read_body(RequestParser& parser, MemoryShare& share);
  Awaitable<bool> fill(std::size_t bytes_max);
  Awaitable<bool> send_continue();
  Awaitable<void> upgrade(RequestParser& parser, Admission admission);
  void answer_options(const RequestParser& parser, std::shared_ptr<Exchange> exchange);
  void hand_over(RequestParser& parser, Admission admission, std::shared_ptr<Exchange> exchange);
  [[nodiscard]] Request make_request(RequestParser& parser, Admission admission);
  [[nodiscard]] Responder make_responder(const std::shared_ptr<Exchange>& exchange);
  std::shared_ptr<Exchange> begin_exchange(const RequestParser& parser);
  void refuse(const Problem& problem);
  void answer(Exchange& exchange, Response response);

  // --- writing: http_session_write.cpp ---
  /// How long the answers may be that are gathered.
  enum class Bodies { any, short_ones };
  /// A body that is written from where it is.
  struct LongBody;

  void write_at_once();
  Awaitable<void> write_answers();
  Awaitable<bool> write_ready();
  Awaitable<bool> write_stream(std::shared_ptr<Exchange> exchange);
  Awaitable<bool> write_all(std::string_view bytes);
  Awaitable<void> finish();
  LongBody gather_ready(Bodies bodies);
  void complete_front();
  [[nodiscard]] bool closes_after(const Exchange& exchange) const;
  /// Whether anything is to be answered, or written.
  [[nodiscard]] bool answering() const {
    return !exchanges_.empty() || writing_ || !unsent_.empty();
  }

  // --- time and end ---
  void watch();
  [[nodiscard]] TimePoint read_deadline() const;
  [[nodiscard]] Clock::duration tick() const;
  void on_server_stop();
  void end_reading();
  void fail_on(const std::exception_ptr& thrown);
  void cut();

  const std::shared_ptr<SessionEnvironment> environment_;
  const HomeThread home_;
  std::unique_ptr<Wire> wire_;
  std::shared_ptr<Connection> connection_;
  const Entry entry_;

  boost::beast::flat_buffer buffer_;
  std::string out_;
  std::string unsent_;  ///< to be written before all else
  std::deque<std::shared_ptr<Exchange>> exchanges_;
  Signal read_signal_;   ///< an exchange was completed
  Signal write_signal_;  ///< an answer is ready, or reading has ended
  std::stop_source interrupted_;
  std::optional<std::stop_callback<std::function<void()>>> server_stop_;
  std::uint64_t requests_ = 0;
  /// Where the last request was counted: the next one nearly always is too.
  struct Counted {
    const Router::Route* route = nullptr;
    Method method = Method::get;
    RouteMetrics* metrics = nullptr;
  } counted_;
  std::uint32_t blocking_ = 0;  ///< of `exchanges_`, those of routes that block

  Reading reading_ = Reading::nothing;
  bool reading_ended_ = false;
  bool read_timed_out_ = false;
  bool end_of_stream_ = false;
  bool stopping_ = false;
  bool upgrading_ = false;
  bool writing_ = false;
  bool cut_ = false;
  bool over_ = false;

  boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor> timer_;
  TimePoint idle_since_;
  TimePoint read_by_ = TimePoint::max();   ///< for the rest of a request under way
  TimePoint write_by_ = TimePoint::max();  ///< for the next byte to be taken
};

}  // namespace keelson::http
