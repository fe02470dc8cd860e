// Requests to etcd: its v3 interface as JSON over HTTP.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"
#include "http/beast.h"
#include "http/etcd/etcd_options.h"

namespace keelson::http {

struct EtcdTimes {
  std::chrono::milliseconds connect{300};
  std::chrono::milliseconds handshake{1000};  ///< of TLS
  std::chrono::milliseconds request{1000};
  /// etcd hashes passwords slowly, on purpose.
  std::chrono::milliseconds authenticate{3000};
  /// A stream on which nothing has come for this long is given up.
  std::chrono::milliseconds silence{10'000};
};

class EtcdConnection;

/// Asks one of several endpoints, and another when one does not answer. Each request has a
/// connection of its own: they are few. Belongs to one `io_context` with one thread.
///
/// As a user it shows a token, got with the password when there is none; one that etcd refuses,
/// since it has run out, etcd was started anew or its users have changed, is renewed, and the
/// request is sent once more: a request that is refused for its token has not been done. The
/// password is read from its file each time, and certificates when their files have changed.
class EtcdClient {
 public:
  /// @error bad_request  an endpoint is none, or a file cannot be used: context says which.
  [[nodiscard]] static Result<std::unique_ptr<EtcdClient>> open(EtcdOptions options,
                                                                EtcdTimes times = {});
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  /// What may be asked twice, such as a read, is asked of every endpoint until one answers.
  enum class Repeat { harmless, never };

  /// @param path  such as `/v3/kv/range`.
  /// @error io_error         nobody answers, or etcd does not let this client do it (see
  ///                         `refusal`); nothing has been done.
  /// @error outcome_unknown  `Repeat::never`, and the answer did not come: it may be done, or yet
  ///                         to be.
  /// @error internal         etcd finds fault with the request; context has its words.
  [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> call(std::string path,
                                                                    nlohmann::json body,
                                                                    Repeat repeat);

  /// Gives each message of an answer that does not end to `received`, until that returns false, or
  /// the stream breaks or is ended by etcd.
  [[nodiscard]] boost::asio::awaitable<Result<void>> stream(
      std::string path, nlohmann::json body, std::function<bool(const nlohmann::json&)> received);

  /// Why the last that was asked was not let in: a certificate, the password, or what the user may
  /// do. Empty: it was, or nobody answers.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  /// Whether trouble is left to be told by who has asked.
  void mute(bool muted) { muted_ = muted; }

 private:
  /// What became of a request at one endpoint.
  struct Tried {
    std::optional<std::string> answer;
    std::optional<Error> error;
    bool sent = false;  ///< and not refused: it may have been done
    bool token_refused = false;
  };

  /// Of a file: another than before when it was written since.
  struct FileState {
    std::filesystem::file_time_type changed;
    std::uintmax_t bytes = 0;
    bool operator==(const FileState&) const = default;
  };
  /// What TLS is made of.
  struct Tls {
    std::unique_ptr<boost::asio::ssl::context> context;  ///< nothing: plain HTTP
    std::vector<FileState> files;                        ///< as they were before it was made
  };

  EtcdClient(EtcdOptions options, std::vector<EtcdEndpoint> endpoints, EtcdTimes times, Tls tls);

  [[nodiscard]] static std::vector<FileState> states_of(const EtcdOptions& options);

  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<EtcdConnection>>> connect(
      EtcdEndpoint endpoint);
  [[nodiscard]] boost::asio::awaitable<Tried> exchange(EtcdConnection& connection,
                                                       EtcdEndpoint endpoint, std::string path,
                                                       std::string body);
  [[nodiscard]] boost::asio::awaitable<Tried> try_at(EtcdEndpoint endpoint, std::string path,
                                                     std::string body);
  [[nodiscard]] boost::asio::awaitable<Result<void>> have_token(EtcdEndpoint endpoint);
  [[nodiscard]] boost::asio::awaitable<Result<std::string>> authenticate(EtcdEndpoint endpoint);
  [[nodiscard]] Error unreached(const EtcdEndpoint& endpoint, const char* what,
                                const boost::system::error_code& error);
  [[nodiscard]] Error refused(const EtcdEndpoint& endpoint, const std::string& words);
  void renew_tls();
  [[nodiscard]] std::string password();
  void say(std::string& said, const std::string& what);
  void say_over(std::string& said, const std::string& what);
  void avoid(const EtcdEndpoint& endpoint);
  void on_trouble(const std::string& what);
  void on_answer();

  const EtcdOptions options_;
  const std::vector<EtcdEndpoint> endpoints_;
  const EtcdTimes times_;
  Tls tls_;
  std::size_t preferred_ = 0;  ///< the one that answered last
  std::string token_;          ///< empty: to be asked for
  std::string password_;       ///< as it was last read
  /// Wakes who waits for the token; there while it is asked for.
  std::unique_ptr<boost::asio::steady_timer> authenticating_;
  std::optional<Error> not_authenticated_;  ///< why, when that was over
  std::string refusal_;
  std::string said_of_tls_;       ///< of files that cannot be used; empty: they can
  std::string said_of_password_;  ///< as above
  bool muted_ = false;
  enum class Trouble { none, away, refused };
  Trouble reported_ = Trouble::none;
};

/// Bytes as etcd's JSON has them, and back; nothing when `text` is not base64.
[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace keelson::http
