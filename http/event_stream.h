// Events as a streamed body: NDJSON up to the end, server-sent events without one.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>

#include "http/event_reader.h"
#include "http/response.h"
#include "http/services.h"

namespace keelson::http {

enum class EventStreamFormat {
  ndjson,              ///< a line an event; ends at the end the partition had at the request
  server_sent_events,  ///< with the offset as `id`; goes on with what is committed later
};

struct EventStreamOptions {
  EventStreamFormat format = EventStreamFormat::ndjson;
  std::uint64_t events_max = UINT64_MAX;  ///< the stream ends after so many
  Offset until{UINT64_MAX};               ///< and before this one
};

/// Pieces are made on the work pool. An endless stream that has nothing to say sends a comment
/// every few seconds, which is how a client that has gone is noticed, and ends when it is
/// interrupted.
[[nodiscard]] std::unique_ptr<BodySource> make_event_stream(Services& services, EventReader reader,
                                                            const EventStreamOptions& options,
                                                            std::stop_token interrupted);

}  // namespace keelson::http
