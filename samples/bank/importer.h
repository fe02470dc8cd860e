// Feeds a transactions file to a bank over HTTP, and checks every answer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "samples/bank/import_report.h"
#include "samples/bank/transactions.h"
#include "samples/bank/url.h"

namespace bank {

struct ImportOptions {
  Url url;                         ///< of any node of a cluster
  std::string token;               ///< bearer token; empty: none
  std::size_t in_flight = 512;     ///< commands sent and not answered, all connections together
  std::size_t connections = 8;     ///< keep-alive; at least 1
  bool single = false;             ///< a request for each command, pipelined, instead of batches
  std::chrono::seconds retry{30};  ///< how long to repeat what fails for now, before giving up
  std::string currency = "CZK";    ///< that accounts are opened in
};

/// Reads rows ahead, turns them into commands (`ImportQueue`: one in flight for each account, so
/// the order of the file holds), and sends them over several connections, each of which sends,
/// waits, checks and goes on. What fails for now, a server killed and started again included, is
/// repeated with the same command id until it is answered, so that each row takes effect exactly
/// once; so does running the whole import again. In a cluster commands go to the nodes that lead,
/// and when one does not answer another one is asked who does.
///
/// Everything runs in the thread that calls `run`. Memory is bounded by `in_flight` and the number
/// of accounts, not by the length of the file.
class Importer {
 public:
  /// Called about ten times a second.
  using OnProgress = std::function<void(const ImportReport&)>;

  Importer(ImportOptions options, TransactionReader reader);
  ~Importer();
  Importer(const Importer&) = delete;
  Importer& operator=(const Importer&) = delete;

  /// Returns when every row is answered, or the import stopped: at a row that cannot be read, at a
  /// server that does not answer for longer than `retry`, or at SIGINT or SIGTERM (a second one
  /// ends the process at once). What was in flight then is answered first. Called once.
  [[nodiscard]] ImportReport run(OnProgress on_progress = {});

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

}  // namespace bank
