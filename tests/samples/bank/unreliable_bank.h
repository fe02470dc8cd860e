// A server that an import must survive: it loses connections, answers and patience.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "samples/bank/url.h"

namespace bank::test {

/// Keeps balances and remembers outcomes by command id, as the real one does. Of its requests some
/// are refused for now, some are dropped unread, some are carried out and not answered. A thread
/// for each connection, which ends when the client closes it.
class UnreliableBank {
 public:
  struct Options {
    unsigned trouble_percent = 0;  ///< of requests that go wrong
    unsigned status = 0;           ///< not 0: the answer to everything
    std::string refused_key{};     ///< a command that the domain refuses
    std::string leader{};          ///< not empty: commands are for the server there
    std::uint32_t seed = 1;
  };

  explicit UnreliableBank(Options options);
  ~UnreliableBank();
  UnreliableBank(const UnreliableBank&) = delete;
  UnreliableBank& operator=(const UnreliableBank&) = delete;

  [[nodiscard]] Url url() const;
  [[nodiscard]] std::map<std::string, std::int64_t> balances() const;
  /// Commands that took effect, opening included.
  [[nodiscard]] std::size_t effects() const;
  /// Times something went wrong.
  [[nodiscard]] std::size_t troubles() const;

 private:
  using Json = nlohmann::json;
  enum class Trouble { none, busy, dropped, unanswered };

  void accept();
  void serve(boost::asio::ip::tcp::socket socket);
  [[nodiscard]] Trouble roll();
  [[nodiscard]] Json run(const std::string& account, const std::string& command,
                         const std::string& key, const Json& data);
  [[nodiscard]] std::string run_batch(const std::string& lines);

  Options options_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread listener_;
  std::vector<std::thread> sessions_;
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;
  std::mt19937 dice_;
  std::map<std::string, std::int64_t> balances_;
  std::map<std::string, Json> outcomes_;  ///< by account and key
  std::size_t troubles_ = 0;
};

}  // namespace bank::test
