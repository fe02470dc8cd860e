#include "http/event_routes.h"

#include <charconv>
#include <chrono>
#include <memory>
#include <optional>

#include "engine/store/store.h"
#include "http/as_of.h"
#include "http/consistency.h"
#include "http/event_json.h"
#include "http/event_page.h"
#include "http/event_reader.h"
#include "http/event_stream.h"
#include "http/lookup.h"
#include "http/negotiate.h"

namespace keelson::http {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// One page, and the wait for its first event.
class PageRead : public std::enable_shared_from_this<PageRead> {
 public:
  PageRead(Services& services, const EventQuery& query, EventReader reader, std::uint64_t limit,
           std::chrono::milliseconds wait, Request request, Responder responder)
      : services_(services),
        query_(query),
        reader_(std::move(reader)),
        limit_(limit),
        give_up_at_(SteadyClock::now() + wait),
        request_(std::move(request)),
        responder_(std::move(responder)) {}

  void read() {
    bool full = false;
    const auto stopped = reader_.read(limit_, [&](const EventView& event) {
      page_.add(event);
      full = page_.count() == limit_ || page_.bytes() >= kPageBytesMax;
      return !full;
    });
    if (!stopped) return responder_.send(stopped.error());
    const bool at_end = *stopped == EventReader::Stopped::at_end && !full;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(give_up_at_ - SteadyClock::now());
    if (at_end && page_.count() == 0 && left.count() > 0) return wait(left);
    answer(at_end ? PageState::open : PageState::closed);
  }

 private:
  void wait(std::chrono::milliseconds left) {
    const auto self = shared_from_this();
    wait_for(
        services_, left, request_.interrupted,
        [self](Task task) { return self->reader_.when_more(std::move(task)); },
        [self](Woken why) {
          if (why == Woken::event) return self->read();
          self->answer(PageState::open);
        });
  }

  void answer(PageState state) {
    const Offset next = reader_.next();
    const Offset end = query_.topic->partition(query_.partition).end();
    Response response = Response::json(200, std::move(page_).finish(next.value, end.value));
    response.header(std::string(kPositionHeader),
                    position_in(*query_.topic, query_.partition, next).to_string());
    response.header("Vary", "Accept");
    allow_caching(response, state, request_);
    responder_.send(std::move(response));
  }

  Services& services_;
  const EventQuery query_;
  EventReader reader_;
  EventPage page_;
  const std::uint64_t limit_;
  const SteadyClock::time_point give_up_at_;
  const Request request_;
  Responder responder_;
};

/// The offset behind the one that the client saw last.
Result<std::optional<Offset>> resume_after(const Headers& headers) {
  const auto id = headers.find("Last-Event-ID");
  if (!id || id->empty()) return std::nullopt;
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(id->data(), id->data() + id->size(), offset);
  if (error != std::errc{} || end != id->data() + id->size() || offset == UINT64_MAX) {
    return fail(Errc::bad_request, "Last-Event-ID must be the offset of the event seen last");
  }
  return Offset(offset + 1);
}

Result<Response> stream_response(Services& services, EventQuery query, const Request& request,
                                 EventStreamFormat format) {
  if (request.query("wait_ms")) {
    return fail(Errc::bad_request, "'wait_ms' is for pages; server-sent events wait by themselves");
  }
  EventStreamOptions options;
  options.format = format;
  KEELSON_TRY_ASSIGN(const auto limit, request.query_number("limit", 1));
  options.events_max = limit.value_or(UINT64_MAX);
  if (format == EventStreamFormat::server_sent_events) {
    KEELSON_TRY_ASSIGN(const auto resume, resume_after(request.headers));
    if (resume) query.from = *resume;
  } else {
    options.until = query.topic->partition(query.partition).end();
  }
  KEELSON_TRY_ASSIGN(EventReader reader, EventReader::open(query));
  const bool endless = format == EventStreamFormat::server_sent_events;
  Response response = Response::streamed(
      endless ? "text/event-stream" : "application/x-ndjson",
      make_event_stream(services, std::move(reader), options, request.interrupted));
  response.header("Vary", "Accept").header("Cache-Control", endless ? "no-store" : "no-cache");
  const Offset reflects = endless ? query.from : options.until;
  response.header(std::string(kPositionHeader),
                  position_in(*query.topic, query.partition, reflects).to_string());
  return response;
}

Result<void> page(Services& services, const EventQuery& query, Request& request,
                  Responder& responder) {
  KEELSON_TRY_ASSIGN(const auto limit, request.query_number("limit", 1, kPageEventsMax));
  KEELSON_TRY_ASSIGN(const auto wait, request.query_number("wait_ms", 0, kWaitMsMax));
  KEELSON_TRY_ASSIGN(EventReader reader, EventReader::open(query));
  std::make_shared<PageRead>(services, query, std::move(reader), limit.value_or(kPageEventsDefault),
                             std::chrono::milliseconds(wait.value_or(0)), std::move(request),
                             std::move(responder))
      ->read();
  return {};
}

void get_events(Services& services, Request request, Responder responder) {
  const auto offers = {std::string_view("application/json"),
                       std::string_view("application/x-ndjson"),
                       std::string_view("text/event-stream")};
  const auto chosen = negotiate(request.headers.joined("Accept"), offers);
  if (!chosen) return responder.send(to_response(not_acceptable(offers)));
  const auto query = EventQuery::parse(services.store, request);
  if (!query) return responder.send(query.error());
  if (*chosen == 0) {
    if (const auto begun = page(services, *query, request, responder); !begun) {
      responder.send(begun.error());
    }
    return;
  }
  auto response = stream_response(
      services, *query, request,
      *chosen == 1 ? EventStreamFormat::ndjson : EventStreamFormat::server_sent_events);
  if (response) {
    responder.send(*std::move(response));
  } else {
    responder.send(response.error());
  }
}

}  // namespace

void add_event_routes(Router& router, Services& services) {
  RouteOptions read;
  read.blocking = true;
  const WhatIsRead the_partition{
      [&services](const Request& request) -> Result<std::vector<Partition*>> {
        KEELSON_TRY_ASSIGN(Topic* const topic, find_topic(services.store, request));
        KEELSON_TRY_ASSIGN(Partition* const partition, find_partition(*topic, request));
        return std::vector{partition};
      }};
  router.add(Method::get, "/v1/topics/{topic}/partitions/{partition}/events", read,
             consistent(services, the_partition, [&services](Request request, Responder responder) {
               get_events(services, std::move(request), std::move(responder));
             }));
}

}  // namespace keelson::http
