#include "aggregates/step_message.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "aggregates/json_text.h"

namespace keelson::aggregates {

namespace {

using nlohmann::json;

/// Texts may come from a log that was written by others.
std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<std::string> text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::uint64_t> number_of(const json& object, const char* name, std::uint64_t max) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto number = found->get<std::uint64_t>();
  return number <= max ? std::optional(number) : std::nullopt;
}

std::optional<Errc> code_called(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    if (to_string(static_cast<Errc>(i)) == name) return static_cast<Errc>(i);
  }
  return std::nullopt;
}

/// Whether an error is about the node that gave it and not about the step, which has been found
/// good here before it was sent.
bool is_about_the_node(Errc code) {
  return code == Errc::not_leader || code == Errc::closed || code == Errc::not_found ||
         code == Errc::bad_request;
}

}  // namespace

std::string reaction_principal(std::string_view reaction) {
  return std::string(kReactionPrefix) + std::string(reaction);
}

CommandCall StepCommand::call() const {
  const std::string where = std::to_string(partition.value);
  const std::string at = std::to_string(offset.value);
  CommandCall call;
  call.type = type;
  call.id = id;
  call.command = command;
  call.body = body;
  call.key = reaction + ":" + where + ":" + at + ":" + place;
  call.principal = reaction_principal(reaction);
  call.metadata =
      R"({"reaction":")" + reaction + R"(","partition":)" + where + R"(,"offset":)" + at + "}";
  return call;
}

std::string encode_step(const StepCommand& step) {
  return dump({{"reaction", step.reaction},
               {"partition", step.partition.value},
               {"offset", step.offset.value},
               {"place", step.place},
               {"type", step.type},
               {"id", step.id},
               {"command", step.command},
               {"body", step.body}});
}

Result<StepCommand> decode_step(std::string_view text) {
  KEELSON_TRY_ASSIGN(const json object, parse_json(text));
  auto reaction = text_of(object, "reaction");
  const auto partition = number_of(object, "partition", std::numeric_limits<std::uint32_t>::max());
  const auto offset = number_of(object, "offset", UINT64_MAX);
  auto place = text_of(object, "place");
  auto type = text_of(object, "type");
  auto id = text_of(object, "id");
  auto command = text_of(object, "command");
  auto body = text_of(object, "body");
  if (!reaction || !partition || !offset || !place || !type || !id || !command || !body) {
    return fail(Errc::bad_request, "a step of a reaction that lacks something");
  }
  return StepCommand{*std::move(reaction), PartitionId(static_cast<std::uint32_t>(*partition)),
                     Offset(*offset),      *std::move(place),
                     *std::move(type),     *std::move(id),
                     *std::move(command),  *std::move(body)};
}

std::string encode_step_answer(const Result<StepOutcome>& answer) {
  if (!answer) {
    return dump({{"error", to_string(answer.error().code)}, {"context", answer.error().context}});
  }
  if (!answer->refused) return R"({"outcome":"accepted"})";
  return dump({{"outcome", "refused"}, {"reason", answer->reason}, {"detail", answer->detail}});
}

Result<StepOutcome> decode_step_answer(std::string_view text) {
  const auto object = parse_json(text);
  const auto outcome = object ? text_of(*object, "outcome") : std::nullopt;
  if (outcome == "accepted") return StepOutcome{};
  if (outcome == "refused") {
    auto reason = text_of(*object, "reason");
    auto detail = text_of(*object, "detail");
    if (reason && detail) return StepOutcome{true, *std::move(reason), *std::move(detail)};
  }
  const auto error = object ? text_of(*object, "error") : std::nullopt;
  const auto code = error ? code_called(*error) : std::nullopt;
  if (!code) {
    return fail(Errc::not_enough_replicas, "the node that leads it gave no answer that is known");
  }
  const std::string context = text_of(*object, "context").value_or("");
  if (!is_about_the_node(*code)) return fail(*code, context);
  return fail(Errc::not_enough_replicas,
              "the node that is to take it says " + *error + ": " + context);
}

}  // namespace keelson::aggregates
