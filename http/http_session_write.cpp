// The writing side of a session: answers in the order of the requests.
#include <spdlog/spdlog.h>

#include "http/http_exchange.h"
#include "http/http_session.h"
#include "http/line_limit.h"
#include "http/response_head.h"

namespace keelson::http {

namespace asio = boost::asio;

namespace {

/// Answers that are ready go out together, up to this much.
constexpr std::size_t kGatheredMax = 64u << 10;
/// A body over this is written from where it is rather than copied.
constexpr std::size_t kCopiedBodyMax = 16u << 10;
constexpr std::size_t kWrittenAtOnce = 256u << 10;
/// For the client to take the last answer and close, before the socket is closed under it.
constexpr std::chrono::seconds kLinger{2};
constexpr std::size_t kDrainedMax = 1u << 20;

void log_cut(const Error& error) {
  static LineLimit limit(kLinesASecond);
  if (const auto more = limit.admit()) {
    spdlog::warn("a streamed answer was cut: {}{}", error.message(), *more);
  }
}

}  // namespace

/// One pull of a streamed body. Answered from any thread; dropped unanswered, it fails.
class HttpSession::Pull {
 public:
  /// Where the answer arrives, on the connection's thread.
  struct Slot {
    std::optional<Result<Chunk>> chunk;
  };

  Pull(std::weak_ptr<HttpSession> session, HomeThread home, std::shared_ptr<Slot> slot)
      : session_(std::move(session)), home_(std::move(home)), slot_(std::move(slot)) {}
  Pull(Pull&&) = default;
  ~Pull() {
    if (slot_) (*this)(fail(Errc::internal, "a streamed body ended without a last chunk"));
  }

  void operator()(Result<Chunk> chunk) {
    if (!slot_) return;
    const auto slot = std::exchange(slot_, nullptr);
    home_.dispatch([session = session_, slot, chunk = std::move(chunk)]() mutable {
      slot->chunk.emplace(std::move(chunk));
      if (const auto self = session.lock()) self->write_signal_.notify();
    });
  }

