#include "http/connections.h"

#include <boost/asio/post.hpp>
#include <vector>

namespace keelson::http {

Connection::~Connection() { all_->remove(number_); }

std::shared_ptr<Connection> Connections::add(Executor executor) {
  std::unique_lock lock(mutex_);
  auto connection = std::make_shared<Connection>(shared_from_this(), next_number_++, executor);
  open_.emplace(connection->number(), connection);
  count_.store(open_.size(), std::memory_order_relaxed);
  const bool stopping = stopping_;
  lock.unlock();
  if (stopping) tell(connection);
  return connection;
}

void Connections::tell(const std::shared_ptr<Connection>& connection) {
  boost::asio::post(connection->executor_, [weak = std::weak_ptr(connection)] {
    if (const auto there = weak.lock()) there->stop_.request_stop();
  });
}

void Connections::stop_all() {
  // Collected first: the last reference to a connection must not be dropped under the lock.
  std::vector<std::shared_ptr<Connection>> open;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [number, weak] : open_) {
      if (auto connection = weak.lock()) open.push_back(std::move(connection));
    }
  }
  for (const auto& connection : open) tell(connection);
}

bool Connections::wait_until_gone(std::chrono::milliseconds time_max) {
  std::unique_lock lock(mutex_);
  return gone_.wait_for(lock, time_max, [this] { return open_.empty(); });
}

void Connections::remove(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  open_.erase(number);
  count_.store(open_.size(), std::memory_order_relaxed);
  if (open_.empty()) gone_.notify_all();
}

}  // namespace keelson::http
