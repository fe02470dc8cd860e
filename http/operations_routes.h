// What an operator's tools ask: alive, ready, metrics.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "http/metrics.h"
#include "http/router.h"

namespace keelson {
class Store;
}  // namespace keelson

namespace keelson::http {

/// Adds `/healthz`, `/readyz` and `/metrics`. What is given must outlive `router`.
/// @param unreadable  of a node of a cluster: how many partitions it cannot be read from yet.
void add_operations_routes(Router& router, const std::atomic<bool>& ready, Store& store,
                           const Metrics& metrics,
                           std::function<std::size_t()> unreadable = nullptr);

}  // namespace keelson::http