 private:
  std::weak_ptr<HttpSession> session_;
  HomeThread home_;
  std::shared_ptr<Slot> slot_;
};

struct HttpSession::LongBody {
  std::string bytes;
  std::optional<MemoryShare> share;
};

/// Writes the answers that are ready, if nothing is being written. Most clients take them whole.
void HttpSession::write_at_once() {
  if (!writing_ && unsent_.empty() && !cut_ && !upgrading_) {
    gather_ready(Bodies::short_ones);
    if (!out_.empty()) {
      out_.erase(0, wire_->write_at_once(out_));
      std::swap(unsent_, out_);
      idle_since_ = Clock::now();
      read_signal_.notify();
    }
    const bool waits = exchanges_.empty() || !exchanges_.front()->response;
    if (unsent_.empty() && waits && !reading_ended_) return;
  }
  write_signal_.notify();
}

Awaitable<void> HttpSession::write_answers() {
  while (!cut_ && !upgrading_) {
    const bool rest = !unsent_.empty();
    if (!rest && (exchanges_.empty() || !exchanges_.front()->response)) {
      if (exchanges_.empty() && reading_ended_) break;
      co_await write_signal_.wait();
      continue;
    }
    writing_ = true;
    bool written = false;
    if (rest) {
      out_ = std::exchange(unsent_, {});
      written = co_await write_all(out_);
    } else if (const auto front = exchanges_.front(); front->response->stream) {
      written = co_await write_stream(front);
    } else {
      written = co_await write_ready();
    }
    writing_ = false;
    idle_since_ = Clock::now();
    if (!written) {
      cut();
      co_return;
    }
    read_signal_.notify();
  }
  if (!cut_ && !upgrading_) co_await finish();
}

/// Puts the answers that are ready, and not streamed, into `out_`. A long one is the last.
HttpSession::LongBody HttpSession::gather_ready(Bodies bodies) {
  out_.clear();
  LongBody last;
  while (!exchanges_.empty() && out_.size() < kGatheredMax && !last.share) {
    Exchange& exchange = *exchanges_.front();
    if (!exchange.response || exchange.response->stream) break;
    std::string& body = exchange.response->body;
    const bool is_long = body.size() > kCopiedBodyMax && !exchange.head_only;
    if (is_long && bodies == Bodies::short_ones) break;
    append_head(out_, *exchange.response, Framing::length, !closes_after(exchange));
    if (is_long) {
      last.bytes = std::move(body);
      last.share.emplace(*std::move(exchange.answer_share));
    } else if (!exchange.head_only) {
      out_ += body;
    }
    complete_front();
  }
  return last;
}

/// Writes the answers that are ready, together.
Awaitable<bool> HttpSession::write_ready() {
  const LongBody last = gather_ready(Bodies::any);
  bool written = co_await write_all(out_);
  if (written && !last.bytes.empty()) written = co_await write_all(last.bytes);
  co_return written;
}

Awaitable<bool> HttpSession::write_stream(std::shared_ptr<Exchange> exchange) {
  const std::unique_ptr<BodySource> source = std::move(exchange->response->stream);
  Framing framing = exchange->http_1_1 ? Framing::chunked : Framing::close;
  if (exchange->head_only) framing = Framing::none;
  out_.clear();
  append_head(out_, *exchange->response, framing, !closes_after(*exchange));
  bool last = exchange->head_only;
  while (true) {
    if (!out_.empty()) {
      const bool written = co_await write_all(out_);
      if (!written) co_return false;
    }
    if (last) break;
    const auto slot = std::make_shared<Pull::Slot>();
    source->next(Pull(weak_from_this(), home_, slot));
    while (!slot->chunk && !cut_) co_await write_signal_.wait();
    if (cut_) co_return false;
    if (!slot->chunk->has_value()) {
      log_cut(slot->chunk->error());
      co_return false;
    }
    Chunk& chunk = **slot->chunk;
    last = chunk.last;
    out_.clear();
    if (framing == Framing::chunked) {
      append_chunk(out_, chunk.bytes);
      if (last) out_ += kLastChunk;
    } else {
      out_ = std::move(chunk.bytes);
    }
  }
  complete_front();
  co_return true;
}

Awaitable<bool> HttpSession::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    write_by_ = Clock::now() + environment_->options.write_timeout;
    const asio::const_buffer piece(bytes.data(), std::min(bytes.size(), kWrittenAtOnce));
    const Transferred done = co_await wire_->write_some(piece);
    write_by_ = TimePoint::max();
    if (done.error || cut_) co_return false;
    bytes.remove_prefix(done.bytes);
  }
  co_return true;
}

/// Whether the connection ends with this answer, so that the answer says so.
bool HttpSession::closes_after(const Exchange& exchange) const {
  if (!exchange.keep_alive) return true;
  return exchanges_.size() == 1 && (reading_ended_ || (stopping_ && reading_ == Reading::request));
}

void HttpSession::complete_front() {
  const Exchange& exchange = *exchanges_.front();
  exchange.metrics->done(exchange.response->status, Clock::now() - exchange.begun);
  blocking_ -= exchange.blocking ? 1 : 0;
  exchanges_.pop_front();
}

/// Everything is answered. A socket closed with unread bytes in it is reset, and the client may
/// lose the last answer: so say that we are done, and read on a little.
Awaitable<void> HttpSession::finish() {
  write_by_ = Clock::now() + kLinger;
  timer_.expires_at(write_by_);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->cut();
  });
  co_await wire_->finish_writing();
  std::size_t drained = 0;
  buffer_.clear();
  while (!end_of_stream_ && !cut_ && drained < kDrainedMax) {
    const Transferred got = co_await wire_->read_some(buffer_.prepare(kGatheredMax));
    drained += got.bytes;
    if (got.error) break;
  }
  cut();
}

}  // namespace keelson::http
