// The routes of one aggregate: its commands, its state now and then, its events.
#pragma once

#include <string>
#include <string_view>

#include "aggregates/aggregate_host.h"
#include "http/problem.h"
#include "http/response.h"
#include "http/router.h"
#include "http/services.h"

namespace keelson::http {

/// Adds `/v1/aggregates…`; nothing in a server without aggregates. `services` must outlive
/// `router`.
void add_aggregate_routes(Router& router, Services& services);

/// Appends the members of an accepted command's answer, without braces:
/// `"outcome":"accepted","topic":…,"partition":…,"offset":…,"version":…,"events":[…]`.
void append_accepted(std::string& out, const aggregates::CommandReply& reply, const Topic& topic);

/// The same for a rejection: `"outcome":"rejected","reason":…,"detail":…,…`.
void append_rejected(std::string& out, const aggregates::CommandReply& reply, const Topic& topic);

/// The problem `command-rejected` that a rejection of the domain is answered with.
[[nodiscard]] Problem rejection_problem(const aggregates::CommandReply& reply, const Topic& topic);

/// The answer to a single command.
[[nodiscard]] Response command_response(const Result<aggregates::CommandReply>& reply,
                                        const Topic& topic);

}  // namespace keelson::http
