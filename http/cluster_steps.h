// Steps of reactions between the nodes of a cluster.
#pragma once

#include <memory>

#include "aggregates/step_carrier.h"
#include "engine/base/random.h"

namespace keelson::cluster {
class LeaderRequests;
}

namespace keelson::http {

/// Carries them as questions to leaders, over the connections that replicas have: there is a secret
/// and TLS already, and no route that a client could try.
/// @param requests  outlives it.
/// @param topic     whose reactions they are.
[[nodiscard]] std::shared_ptr<aggregates::StepCarrier> make_step_carrier(
    cluster::LeaderRequests& requests, const Uuid& topic);

}  // namespace keelson::http
