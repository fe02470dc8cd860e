// A wake-up for coroutines of one connection. Private to the library.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "http/wire.h"

namespace keelson::http {

/// A coroutine waits in a loop around its condition: a notification without a waiter is lost. Only
/// on the connection's thread.
class Signal {
 public:
  explicit Signal(Executor executor) : timer_(executor) {}

  void notify() { timer_.cancel(); }

  [[nodiscard]] Awaitable<void> wait() {
    timer_.expires_at(Timer::time_point::max());
    co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable_t<Executor>{}));
  }

 private:
  using Timer = boost::asio::basic_waitable_timer<
      std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  Timer timer_;
};

}  // namespace keelson::http
