#include "http/http_session.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "http/http_exchange.h"
#include "http/line_limit.h"

namespace keelson::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kHeadRead = 8u << 10;
constexpr std::size_t kBodyRead = 64u << 10;
/// A body that is not wanted is still read when it is this small, to keep the connection.
constexpr std::uint64_t kDiscardedBodyMax = 64u << 10;
constexpr std::uint64_t kBodyBytesPerSecond = 64u << 10;

Problem too_many_connections() {
  return problem_of(
      Error{Errc::overloaded, "there are too many connections to this server", std::nullopt});
}

Problem request_timeout() {
  return protocol_problem(408, "request-timeout", "Request timeout",
                          "The request did not arrive in time; send it again, faster.");
}

/// The caller's own request id when it is harmless in a log.
std::optional<std::string> given_id(const Headers& headers) {
  const auto id = headers.find("X-Request-Id");
  if (!id || id->empty() || id->size() > 64) return std::nullopt;
  for (const char c : *id) {
    if (c <= ' ' || c > '~') return std::nullopt;
  }
  return std::string(*id);
}

void call(const Handler& handler, Request request, Responder responder) noexcept {
  const std::string_view route = request.route;
  try {
    handler(std::move(request), std::move(responder));
  } catch (const std::exception& thrown) {
    // The responder, dropped on the way out, has answered 500.
    static LineLimit limit(kLinesASecond);
    if (const auto more = limit.admit()) {
      spdlog::error("the handler of {} threw: {}{}", route, thrown.what(), *more);
    }
  }
}

}  // namespace

SessionEnvironment::SessionEnvironment(const ServerOptions& options_, const Router& router,
                                       const Authenticator& authenticator, WorkPool& work_,
                                       Metrics& metrics_)
    : options(options_),
      gate(options, router, authenticator),
      work(work_),
      metrics(metrics_),
      unrouted(metrics_.route("", "none")) {}

HttpSession::HttpSession(std::shared_ptr<SessionEnvironment> environment, HomeThread home,
                         std::unique_ptr<Wire> wire, std::shared_ptr<Connection> connection,
                         Entry entry)
    : environment_(std::move(environment)),
      home_(std::move(home)),
      wire_(std::move(wire)),
      connection_(std::move(connection)),
      entry_(entry),
      read_signal_(wire_->executor()),
      write_signal_(wire_->executor()),
      timer_(wire_->executor()),
      idle_since_(Clock::now()) {}

void HttpSession::start() {
  const auto self = shared_from_this();
  server_stop_.emplace(connection_->stopping(), [this] { on_server_stop(); });
  watch();
  asio::co_spawn(wire_->executor(), run(), [self](const std::exception_ptr& thrown) {
    if (thrown) self->fail_on(thrown);
  });
}

Awaitable<void> HttpSession::run() {
  reading_ = Reading::rest;
  read_by_ = Clock::now() + environment_->options.header_timeout;
  const Transferred shaken = co_await wire_->handshake();
  reading_ = Reading::nothing;
  if (shaken.error) {
    cut();
    co_return;
  }
  const auto self = shared_from_this();
  asio::co_spawn(wire_->executor(), write_answers(), [self](const std::exception_ptr& thrown) {
    if (thrown) self->fail_on(thrown);
  });
  if (entry_ == Entry::refuse) {
    refuse(too_many_connections());
  } else {
    bool more = true;
    while (more) more = co_await read_request();
  }
  end_reading();
}

