// A stream that gathers what is written and sends it in few large writes.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace keelson::http {

/// Stands between a WebSocket stream and its socket.
///
/// Events are small and come by the hundred; one system call for each would cost far more than the
/// event. So whole frames are appended here, between those that Beast writes itself (handshake,
/// pong, ping, close), and go out together as soon as the write before is done. A frame is appended
/// whole, so frames never mix. What Beast writes completes when it has been sent, so that a client
/// cannot make pongs pile up; whoever appends looks at `backlog` first.
///
/// Lives on the thread of its executor. A write in flight keeps the socket alive, and its owner.
/// Those who wait for a write hold the owner, and so this stream. Between two writes nobody waits;
/// during one it is the write that holds them (`InFlight`), and never for good: when a server is
/// destroyed, so is the write, unfinished.
template <class Next>
class CorkedStream {
 public:
  using next_layer_type = Next;
  using executor_type = typename Next::executor_type;
  using Written = std::function<void(boost::system::error_code)>;

  explicit CorkedStream(Next next) : state_(std::make_shared<State>(std::move(next))) {}

  [[nodiscard]] executor_type get_executor() { return state_->next.get_executor(); }
  [[nodiscard]] Next& next_layer() { return state_->next; }
  [[nodiscard]] const Next& next_layer() const { return state_->next; }

  /// Who is held by each write in flight: without that, an owner that waits for room to send would
  /// be held by nothing.
  void set_owner(std::weak_ptr<void> owner) { state_->owner = std::move(owner); }
  /// Called after each write of what was appended, on the executor's thread.
  void set_written(Written written) { state_->written = std::move(written); }

  /// Where bytes are to be appended, whole frames, that go out with the next `flush`.
  [[nodiscard]] std::string& gathered() { return state_->gathered; }
  /// Sends what was appended, now or when the write in flight is done.
  void flush() { State::flush(state_); }
  /// Bytes appended and not yet taken by the operating system.
  [[nodiscard]] std::size_t backlog() const {
    return state_->gathered.size() + state_->sending.size();
  }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return state_->next.async_read_some(buffers, std::forward<Token>(token));
  }

  /// For Beast. Takes all of `buffers`.
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [state = state_](auto handler, const Buffers& data) {
          const auto executor =
              boost::asio::get_associated_executor(handler, state->next.get_executor());
          const std::size_t size = boost::asio::buffer_size(data);
          const std::size_t old = state->gathered.size();
          state->gathered.resize(old + size);
          boost::asio::buffer_copy(boost::asio::buffer(state->gathered.data() + old, size), data);
          state->waiting.push_back([handler = std::move(handler), executor,
                                    size](boost::system::error_code error) mutable {
            boost::asio::post(executor, [handler = std::move(handler), error, size]() mutable {
              handler(error, error ? 0 : size);
            });
          });
          State::flush(state);
        },
        token, buffers);
  }

 private:
  using Waiting = std::vector<std::move_only_function<void(boost::system::error_code)>>;
  struct State;

  /// The handler of a write, and what the write holds.
  struct InFlight {
    std::shared_ptr<State> state;
    std::shared_ptr<void> owner;
    Waiting waits;  ///< Beast's writes in `sending`

    InFlight(std::shared_ptr<State> state_, std::shared_ptr<void> owner_, Waiting waits_)
        : state(std::move(state_)), owner(std::move(owner_)), waits(std::move(waits_)) {}
    InFlight(InFlight&&) noexcept = default;
    InFlight& operator=(InFlight&&) = delete;
    /// Destroyed unrun: whoever waits for the next write waits in vain, and would hold `state`.
    ~InFlight() {
      if (state) const auto dropped = std::exchange(state->waiting, {});
    }
    void operator()(boost::system::error_code error, std::size_t) {
      const auto held = std::move(owner);
      State::finish(std::exchange(state, nullptr), std::move(waits), error);
    }
  };

  struct State {
    explicit State(Next stream) : next(std::move(stream)) {}

    static void flush(const std::shared_ptr<State>& state) {
      if (!state->sending.empty() || state->gathered.empty()) return;
      std::swap(state->sending, state->gathered);
      InFlight write{state, state->owner.lock(), std::exchange(state->waiting, {})};
      boost::asio::async_write(state->next, boost::asio::buffer(state->sending), std::move(write));
    }

    static void finish(const std::shared_ptr<State>& state, Waiting waits,
                       boost::system::error_code error) {
      state->sending.clear();
      for (auto& done : waits) done(error);
      if (error) {
        // Nothing goes out any more; whoever waits must learn it, and let go of this stream.
        state->gathered.clear();
        for (auto& done : std::exchange(state->waiting, {})) done(error);
      }
      flush(state);
      if (state->written) state->written(error);
    }

    Next next;
    std::string gathered;
    std::string sending;  ///< of the write in flight; empty: none
    Waiting waiting;      ///< Beast's writes in `gathered`; empty when no write is in flight
    std::weak_ptr<void> owner;
    Written written;
  };

  std::shared_ptr<State> state_;
};

/// How Beast closes the connection under a WebSocket.
template <class Next, class Handler>
void async_teardown(boost::beast::role_type role, CorkedStream<Next>& stream, Handler&& handler) {
  using boost::beast::websocket::async_teardown;
  async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

}  // namespace keelson::http
