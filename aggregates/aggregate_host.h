// Runs commands against registered aggregates, exactly once, and answers their state.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregates/aggregate_info.h"
#include "engine/base/result.h"
#include "engine/store/commit.h"
#include "engine/store/event.h"
#include "engine/store/store.h"

namespace keelson::aggregates {

class AggregateRegistry;
class ReactionRegistry;
class StepCarrier;

struct HostOptions {
  std::uint64_t cache_bytes_max = 256u << 20;  ///< decoded states, all partitions together
  std::uint32_t snapshot_every = 1000;         ///< events of a stream between snapshots
  std::string snapshot_folder{};               ///< a cache: may be deleted at any time; empty: none
  /// Brings steps of reactions to the nodes that lead their targets; nullptr where there is one.
  std::shared_ptr<StepCarrier> steps{};
};

/// A command as it arrives, not yet trusted.
struct CommandCall {
  std::string type;     ///< of the aggregate: `account`
  std::string id;       ///< of the aggregate: `42`; the stream is `account-42`
  std::string command;  ///< `deposit`
  std::string body;     ///< JSON object
  std::string key;      ///< the command id; empty: the effect is at most once per call
  std::string principal;
  std::optional<Version> expected;  ///< If-Match
  std::string metadata;             ///< JSON put beside each event, or empty
};

struct CommandReply {
  CommitOutcome outcome;
  Version version;            ///< of the aggregate after the command (a replay: after the first)
  std::vector<Event> events;  ///< of this command; empty when rejected
  std::string reason;         ///< of a rejection, a snake_case word of the domain
  std::string detail;         ///< of a rejection, a sentence; may be empty
};

/// State of one aggregate as of somewhere.
struct AggregateState {
  Version version;    ///< > 0
  Offset offset;      ///< of the event that made this version
  std::string state;  ///< JSON text
  /// Everything below was taken into account: what `Keelson-Position` reports.
  Offset position_end;
};

/// Which state of an aggregate: at most one is set; none means now.
struct AsOf {
  std::optional<Offset> offset{};  ///< after all events of its partition with offset <= this
  std::optional<Version> version{};
  std::optional<TimeUs> time{};
};

struct ReactionStatus {
  std::string name;
  PartitionId partition;
  Offset next;        ///< all below is done; standing by: and remembered, as far as is known here
  std::uint64_t lag;  ///< committed events not yet looked at
  bool halted;        ///< it stands at an event that fails, until the next start
  bool standing_by;   ///< it runs at the node that leads the partition, which is another one
  std::string error;  ///< why it halted, or what may pass holds it up; empty while running
};

/// The aggregates of one topic. Thread-safe.
class AggregateHost {
 public:
  using Completion = std::move_only_function<void(Result<CommandReply>)>;

  /// @error bad_request  two types with one name, or a name that is no `[a-z][a-z0-9_]*`.
  [[nodiscard]] static Result<std::unique_ptr<AggregateHost>> open(
      Environment environment, Topic& topic, std::shared_ptr<const AggregateRegistry> registry,
      std::shared_ptr<const ReactionRegistry> reactions, HostOptions options);
  virtual ~AggregateHost() = default;

  [[nodiscard]] virtual Topic& topic() const = 0;
  [[nodiscard]] virtual const std::vector<AggregateInfo>& types() const = 0;
  /// Nullptr when there is no such type.
  [[nodiscard]] virtual const AggregateInfo* find(std::string_view type) const = 0;

  /// Validates (an error of that completes before returning), decides on the partition's strand
  /// with the state as staged, commits, and completes when durable (on the strand; keep it short).
  /// Commands to one aggregate are decided in the order of the calls of one thread. A refusal of
  /// the domain is a reply with `outcome.rejected`, not an error.
  /// @error not_found    no such aggregate type or command. @error bad_request  the body.
  /// @error version_conflict, idempotency_mismatch and whatever `Partition::execute` gives.
  virtual void execute(CommandCall call, Completion completion) = 0;
  /// The same for each, in their order, with less work for each than one by one.
  virtual void execute_all(std::vector<std::pair<CommandCall, Completion>> all) = 0;

  /// @error not_found  no such type, or no events as of then. @error beyond_end, below_start
  [[nodiscard]] virtual Result<AggregateState> load(std::string_view type, std::string_view id,
                                                    const AsOf& as_of) const = 0;

  [[nodiscard]] virtual std::vector<ReactionStatus> reactions() const = 0;
  /// Starts reacting to what happens in partitions that this node leads, now or later; `stop`
  /// blocks until what is in flight is done. Commands, and steps of other nodes, still work when
  /// stopped. A reaction that halted is tried again when started again.
  virtual void start_reactions() = 0;
  virtual void stop_reactions() = 0;
};

}  // namespace keelson::aggregates