/// Reads one request and hands it over. False: nothing more is to be read.
Awaitable<bool> HttpSession::read_request() {
  while (exchanges_.size() >= environment_->options.pipeline_max && !cut_) {
    co_await read_signal_.wait();
  }
  if (cut_) co_return false;

  RequestParser parser(environment_->options.header_bytes_max);
  const bool head = co_await read_head(parser);
  if (!head) co_return false;

  std::optional<Admission> admission;
  std::optional<Problem> problem;
  std::uint64_t body_bytes_max = kDiscardedBodyMax;
  const bool options = parser.method() == Method::options;
  if (!options) {
    auto admitted = environment_->gate.admit(parser);
    if (admitted) {
      admission = *std::move(admitted);
      body_bytes_max = admission->body_bytes_max;
    } else {
      problem = std::move(admitted).error();
    }
  }
  parser.set_body_limit(body_bytes_max);
  if (!admission &&
      (parser.expects_continue() || parser.content_length().value_or(0) > kDiscardedBodyMax)) {
    refuse(problem ? *problem : bad_request("OPTIONS takes no body here"));
    co_return false;
  }
  if (admission && admission->route->upgrade) {
    if (parser.is_websocket_upgrade()) {
      co_await upgrade(parser, *std::move(admission));
      co_return false;
    }
    problem = protocol_problem(426, "upgrade-required", "Upgrade required",
                               "This is a WebSocket: connect with 'Upgrade: websocket'.");
    problem->headers.emplace_back("Upgrade", "websocket");
    problem->headers.emplace_back("Connection", "upgrade");
  }

  MemoryShare share(environment_, &SessionEnvironment::bodies_bytes);
  const bool body = co_await read_body(parser, share);
  if (!body) co_return false;
  const bool blocking = admission && admission->route->options.blocking;
  while (blocking && blocking_ >= environment_->options.pipeline_blocking_max && !cut_) {
    co_await read_signal_.wait();
  }
  if (cut_) co_return false;

  std::shared_ptr<Exchange> exchange = begin_exchange(parser);
  exchange->body_share.emplace(std::move(share));
  exchange->blocking = blocking;
  blocking_ += blocking ? 1 : 0;
  const bool keep_alive = exchange->keep_alive;
  if (problem) {
    answer(*exchange, to_response(*problem));
  } else if (options) {
    answer_options(parser, std::move(exchange));
  } else {
    hand_over(parser, *std::move(admission), std::move(exchange));
  }
  co_return keep_alive;
}

Awaitable<bool> HttpSession::read_head(RequestParser& parser) {
  reading_ = Reading::request;
  if (exchanges_.empty()) idle_since_ = Clock::now();
  while (true) {
    const RequestParser::Status status = parser.parse_head(buffer_);
    if (status == RequestParser::Status::done) break;
    if (status == RequestParser::Status::failed) {
      refuse(parser.problem());
      co_return false;
    }
    if (buffer_.size() > 0 && reading_ == Reading::request) {
      reading_ = Reading::rest;
      read_by_ = Clock::now() + environment_->options.header_timeout;
    }
    if (stopping_ && reading_ == Reading::request) co_return false;
    const bool more = co_await fill(kHeadRead);
    if (!more) {
      if (read_timed_out_ && reading_ == Reading::rest) refuse(request_timeout());
      co_return false;
    }
  }
  reading_ = Reading::nothing;
  co_return true;
}

Awaitable<bool> HttpSession::read_body(RequestParser& parser, MemoryShare& share) {
  const TimePoint begun = Clock::now();
  bool continued = !parser.expects_continue();
  while (true) {
    const RequestParser::Status status = parser.parse_body(buffer_);
    const std::uint64_t received = parser.body_bytes();
    if (status == RequestParser::Status::failed) {
      refuse(parser.problem());
      co_return false;
    }
    if (share.grow_to(received) > environment_->options.bodies_bytes_max) {
      refuse(problem_of(
          Error{Errc::overloaded, "the server has too many requests in work", std::nullopt}));
      co_return false;
    }
    if (status == RequestParser::Status::done) break;
    if (!continued) {
      continued = true;
      const bool sent = co_await send_continue();
      if (!sent) co_return false;
    }
    reading_ = Reading::rest;
    read_by_ = begun + environment_->options.body_timeout +
               std::chrono::seconds(received / kBodyBytesPerSecond);
    const bool more = co_await fill(kBodyRead);
    if (!more) {
      if (read_timed_out_) refuse(request_timeout());
      co_return false;
    }
  }
  reading_ = Reading::nothing;
  co_return true;
}

