#include "aggregates/registry.h"

#include "aggregates/hash.h"

namespace keelson::aggregates {

std::shared_ptr<const AggregateType> AggregateRegistry::find(std::string_view type) const {
  for (const auto& one : types_) {
    if (one->info().type == type) return one;
  }
  return nullptr;
}

std::string detail::full_code_version(const std::string& code_version, const AggregateInfo& info) {
  std::string shapes = info.state_schema;
  for (const auto& event : info.events) shapes += '\n' + event.type + ' ' + event.schema;
  return code_version + "-" + to_hex(hash128({shapes})).substr(0, 12);
}

}  // namespace keelson::aggregates
