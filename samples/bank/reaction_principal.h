// Commands that only a reaction may give.
#pragma once

#include "aggregates/decider.h"

namespace bank {

/// Whether a reaction asks, and no client.
[[nodiscard]] inline bool is_reaction(const keelson::aggregates::Context& context) {
  return context.principal.starts_with("$reaction/");
}

}  // namespace bank
