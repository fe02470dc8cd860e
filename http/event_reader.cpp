#include "http/event_reader.h"

#include <algorithm>

#include "http/lookup.h"

namespace keelson::http {

namespace {

/// Looked at in one call, so that a filter that lets nothing pass does not hold a thread.
constexpr std::size_t kScanMax = 50'000;

Result<void> check_query(const Request& request) {
  bool stream_seen = false;
  for (const auto& [name, value] : request.query_parameters) {
    if (name == "stream" || name == "stream_prefix") {
      if (std::exchange(stream_seen, true)) {
        return fail(Errc::bad_request, "give 'stream' or 'stream_prefix', and once");
      }
    } else if (name == "type") {
      if (value.empty()) return fail(Errc::bad_request, "'type' is empty");
    } else if (name != "from" && name != "limit" && name != "wait_ms") {
      return fail(Errc::bad_request,
                  "unknown query parameter '" + name +
                      "'; known here: from, limit, wait_ms, type, stream, stream_prefix");
    } else if (std::ranges::count(request.query_parameters, name, &Parameters::value_type::first) >
               1) {
      return fail(Errc::bad_request, "the query parameter '" + name + "' is given twice");
    }
  }
  return {};
}

}  // namespace

Result<EventQuery> EventQuery::parse(Store& store, const Request& request) {
  KEELSON_TRY(check_query(request));
  EventQuery query;
  KEELSON_TRY_ASSIGN(query.topic, find_topic(store, request));
  KEELSON_TRY_ASSIGN(const Partition* partition, find_partition(*query.topic, request));
  query.partition = partition->id();
  KEELSON_TRY_ASSIGN(const auto from, request.query_number("from"));
  query.from = from ? Offset(*from) : partition->start();
  for (const auto& [name, value] : request.query_parameters) {
    if (name == "type") query.filter.types.push_back(value);
    if (name == "stream") query.filter.stream = value;
    if (name == "stream_prefix") query.filter.stream_prefix = value;
  }
  return query;
}

Result<EventReader> EventReader::open(const EventQuery& query) {
  Position from(query.topic->partition_count());
  from.set_next(query.partition, query.from);
  KEELSON_TRY_ASSIGN(auto subscription,
                     Subscription::open(*query.topic, from, query.filter, {query.partition}));
  return EventReader(query.partition, std::move(subscription));
}

Result<EventReader::Stopped> EventReader::read(std::uint64_t events_max,
                                               const EventVisitor& visit) {
  KEELSON_TRY_ASSIGN(const Subscription::Polled polled,
                     subscription_->poll(events_max, kScanMax, visit));
  return polled.caught_up ? Stopped::at_end : Stopped::full;
}

}  // namespace keelson::http
