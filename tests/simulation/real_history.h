// What a cluster has committed, as the first replica that published it shows it, and what clients
// were told of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/store/commit.h"

namespace keelson::simulation {

/// Where a command's events are, or that it was refused.
struct KnownOutcome {
  bool rejected = false;
  Offset first;
  Offset end;
  std::string detail;
  std::map<std::string, std::pair<Version, Version>> written;
  bool operator==(const KnownOutcome&) const = default;

  [[nodiscard]] static KnownOutcome of(const CommitOutcome& outcome);
  [[nodiscard]] std::string to_string() const;
};

/// What the events of clients say.
struct AccountEvent {
  std::int64_t amount = 0;
  std::int64_t balance = 0;  ///< of the account, this event included

  [[nodiscard]] std::string text() const;
  [[nodiscard]] static AccountEvent of(std::string_view data);
};

class RealHistory {
 public:
  using Fail = std::function<void(const std::string&)>;
  /// @param identity  of the partition.
  RealHistory(const Uuid& identity, Fail fail) : identity_(identity), fail_(std::move(fail)) {}

  /// A replica has published batch number `number`: all have the same one.
  void publish(std::uint64_t number, const std::string& batch);
  /// A client was told that `id` had this outcome.
  void acknowledge(const std::string& id, const KnownOutcome& outcome);
  /// A client was told that nothing was done, each time it asked.
  void refuse(const std::string& id, const std::string& how);
  /// All from batch `end` on is lost.
  void go_back(std::uint64_t end);

  [[nodiscard]] std::uint64_t batches() const { return batches_.size(); }
  [[nodiscard]] const std::string& batch(std::uint64_t number) const { return batches_[number]; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::size_t acknowledged() const { return acknowledged_.size(); }
  [[nodiscard]] const std::map<std::string, KnownOutcome>& outcomes() const { return outcomes_; }
  /// The offset and data of each event of a stream.
  struct StreamEvent {
    std::uint64_t offset;
    std::string data;
  };
  [[nodiscard]] const std::vector<StreamEvent>& stream(const std::string& name) {
    return streams_[name];
  }

 private:
  void learn(const std::string& batch);

  const Uuid identity_;
  const Fail fail_;
  std::vector<std::string> batches_;
  std::uint64_t events_ = 0;
  std::map<std::string, std::vector<StreamEvent>> streams_;
  std::map<std::string, std::int64_t> balances_;
  std::map<std::string, KnownOutcome> outcomes_;
  std::set<std::string> acknowledged_;
  std::map<std::string, std::string> refused_;
};

}  // namespace keelson::simulation
