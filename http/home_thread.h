// The thread of a connection, as every other thread sees it. Private to the library.
#pragma once

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

namespace keelson::http {

/// The way to a connection's thread from any other: from the work pool, from timers, from the
/// engine. It leads nowhere once the server has ended.
///
/// When a server ends it destroys its contexts, and every session with them, while those others go
/// on for a moment and may still have something for a session. Whoever is not on the connection's
/// thread therefore holds nothing of it but this and a weak reference to the session: no session,
/// no socket, not even an executor, which is a bare pointer to the context. A context is not
/// destroyed while somebody hands something over to it. Thread-safe.
class HomeThread {
 public:
  explicit HomeThread(std::weak_ptr<boost::asio::io_context> context)
      : context_(std::move(context)) {}

  /// Runs `task` there later. When there is no such thread any more the task is dropped, on the
  /// caller's: it must not be the last to hold a session.
  template <class Handed>
  void post(Handed&& task) const {
    if (const auto context = context_.lock()) {
      boost::asio::post(context->get_executor(), std::forward<Handed>(task));
    }
  }
  /// The same, and before returning when called there.
  template <class Handed>
  void dispatch(Handed&& task) const {
    if (const auto context = context_.lock()) {
      boost::asio::dispatch(context->get_executor(), std::forward<Handed>(task));
    }
  }

 private:
  std::weak_ptr<boost::asio::io_context> context_;
};

}  // namespace keelson::http
