// A projection's definition, checked and ready to be applied.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "projections/event_statement.h"
#include "projections/projection.h"
#include "projections/versioned_schema.h"

namespace keelson::projections {

/// Immutable; shared by the appliers of all partitions.
class Rules {
 public:
  /// @error bad_request  the name, the schema or a statement breaks a rule; says which.
  [[nodiscard]] static Result<std::shared_ptr<const Rules>> compile(const Projection& projection);

  [[nodiscard]] const VersionedSchema& schema() const { return schema_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint32_t version() const { return version_; }
  /// The text of the schema, which events each rule takes, and the text of those that are SQL: a
  /// read model made by other text is stale, even when its author forgot to raise the version.
  [[nodiscard]] const std::string& code() const { return code_; }

  /// Does all that `event` asks for. An exception of a handler is an error here.
  [[nodiscard]] Result<void> apply(const EventView& event, HandlerTables& tables) const;

 private:
  struct Rule {
    std::optional<std::string> stream_type;  ///< nothing: every stream
    std::variant<Projection::Handler, std::vector<EventStatement>> action;

    [[nodiscard]] bool takes(std::string_view type_of_stream) const {
      return !stream_type || *stream_type == type_of_stream;
    }
    [[nodiscard]] Result<void> apply(const EventContext& event, HandlerTables& tables) const;
  };

  Result<void> compile_rules(const Projection& projection);

  std::string name_;
  std::uint32_t version_ = 0;
  std::string code_;
  VersionedSchema schema_;
  std::map<std::string, std::vector<Rule>, std::less<>> rules_;  ///< by type of event
};

}  // namespace keelson::projections
