#include "http/consistency.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/store/store.h"
#include "http/parts.h"
#include "http/problem.h"
#include "projections/projection_host.h"

namespace keelson::http {

namespace {

constexpr std::string_view kParameter = "consistency";
/// For a read model to apply what the log has.
constexpr std::chrono::milliseconds kApplyTime{1000};

enum class Consistency { committed, linearizable };

/// Takes the parameter out of the request.
Result<Consistency> take_consistency(Request& request) {
  auto& all = request.query_parameters;
  const auto named = [](const auto& parameter) { return parameter.first == kParameter; };
  const auto found = std::ranges::find_if(all, named);
  if (found == all.end()) return Consistency::committed;
  const std::string value = std::move(found->second);
  all.erase(found);
  if (std::ranges::find_if(all, named) != all.end()) {
    return fail(Errc::bad_request, "the query parameter 'consistency' is given twice");
  }
  if (value == "committed") return Consistency::committed;
  if (value == "linearizable") return Consistency::linearizable;
  return fail(Errc::bad_request,
              "consistency '" + value + "': it is 'committed' or 'linearizable'");
}

/// A request that waits for the partitions that it reads.
struct Read : std::enable_shared_from_this<Read> {
  Read(Services& its_services, const char* its_projection,
       std::shared_ptr<const Handler> its_handler, Request its, Responder its_responder)
      : services(its_services),
        projection(its_projection),
        handler(std::move(its_handler)),
        request(std::move(its)),
        responder(std::move(its_responder)) {}

  void start(const std::vector<Partition*>& partitions) {
    waiting = partitions.size();
    for (Partition* const partition : partitions) {
      partition->linearize([self = shared_from_this(), partition](Result<void> result) {
        self->on_linearized(*partition, std::move(result));
      });
    }
  }

  /// On a strand of the engine, which must not be held up.
  void on_linearized(Partition& partition, Result<void> result) {
    {
      const std::lock_guard lock(mutex);
      if (!result) note(result.error());
      if (result) ends.emplace_back(partition.id(), partition.end());
      if (--waiting > 0) return;
    }
    services.work.post_ending([self = shared_from_this()] { self->go_on(); });
  }

  /// With the mutex held. A redirect is worth following only if one node leads all of it.
  void note(const Error& failed) {
    if (!error) {
      error = failed;
    } else if (failed.code == Errc::not_leader && error->code == Errc::not_leader) {
      leaders_differ = leaders_differ || failed.context != error->context;
    } else if (error->code == Errc::not_leader) {
      error = failed;
    }
  }

  void go_on() {
    if (error && error->code == Errc::not_leader && (leaders_differ || !ends.empty())) {
      return responder.send(
          Error{Errc::bad_request,
                "different nodes lead the partitions of this read model, and each knows what is "
                "certain in its own only: ask with 'min', the Keelson-Position of what must be in "
                "the answer, or in parts with 'partitions'",
                {}});
    }
    if (error) return responder.send(*error);
    if (projection == nullptr) return (*handler)(std::move(request), std::move(responder));
    const std::string name = request.path_parameter(projection);
    const auto status = services.projections->status(name);
    if (!status) return (*handler)(std::move(request), std::move(responder));
    Position required(status->partitions.size());
    for (const auto& [partition, end] : ends) required.set_next(partition, end);
    if (status->position.covers(required)) {
      return (*handler)(std::move(request), std::move(responder));
    }
    wait_for(
        services, kApplyTime, request.interrupted,
        [this, &name, &required](Task task) {
          auto registered = services.projections->when_applied(name, required, std::move(task));
          return registered ? *std::move(registered) : nullptr;
        },
        [self = shared_from_this()](Woken woken) {
          if (woken == Woken::event) {
            return (*self->handler)(std::move(self->request), std::move(self->responder));
          }
          self->responder.send(
              Error{Errc::not_caught_up, "the projection has not applied what the log has", {}});
        });
  }

  Services& services;
  const char* const projection;
  const std::shared_ptr<const Handler> handler;
  Request request;
  Responder responder;
  std::mutex mutex;  ///< of what follows
  std::size_t waiting = 0;
  std::vector<std::pair<PartitionId, Offset>> ends;
  std::optional<Error> error;
  bool leaders_differ = false;
};

}  // namespace

Handler consistent(Services& services, WhatIsRead what, Handler handler) {
  const auto kept = std::make_shared<const Handler>(std::move(handler));
  return [&services, what = std::move(what), kept](Request request, Responder responder) {
    const auto consistency = take_consistency(request);
    if (!consistency) return responder.send(consistency.error());
    const auto partitions = what.partitions(request);
    if (!partitions) return (*kept)(std::move(request), std::move(responder));
    if (*consistency == Consistency::committed) {
      if (const auto problem = not_here(services, {partitions->begin(), partitions->end()})) {
        return responder.send(to_response(*problem));
      }
      for (const Partition* const partition : *partitions) {
        if (what.projection != nullptr) break;  // what it has applied was committed
        if (const auto shown = partition->readable(); !shown) return responder.send(shown.error());
      }
      return (*kept)(std::move(request), std::move(responder));
    }
    std::make_shared<Read>(services, what.projection, kept, std::move(request),
                           std::move(responder))
        ->start(*partitions);
  };
}

std::vector<Partition*> home_of_stream(Topic& topic, std::string_view stream) {
  return {&topic.home_of(stream)};
}

}  // namespace keelson::http
