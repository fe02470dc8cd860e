#include "http/event_page.h"

#include <algorithm>
#include <optional>

#include "http/as_of.h"
#include "http/event_json.h"

namespace keelson::http {

namespace {

Result<StreamRange> range_from(const Request& request) {
  StreamRange range;
  const std::string_view direction = request.query("direction").value_or("forward");
  if (direction == "backward") {
    range.direction = StreamRange::Direction::backward;
  } else if (direction != "forward") {
    return fail(Errc::bad_request, "'direction' must be forward or backward");
  }
  KEELSON_TRY_ASSIGN(const auto from, request.query_number("from_version", 1));
  KEELSON_TRY_ASSIGN(const auto limit, request.query_number("limit", 1, kPageEventsMax));
  const bool backward = range.direction == StreamRange::Direction::backward;
  range.from = Version(from.value_or(backward ? UINT64_MAX : 1));
  range.limit = limit.value_or(kPageEventsDefault);
  return range;
}

/// Forward, a page that stopped before the end is final; backward, one that was told where to
/// start.
PageState state_of(const StreamRange& range, Version asked_from, Version version,
                   std::uint64_t count) {
  const bool closed = range.direction == StreamRange::Direction::backward
                          ? asked_from <= version
                          : count == range.limit || range.from.value + count <= version.value;
  return closed ? PageState::closed : PageState::open;
}

}  // namespace

void allow_caching(Response& response, PageState state, const Request& request) {
  if (state == PageState::open) {
    response.header("Cache-Control", "no-cache");
  } else if (request.principal.name.empty()) {
    response.header("Cache-Control", "public, max-age=31536000, immutable");
  } else {
    response.header("Cache-Control", "private, max-age=31536000, immutable");
  }
}

Result<Response> stream_page(Topic& topic, const std::string& stream, const Request& request) {
  KEELSON_TRY_ASSIGN(StreamRange range, range_from(request));
  Partition& home = topic.home_of(stream);
  range.before = home.end();
  KEELSON_TRY_ASSIGN(const Version version, home.stream_version(stream, range.before));
  if (version == Version(0)) {
    return fail(Errc::not_found,
                "there is no stream '" + stream + "' in the topic '" + topic.name() + "'");
  }
  const Version asked_from = range.from;
  const bool backward = range.direction == StreamRange::Direction::backward;
  if (backward) range.from = std::min(range.from, version);

  EventPage page;
  const auto read = home.read_stream(stream, range, [&page](const EventView& event) {
    page.add(event);
    return page.bytes() < kPageBytesMax;
  });
  // Backward, what retention has kept comes first; the page after it says that the rest is gone.
  const bool kept_some = !read && read.error().code == Errc::below_start && page.count() > 0;
  if (!read && !kept_some) return std::unexpected(read.error());

  const std::uint64_t count = page.count();
  std::optional<std::uint64_t> next;
  if (!backward) {
    next = range.from.value + count;
  } else if (count < range.from.value) {
    next = range.from.value - count;
  }
  const PageState state = state_of(range, asked_from, version, count);
  Response response = Response::json(200, std::move(page).finish(next, version.value + 1));
  response.header(std::string(kPositionHeader),
                  position_in(topic, home.id(), range.before).to_string());
  allow_caching(response, state, request);
  return response;
}

}  // namespace keelson::http
