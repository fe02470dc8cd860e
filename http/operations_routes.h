// What an operator's tools ask: alive, ready, metrics.
#pragma once

#include <atomic>

#include "http/metrics.h"
#include "http/router.h"

namespace keelson {
class Store;
}  // namespace keelson

namespace keelson::http {

/// Adds `/healthz`, `/readyz` and `/metrics`. What is given must outlive `router`.
void add_operations_routes(Router& router, const std::atomic<bool>& ready, Store& store,
                           const Metrics& metrics);

}  // namespace keelson::http