/// Reads some bytes into the buffer. False at the end of the stream and at a time-out.
Awaitable<bool> HttpSession::fill(std::size_t bytes_max) {
  const asio::mutable_buffer space = buffer_.prepare(bytes_max);
  const Transferred got = co_await wire_->read_some(space);
  buffer_.commit(got.bytes);
  if (!got.error) co_return true;
  end_of_stream_ = true;
  co_return false;
}

/// The client waits for a word before it sends the body; every earlier answer goes out first.
Awaitable<bool> HttpSession::send_continue() {
  while (answering() && !cut_) co_await read_signal_.wait();
  if (cut_) co_return false;
  const bool sent = co_await write_all("HTTP/1.1 100 Continue\r\n\r\n");
  if (!sent) cut();
  co_return sent;
}

Awaitable<void> HttpSession::upgrade(RequestParser& parser, Admission admission) {
  while (answering() && !cut_) co_await read_signal_.wait();
  if (cut_) co_return;
  if (buffer_.size() > 0 || parser.has_body() || stopping_) {
    refuse(stopping_ ? problem_of(Error{Errc::closed, "", std::nullopt})
                     : bad_request("Nothing may follow a request to upgrade before its answer"));
    co_return;
  }
  upgrading_ = true;
  const UpgradeHandler& handler = admission.route->upgrade;
  auto handshake = parser.handshake();
  Request request = make_request(parser, std::move(admission));
  request.interrupted = connection_->stopping();
  Upgrade upgraded{std::move(request), std::move(handshake), wire_->release(), home_,
                   std::move(connection_)};
  over_ = true;
  server_stop_.reset();
  timer_.cancel();
  try {
    handler(std::move(upgraded));
  } catch (const std::exception& thrown) {
    spdlog::error("a WebSocket handler threw: {}", thrown.what());
  }
}

Request HttpSession::make_request(RequestParser& parser, Admission admission) {
  Request request;
  parser.move_into(request);
  request.route = admission.route->pattern;
  request.path_parameters = std::move(admission.path_parameters);
  request.query_parameters = std::move(admission.query_parameters);
  request.principal = std::move(admission.principal);
  request.interrupted = interrupted_.get_token();
  if (auto id = given_id(request.headers)) {
    request.id = *std::move(id);
  } else {
    request.id = std::to_string(connection_->number()) + "-" + std::to_string(requests_);
  }
  return request;
}

std::shared_ptr<HttpSession::Exchange> HttpSession::begin_exchange(const RequestParser& parser) {
  ++requests_;
  auto exchange = std::make_shared<Exchange>();
  exchange->head_only = parser.method() == Method::head;
  exchange->http_1_1 = parser.is_http_1_1();
  // An HTTP/1.0 client gets its answer and the end of the connection: simple, and always right.
  exchange->keep_alive = parser.keep_alive() && parser.is_http_1_1() && !stopping_;
  exchange->metrics = &environment_->unrouted;
  exchange->begun = Clock::now();
  exchanges_.push_back(exchange);
  return exchange;
}

void HttpSession::answer_options(const RequestParser& parser, std::shared_ptr<Exchange> exchange) {
  if (parser.target() == "*") {
    answer(*exchange, Response(204).header("Allow", "GET, HEAD, POST, PUT, OPTIONS"));
    return;
  }
  const auto allowed = environment_->gate.allow(parser.target());
  answer(*exchange,
         allowed ? Response(204).header("Allow", *allowed) : to_response(allowed.error()));
}

Responder HttpSession::make_responder(const std::shared_ptr<Exchange>& exchange) {
  return Responder([weak = weak_from_this(), home = home_, exchange](Response response) {
    home.dispatch([weak, exchange, response = std::move(response)]() mutable {
      if (const auto self = weak.lock()) self->answer(*exchange, std::move(response));
    });
  });
}

