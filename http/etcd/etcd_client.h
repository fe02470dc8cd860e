// Requests to etcd: its v3 interface as JSON over HTTP.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"
#include "http/beast.h"

namespace keelson::http {

struct EtcdEndpoint {
  std::string host;
  std::string port;
  bool operator==(const EtcdEndpoint&) const = default;
};

/// Of `http://host:port`, several with commas between.
/// @error bad_request  says which is not like that.
[[nodiscard]] Result<std::vector<EtcdEndpoint>> parse_etcd_endpoints(std::string_view text);

struct EtcdTimes {
  std::chrono::milliseconds connect{300};
  std::chrono::milliseconds request{1000};
  /// A stream on which nothing has come for this long is given up.
  std::chrono::milliseconds silence{10'000};
};

/// Asks one of several endpoints, and another when one does not answer. Each request has a
/// connection of its own: they are few. Belongs to one `io_context` with one thread.
class EtcdClient {
 public:
  EtcdClient(std::vector<EtcdEndpoint> endpoints, EtcdTimes times)
      : endpoints_(std::move(endpoints)), times_(times) {}

  /// What may be asked twice, such as a read, is asked of every endpoint until one answers.
  enum class Repeat { harmless, never };

  /// @param path  such as `/v3/kv/range`.
  /// @error io_error         nobody answers; nothing has been done.
  /// @error outcome_unknown  `Repeat::never`, and the answer did not come: it may be done, or yet
  ///                         to be.
  /// @error internal         etcd has refused it; context has its words.
  [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> call(std::string path,
                                                                    nlohmann::json body,
                                                                    Repeat repeat);

  /// Gives each message of an answer that does not end to `received`, until that returns false or
  /// the stream breaks.
  [[nodiscard]] boost::asio::awaitable<Result<void>> stream(
      std::string path, nlohmann::json body, std::function<bool(const nlohmann::json&)> received);

 private:
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<boost::beast::tcp_stream>>> connect(
      EtcdEndpoint endpoint);
  [[nodiscard]] boost::asio::awaitable<Result<std::string>> exchange(
      boost::beast::tcp_stream& stream, EtcdEndpoint endpoint, std::string path, std::string body);
  void avoid(std::size_t endpoint);

  const std::vector<EtcdEndpoint> endpoints_;
  const EtcdTimes times_;
  std::size_t preferred_ = 0;  ///< the one that answered last
};

/// Bytes as etcd's JSON has them, and back; nothing when `text` is not base64.
[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace keelson::http
