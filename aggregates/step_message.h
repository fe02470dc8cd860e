// A step of a reaction, and what it came to, as nodes tell each other.
#pragma once

#include <string>
#include <string_view>

#include "aggregates/aggregate_host.h"
#include "engine/base/result.h"
#include "engine/base/types.h"

namespace keelson::aggregates {

/// As which principal, and consumer group, a reaction is known. Nobody else has such a name: he
/// could take the outcomes of its commands.
inline constexpr std::string_view kReactionPrefix = "$reaction/";
[[nodiscard]] std::string reaction_principal(std::string_view reaction);

/// One step of one cause. All of this names the command for ever.
struct StepCommand {
  std::string reaction;
  PartitionId partition;  ///< of the cause
  Offset offset;          ///< of the cause
  std::string place;      ///< among the steps of the cause: `0`, `1.0`, …
  std::string type;       ///< of the target
  std::string id;         ///< of the target
  std::string command;
  std::string body;  ///< JSON

  [[nodiscard]] std::string target() const { return type + "-" + id; }
  /// The command `<reaction>:<partition>:<offset>:<place>` of the reaction's principal.
  [[nodiscard]] CommandCall call() const;
  bool operator==(const StepCommand&) const = default;
};

/// What the target decided.
struct StepOutcome {
  bool refused = false;
  std::string reason;  ///< of a refusal
  std::string detail;
  bool operator==(const StepOutcome&) const = default;
};

[[nodiscard]] std::string encode_step(const StepCommand& step);
/// @error bad_request  not what `encode_step` writes.
[[nodiscard]] Result<StepCommand> decode_step(std::string_view text);

[[nodiscard]] std::string encode_step_answer(const Result<StepOutcome>& answer);
/// What the other node said. An error that the step cannot help, such as that the node is going
/// down, or runs code that does not know the command, becomes `not_enough_replicas`: it is no
/// verdict on the step.
[[nodiscard]] Result<StepOutcome> decode_step_answer(std::string_view text);

}  // namespace keelson::aggregates