void HttpSession::hand_over(RequestParser& parser, Admission admission,
                            std::shared_ptr<Exchange> exchange) {
  const Router::Route& route = *admission.route;
  if (counted_.route != &route || counted_.method != parser.method()) {
    counted_ = {&route, parser.method(),
                &environment_->metrics.route(to_string(parser.method()), route.pattern)};
  }
  exchange->metrics = counted_.metrics;
  Request request = make_request(parser, std::move(admission));
  exchange->target = request.target;
  if (!route.options.blocking) {
    call(route.handler, std::move(request), make_responder(exchange));
    return;
  }
  struct Job {
    Request request;
    Responder responder;
  };
  const auto job = std::make_shared<Job>(Job{std::move(request), make_responder(exchange)});
  const auto environment = environment_;
  const bool queued = environment_->work.post([weak = weak_from_this(), job, environment, &route] {
    // Whoever has gone needs no answer, and a query can be dear. Not locked: the last reference to
    // a session must be dropped on its own thread.
    if (weak.expired()) return;
    if (environment->answers_bytes > environment->options.answers_bytes_max) {
      job->responder.send(
          Error{Errc::overloaded, "clients have too many answers to take first", std::nullopt});
      return;
    }
    call(route.handler, std::move(job->request), std::move(job->responder));
  });
  if (!queued) {
    job->responder.send(
        Error{Errc::overloaded, "the server has too many requests waiting", std::nullopt});
  }
}

/// Answers with `problem` after everything before it, and closes: what follows on the connection
/// cannot be understood or is not wanted.
void HttpSession::refuse(const Problem& problem) {
  reading_ = Reading::nothing;
  ++requests_;
  auto exchange = std::make_shared<Exchange>();
  exchange->keep_alive = false;
  exchange->metrics = &environment_->unrouted;
  exchange->begun = Clock::now();
  exchanges_.push_back(exchange);
  answer(*exchange, to_response(problem));
}

void HttpSession::answer(Exchange& exchange, Response response) {
  if (response.status == kRedirect) complete_location(response, exchange.target);
  exchange.answer_share.emplace(environment_, &SessionEnvironment::answers_bytes);
  exchange.answer_share->grow_to(response.body.size());
  exchange.response.emplace(std::move(response));
  try {
    write_at_once();
  } catch (...) {
    fail_on(std::current_exception());
  }
}

void HttpSession::end_reading() {
  reading_ = Reading::nothing;
  reading_ended_ = true;
  if (end_of_stream_) interrupted_.request_stop();
  write_signal_.notify();
}

void HttpSession::on_server_stop() {
  stopping_ = true;
  interrupted_.request_stop();
  if (reading_ == Reading::request) wire_->stop_reading();
  write_signal_.notify();
}

/// Out of memory, or a defect: this connection ends, the others go on.
void HttpSession::fail_on(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    spdlog::error("a connection is cut: {}", error.what());
  }
  cut();
}

/// Ends the connection at once.
void HttpSession::cut() {
  if (over_) return;
  cut_ = true;
  over_ = true;
  reading_ended_ = true;
  wire_->close();
  timer_.cancel();
  interrupted_.request_stop();
  exchanges_.clear();
  unsent_.clear();
  blocking_ = 0;
  read_signal_.notify();
  write_signal_.notify();
}

// --- time ---

HttpSession::TimePoint HttpSession::read_deadline() const {
  if (read_timed_out_) return TimePoint::max();
  switch (reading_) {
    case Reading::nothing: return TimePoint::max();
    case Reading::rest: return read_by_;
    case Reading::request: break;
  }
  if (answering()) return TimePoint::max();
  return idle_since_ + environment_->options.idle_timeout;
}

/// Every limit is set at least this far ahead, so looking this often is never late.
HttpSession::Clock::duration HttpSession::tick() const {
  const ServerOptions& options = environment_->options;
  return std::min(std::min(options.header_timeout, options.body_timeout),
                  std::min(options.idle_timeout, options.write_timeout));
}

void HttpSession::watch() {
  const TimePoint now = Clock::now();
  if (now >= write_by_) {
    cut();
    return;
  }
  if (now >= read_deadline()) {
    read_timed_out_ = true;
    wire_->stop_reading();
  }
  timer_.expires_at(std::min(std::min(write_by_, read_deadline()), now + tick()));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self && !self->over_) self->watch();
  });
}

}  // namespace keelson::http
