#include "http/command_routes.h"

#include <boost/algorithm/string/predicate.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/store/store.h"
#include "http/as_of.h"
#include "http/command_batch.h"
#include "http/negotiate.h"

namespace keelson::http {

namespace {

constexpr std::uint64_t kBodyBytesMax = 16u << 20;
constexpr std::size_t kChunkBytes = 64u << 10;
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kNdjson = "application/x-ndjson";

bool sent_ndjson(const Request& request) {
  const auto type = request.headers.find("Content-Type");
  return type && boost::algorithm::istarts_with(*type, kNdjson);
}

/// Outcomes as lines, sent as they come in.
class OutcomeLines final : public BodySource {
 public:
  OutcomeLines(std::shared_ptr<CommandBatch> batch, WorkPool& work)
      : batch_(std::move(batch)), work_(work) {}

  void next(Done done) override {
    // Holds the batch but not this source, which the connection may drop at any time.
    Task write([batch = batch_, done = std::move(done)]() mutable {
      Chunk chunk;
      batch->take(chunk.bytes, kChunkBytes, "\n");
      if (!chunk.bytes.empty()) chunk.bytes += batch->all_taken() ? "\n" : "";
      chunk.last = batch->all_taken();
      done(std::move(chunk));
    });
    batch_->when_ready([&work = work_, write = std::move(write)]() mutable {
      work.post_ending(std::move(write));
    });
  }

 private:
  std::shared_ptr<CommandBatch> batch_;
  WorkPool& work_;
};

Response whole_answer(CommandBatch& batch) {
  std::string body = "[";
  batch.take(body, SIZE_MAX, ",");
  body += ']';
  Response response = Response::json(200, std::move(body));
  if (batch.position()) {
    response.header(std::string(kPositionHeader), batch.position()->to_string());
  }
  return response;
}

/// The node that leads all partitions of `topic`, if that is another one: then all of a batch is
/// for it. Where different nodes lead, each command is answered with the node it is for.
std::optional<std::string> leader_elsewhere(Topic& topic) {
  std::optional<std::string> leader;
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    const Partition& partition = topic.partition(PartitionId(p));
    if (!partition.may_lag()) return std::nullopt;
    auto leads = partition.leader();
    if (!leads || (leader && leader != leads)) return std::nullopt;
    leader = std::move(leads);
  }
  return leader;
}

void post_commands(Services& services, const Request& request, Responder responder) {
  if (auto leader = leader_elsewhere(services.aggregates->topic())) {
    return responder.send(Error{Errc::not_leader, *std::move(leader), std::nullopt});
  }
  if (const auto checked = request.check_query({}); !checked) {
    return responder.send(checked.error());
  }
  // What came as lines goes back as lines, unless the client says otherwise.
  const bool lines = sent_ndjson(request);
  const std::string_view first = lines ? kNdjson : kJson;
  const auto offers = {first, lines ? kJson : kNdjson};
  const auto chosen = negotiate(request.headers.joined("Accept"), offers);
  if (!chosen) return responder.send(to_response(not_acceptable(offers)));
  auto items = lines ? read_command_lines(request.body, request.principal.name)
                     : read_command_array(request.body, request.principal.name);
  if (!items) return responder.send(items.error());

  const auto batch = CommandBatch::start(*services.aggregates, *std::move(items));
  const bool answer_lines = *chosen == (lines ? 0u : 1u);
  if (answer_lines) {
    responder.send(
        Response::streamed(kNdjson, std::make_unique<OutcomeLines>(batch, services.work)));
    return;
  }
  Task answer([batch, responder = std::move(responder)]() mutable {
    responder.send(whole_answer(*batch));
  });
  batch->when_complete([&work = services.work, answer = std::move(answer)]() mutable {
    work.post_ending(std::move(answer));
  });
}

}  // namespace

void add_command_routes(Router& router, Services& services) {
  if (services.aggregates == nullptr) return;
  router.add(Method::post, "/v1/commands",
             {.role = Role::write,
              .blocking = true,
              .consumes = {"application/json", std::string(kNdjson)},
              .body_bytes_max = kBodyBytesMax},
             [&services](Request request, Responder responder) {
               post_commands(services, request, std::move(responder));
             });
}

}  // namespace keelson::http
