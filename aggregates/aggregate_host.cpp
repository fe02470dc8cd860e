#include "aggregates/aggregate_host.h"

#include <set>
#include <utility>
#include <vector>

#include "aggregates/command_executor.h"
#include "aggregates/reaction.h"
#include "aggregates/reaction_runners.h"
#include "aggregates/registry.h"
#include "aggregates/step_message.h"
#include "aggregates/step_taker.h"

namespace keelson::aggregates {

namespace {

Result<void> check_registries(const AggregateRegistry& registry,
                              const ReactionRegistry& reactions) {
  std::set<std::string_view> types;
  for (const auto& type : registry.types()) {
    if (!types.insert(type->info().type).second) {
      return fail(Errc::bad_request, "two aggregates are called '" + type->info().type + "'");
    }
  }
  std::set<std::string_view> names;
  for (const auto& reaction : reactions.reactions()) {
    const std::string name(reaction->name());
    if (!names.insert(reaction->name()).second) {
      return fail(Errc::bad_request, "two reactions are called '" + name + "'");
    }
    if (!types.contains(reaction->source())) {
      return fail(Errc::bad_request, "reaction '" + name + "' follows '" +
                                         std::string(reaction->source()) +
                                         "', which is no registered aggregate");
    }
  }
  return {};
}

class Host final : public AggregateHost {
 public:
  Host(Environment environment, Topic& topic, std::shared_ptr<const AggregateRegistry> registry,
       std::shared_ptr<const ReactionRegistry> reactions, const HostOptions& options)
      : topic_(topic),
        registry_(registry),
        executor_(CommandExecutor::make(environment, topic, registry, options)),
        steps_(std::make_shared<StepTaker>(environment, topic, executor_, options.steps)),
        reactions_(environment, topic, std::move(registry), std::move(reactions), steps_) {
    for (const auto& type : registry_->types()) infos_.push_back(type->info());
    steps_->start();
  }

  ~Host() override {
    reactions_.stop();
    steps_->stop();
    executor_->stop();
  }

  Topic& topic() const override { return topic_; }
  const std::vector<AggregateInfo>& types() const override { return infos_; }

  const AggregateInfo* find(std::string_view type) const override {
    for (const AggregateInfo& info : infos_) {
      if (info.type == type) return &info;
    }
    return nullptr;
  }

  void execute(CommandCall call, Completion completion) override {
    if (is_admitted(call, completion)) executor_->execute(std::move(call), std::move(completion));
  }

  void execute_all(std::vector<std::pair<CommandCall, Completion>> all) override {
    std::vector<std::pair<CommandCall, Completion>> admitted;
    admitted.reserve(all.size());
    for (auto& [call, completion] : all) {
      if (!is_admitted(call, completion)) continue;
      admitted.emplace_back(std::move(call), std::move(completion));
    }
    executor_->execute_all(std::move(admitted));
  }

  Result<AggregateState> load(std::string_view type, std::string_view id,
                              const AsOf& as_of) const override {
    return executor_->load(type, id, as_of);
  }

  std::vector<ReactionStatus> reactions() const override { return reactions_.status(); }
  void start_reactions() override { reactions_.start(); }
  void stop_reactions() override { reactions_.stop(); }

 private:
  /// Answers it when not.
  static bool is_admitted(const CommandCall& call, Completion& completion) {
    if (!call.principal.starts_with(kReactionPrefix)) return true;
    completion(fail(Errc::bad_request, "principals starting with '" + std::string(kReactionPrefix) +
                                           "' are reserved"));
    return false;
  }

  Topic& topic_;
  std::shared_ptr<const AggregateRegistry> registry_;
  std::vector<AggregateInfo> infos_;
  std::shared_ptr<CommandExecutor> executor_;
  std::shared_ptr<StepTaker> steps_;
  ReactionRunners reactions_;
};

}  // namespace

Result<std::unique_ptr<AggregateHost>> AggregateHost::open(
    Environment environment, Topic& topic, std::shared_ptr<const AggregateRegistry> registry,
    std::shared_ptr<const ReactionRegistry> reactions, HostOptions options) {
  if (reactions == nullptr) reactions = std::make_shared<const ReactionRegistry>();
  KEELSON_TRY(check_registries(*registry, *reactions));
  return std::make_unique<Host>(environment, topic, std::move(registry), std::move(reactions),
                                options);
}

}  // namespace keelson::aggregates
