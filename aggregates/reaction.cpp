#include "aggregates/reaction.h"

#include <exception>

#include "engine/store/names.h"

namespace keelson::aggregates {

Result<Steps> Step::after_accepted() const try {
  return on_accepted_ ? on_accepted_() : Steps{};
} catch (const std::exception& error) {
  return fail(Errc::internal, "on_accepted of " + command_ + " threw: " + error.what());
}

Result<Steps> Step::after_refused(const Refusal& refusal) const try {
  return on_refused_ ? on_refused_(refusal) : Steps{};
} catch (const std::exception& error) {
  return fail(Errc::internal, "on_refused of " + command_ + " threw: " + error.what());
}

Cause detail::cause_of(const EventView& event) {
  return {std::string(stream_id(event.stream)), event.version, event.partition, event.offset,
          event.time};
}

}  // namespace keelson::aggregates
