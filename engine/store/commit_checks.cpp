#include "engine/store/commit_checks.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine/store/names.h"

namespace keelson {

namespace {

Result<void> check_event(const NewEvent& event, const Limits& limits) {
  KEELSON_TRY(check_event_type(event.type, limits));
  const std::size_t bytes = event.data.size() + event.metadata.size();
  if (bytes > limits.event_bytes_max) {
    return fail(Errc::too_large, "event '" + event.type + "' has " + std::to_string(bytes) +
                                     " bytes, at most " + std::to_string(limits.event_bytes_max) +
                                     " are allowed");
  }
  return {};
}

Result<void> check_distinct(const std::vector<StreamWrite>& writes) {
  if (writes.size() < 2) return {};
  std::vector<std::string_view> streams;
  streams.reserve(writes.size());
  for (const auto& write : writes) streams.push_back(write.stream);
  std::ranges::sort(streams);
  const auto twice = std::ranges::adjacent_find(streams);
  if (twice == streams.end()) return {};
  return fail(Errc::bad_request, "stream '" + std::string(*twice) + "' is written twice");
}

}  // namespace

Result<void> check_commit(const Commit& commit, const Limits& limits) {
  if (commit.rejected != commit.writes.empty()) {
    return fail(Errc::bad_request, commit.rejected ? "a rejection cannot write events"
                                                   : "a commit needs at least one event");
  }
  KEELSON_TRY(check_distinct(commit.writes));
  std::size_t events = 0;
  std::size_t bytes = commit.detail.size();
  for (const auto& write : commit.writes) {
    KEELSON_TRY(check_stream_name(write.stream, limits));
    if (write.events.empty()) {
      return fail(Errc::bad_request, "no events for stream '" + write.stream + "'");
    }
    events += write.events.size();
    for (const auto& event : write.events) {
      KEELSON_TRY(check_event(event, limits));
      bytes += event.data.size() + event.metadata.size() + event.type.size() + write.stream.size();
    }
  }
  for (const auto& condition : commit.checks) {
    KEELSON_TRY(check_stream_name(condition.stream, limits));
  }
  if (std::max(events, commit.checks.size()) > limits.commit_events_max) {
    return fail(Errc::too_large, std::to_string(std::max(events, commit.checks.size())) +
                                     " events or checks in one commit, at most " +
                                     std::to_string(limits.commit_events_max) + " are allowed");
  }
  if (bytes > limits.commit_bytes_max) {
    return fail(Errc::too_large, "the commit has " + std::to_string(bytes) + " bytes, at most " +
                                     std::to_string(limits.commit_bytes_max) + " are allowed");
  }
  return {};
}

Result<void> check_stamp(const CommandStamp& stamp, const Limits& limits) {
  KEELSON_TRY(check_command_id(stamp.id, limits));
  KEELSON_TRY(check_stream_name(stamp.target, limits));
  if (!stamp.principal.empty()) KEELSON_TRY(check_command_id(stamp.principal, limits));
  return {};
}

Result<void> check_group(std::string_view group, const Limits& limits) {
  return check_command_id(group, limits);
}

std::unexpected<Error> version_conflict(const std::string& stream, const ExpectedVersion& expected,
                                        Version current) {
  return std::unexpected(Error{Errc::version_conflict,
                               "stream '" + stream + "' is at version " +
                                   std::to_string(current.value) + ", expected " +
                                   expected.to_string(),
                               VersionMismatch{stream, expected.to_string(), current}});
}

std::unexpected<Error> idempotency_mismatch(const CommandStamp& stamp) {
  return fail(Errc::idempotency_mismatch, "command id '" + stamp.id +
                                              "' was used for another command to '" + stamp.target +
                                              "'; use a new id for a new command");
}

}  // namespace keelson
