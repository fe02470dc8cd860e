// Every connection of a server, HTTP and WebSocket alike: counted, and told when to stop. Private
// to the library.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <unordered_map>

#include "http/upgrade.h"

namespace keelson::http {

class Connections;

/// A place among the connections, held for as long as the socket is open. Dropped on any thread.
class Connection {
 public:
  Connection(std::shared_ptr<Connections> all, std::uint64_t number, Executor executor)
      : all_(std::move(all)), number_(number), executor_(executor) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Ordinal since the server started, for logs.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  /// Requested, on the connection's thread, when the server stops.
  [[nodiscard]] std::stop_token stopping() const { return stop_.get_token(); }

 private:
  friend class Connections;
  std::shared_ptr<Connections> all_;
  const std::uint64_t number_;
  Executor executor_;
  std::stop_source stop_;
};

/// Thread-safe.
class Connections : public std::enable_shared_from_this<Connections> {
 public:
  [[nodiscard]] std::shared_ptr<Connection> add(Executor executor);
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_relaxed); }

  /// Tells every connection, now and later, to stop.
  void stop_all();
  /// @return whether all are gone.
  [[nodiscard]] bool wait_until_gone(std::chrono::milliseconds time_max);

 private:
  friend class Connection;
  void remove(std::uint64_t number);
  static void tell(const std::shared_ptr<Connection>& connection);

  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::condition_variable gone_;
  std::unordered_map<std::uint64_t, std::weak_ptr<Connection>> open_;
  std::uint64_t next_number_ = 1;
  bool stopping_ = false;
};

}  // namespace keelson::http
