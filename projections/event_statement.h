// SQL that an event runs by itself: a rule of a projection without code.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "projections/event_context.h"

namespace keelson::projections {

class HandlerTables;

/// One statement, and where each of its parameters comes from.
class EventStatement {
 public:
  /// The statements of `sql`, tried on `tables`.
  /// @param number  of the first one among all of its projection: `HandlerTables` knows it by that.
  /// @error bad_request  an error in one, something not allowed, or a parameter that is unknown.
  [[nodiscard]] static Result<std::vector<EventStatement>> compile(std::string_view sql,
                                                                   std::size_t number,
                                                                   HandlerTables& tables);

  [[nodiscard]] Result<void> run(const EventContext& event, HandlerTables& tables) const;

 private:
  using Source = Value (*)(const EventContext& event, std::string_view name);
  struct Binding {
    Source source;
    std::string name;
  };

  [[nodiscard]] static Result<Binding> binding_of(std::string_view parameter);

  std::string sql_;
  std::size_t number_ = 0;
  std::vector<Binding> bindings_;  ///< of parameter 1, 2, …
};

}  // namespace keelson::projections
