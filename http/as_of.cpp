#include "http/as_of.h"

#include <algorithm>

#include "engine/store/store.h"
#include "http/rfc3339.h"

namespace keelson::http {

namespace {

/// @param home  whose end `at` is beyond.
std::unexpected<Error> beyond_end(std::string_view at, const Position& end, const Partition& home) {
  KEELSON_TRY(home.health());  // or the end is not what it was
  const std::string what =
      "'at' is " + std::string(at) + ", and the topic ends at " + end.to_string();
  if (home.may_lag()) return fail(Errc::not_caught_up, what + " here, at a node that follows");
  return fail(Errc::beyond_end, what);
}

/// A position of `partitions` alone.
Result<Position> parse_within(std::string_view text, const Topic& topic,
                              const std::vector<PartitionId>& partitions) {
  KEELSON_TRY_ASSIGN(const Position whole, Position::parse(text, topic.partition_count()));
  Position within(topic.partition_count());
  for (const PartitionId id : partitions) within.set_next(id, whole.next(id));
  return within;
}

Result<void> check_not_beyond_end(std::string_view text, const Position& at, Topic& topic,
                                  const std::vector<PartitionId>& partitions) {
  const Position end = topic.end();
  for (const PartitionId id : partitions) {
    if (at.next(id) <= end.next(id)) continue;
    return beyond_end(text, end, topic.partition(id));
  }
  return {};
}

/// The offset in `home` that `at` names: bare, or as part of a position. As the first offset not
/// seen.
Result<Offset> offset_at(std::string_view at, const Topic& topic, PartitionId home) {
  if (at.find(':') == std::string_view::npos) {
    KEELSON_TRY_ASSIGN(const Position bare, Position::parse(at, 1));
    return bare.next(PartitionId(0));
  }
  KEELSON_TRY_ASSIGN(const Position position, Position::parse(at, topic.partition_count()));
  return position.next(home);
}

}  // namespace

Position position_in(const Topic& topic, PartitionId partition, Offset next) {
  Position position(topic.partition_count());
  position.set_next(partition, next);
  return position;
}

Result<AggregateAsOf> aggregate_as_of(const Request& request, const Topic& topic,
                                      const Partition& home) {
  const auto at = request.query("at");
  const auto at_time = request.query("at_time");
  KEELSON_TRY_ASSIGN(const auto at_version, request.query_number("at_version", 1));
  if (at.has_value() + at_time.has_value() + at_version.has_value() > 1) {
    return fail(Errc::bad_request, "give only one of 'at', 'at_version' and 'at_time'");
  }
  AggregateAsOf result;
  if (at_version) {
    result.as_of.version = Version(*at_version);
    result.tag = "@v" + std::to_string(*at_version);
    return result;
  }
  if (!at && !at_time) return result;

  Offset next;
  if (at) {
    KEELSON_TRY_ASSIGN(next, offset_at(*at, topic, home.id()));
    if (next > home.end()) {
      return beyond_end(*at, position_in(topic, home.id(), home.end()), home);
    }
  } else {
    KEELSON_TRY_ASSIGN(const TimeUs time, parse_rfc3339(*at_time));
    KEELSON_TRY_ASSIGN(next, home.end_at(time));
  }
  if (next == Offset(0)) {
    result.before_everything = true;
    return result;
  }
  result.as_of.offset = next - 1;
  result.tag = '@' + std::to_string(next.value - 1);
  return result;
}

std::optional<Position> ReadModelAsOf::required() const {
  if (!at) return min;
  if (!min) return at;
  Position both = *at;
  for (std::uint32_t p = 0; p < both.partitions(); ++p) {
    both.set_next(PartitionId(p), std::max(both.next(PartitionId(p)), min->next(PartitionId(p))));
  }
  return both;
}

Result<ReadModelAsOf> read_model_as_of(const ReadModelAsOfText& text, Topic& topic,
                                       const std::vector<PartitionId>& partitions) {
  ReadModelAsOf result;
  if (text.at && text.at_time) {
    return fail(Errc::bad_request, "give only one of 'at' and 'at_time'");
  }
  if (text.at) {
    KEELSON_TRY_ASSIGN(result.at, parse_within(*text.at, topic, partitions));
    KEELSON_TRY(check_not_beyond_end(*text.at, *result.at, topic, partitions));
  }
  if (text.at_time) {
    KEELSON_TRY_ASSIGN(const TimeUs time, parse_rfc3339(*text.at_time));
    result.at.emplace(topic.partition_count());
    for (const PartitionId id : partitions) {
      KEELSON_TRY_ASSIGN(const Offset next, topic.partition(id).end_at(time));
      result.at->set_next(id, next);
    }
  }
  if (text.min) {
    KEELSON_TRY_ASSIGN(result.min, parse_within(*text.min, topic, partitions));
  }
  if (text.wait_ms) {
    if (*text.wait_ms > kWaitMsMax) {
      return fail(Errc::bad_request,
                  "'wait_ms' must be a whole number from 0 to " + std::to_string(kWaitMsMax));
    }
    result.wait = std::chrono::milliseconds(*text.wait_ms);
  }
  return result;
}

std::string derived_etag(std::string_view code_version, std::string_view at) {
  std::string tag = '"' + std::string(code_version) + std::string(at) + '"';
  // A position of several partitions has commas, which would split a list of tags.
  std::replace(tag.begin(), tag.end(), ',', ';');
  return tag;
}

}  // namespace keelson::http
