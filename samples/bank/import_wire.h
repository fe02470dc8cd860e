// Commands as requests, and answers as what they mean to an import.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "samples/bank/http_client.h"
#include "samples/bank/import_queue.h"

namespace bank {

/// What the server says of one command.
struct CommandAnswer {
  enum class Kind {
    accepted,   ///< it happened, now or before
    failed,     ///< it did not and will not: the domain or the server refuses it for ever
    transient,  ///< not now, or not known whether: repeat it with the same id
    elsewhere,  ///< not here: send the same to `leader`
    fatal,      ///< no command will fare better: not authorised, no such route
  };
  Kind kind = Kind::failed;
  bool replayed = false;                      ///< it had happened before
  std::optional<std::int64_t> balance_after;  ///< of the last event that tells
  std::string detail;                         ///< of anything but `accepted`, for people
  std::optional<std::chrono::seconds> retry_after;
  std::string leader;  ///< `HOST:PORT`, of `elsewhere`
};

/// `POST /v1/aggregates/account/{id}/{command}`.
[[nodiscard]] HttpRequest single_request(const ImportCommand& command);
[[nodiscard]] CommandAnswer read_single(const HttpAnswer& answer);

/// `POST /v1/commands` with a line for each command.
[[nodiscard]] HttpRequest batch_request(const std::vector<ImportCommand>& commands);
/// One answer for each of `count` commands; all the same when the request failed as a whole.
[[nodiscard]] std::vector<CommandAnswer> read_batch(const HttpAnswer& answer, std::size_t count);

/// `GET /v1/cluster`: where the nodes of a cluster are.
[[nodiscard]] HttpRequest cluster_request();
/// `HOST:PORT` of each; none of a server that is alone.
[[nodiscard]] std::vector<std::string> read_cluster(const HttpAnswer& answer);

}  // namespace bank
