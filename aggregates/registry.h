// The aggregates of a service, registered once, at start.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregates/aggregate_type.h"

namespace keelson::aggregates {

struct AggregateOptions {
  /// Change it when evolve or an upcaster gives another state for the same events: snapshots of
  /// another code version are ignored. A change of a struct's members is noticed without it.
  std::string code_version = "1";
  Upcasters upcasters{};
};

///     auto registry = std::make_shared<AggregateRegistry>();
///     registry->add<Account>().add<Transfer>();
class AggregateRegistry {
 public:
  /// Two aggregates with one kType are refused when a host is opened.
  template <Decider A>
  AggregateRegistry& add(AggregateOptions options = {}) {
    types_.push_back(std::make_shared<detail::DeciderType<A>>(options.code_version,
                                                              std::move(options.upcasters)));
    return *this;
  }

  [[nodiscard]] const std::vector<std::shared_ptr<const AggregateType>>& types() const {
    return types_;
  }
  /// Nullptr when there is none.
  [[nodiscard]] std::shared_ptr<const AggregateType> find(std::string_view type) const;

 private:
  std::vector<std::shared_ptr<const AggregateType>> types_;
};

}  // namespace keelson::aggregates
