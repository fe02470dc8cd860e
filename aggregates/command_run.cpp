#include "aggregates/command_run.h"

#include <limits>
#include <utility>

#include "aggregates/hash.h"
#include "aggregates/json_text.h"
#include "engine/store/names.h"

namespace keelson::aggregates {

namespace {

using nlohmann::json;

/// What is kept with a rejected outcome, so that a retry gets the same answer.
std::string encode_rejection(const Refusal& refusal, Version version) {
  return canonical_json(
      {{"reason", refusal.reason}, {"detail", refusal.detail}, {"version", version.value}});
}

Result<std::pair<Refusal, Version>> decode_rejection(const std::string& detail) {
  const auto parsed = parse_json(detail);
  if (!parsed || !parsed->is_object() || !parsed->contains("reason") ||
      !parsed->contains("detail") || !parsed->contains("version") ||
      !parsed->at("reason").is_string() || !parsed->at("detail").is_string() ||
      !parsed->at("version").is_number_unsigned()) {
    return fail(Errc::unsupported_format, "a remembered refusal that cannot be read: " + detail);
  }
  return std::pair(Refusal{parsed->at("reason"), parsed->at("detail")},
                   Version(parsed->at("version")));
}

Result<void> check_metadata(const std::string& metadata) {
  if (metadata.empty()) return {};
  const auto parsed = parse_json(metadata);
  if (!parsed) return fail(Errc::bad_request, "metadata: " + parsed.error().context);
  if (!parsed->is_object()) return fail(Errc::bad_request, "metadata must be a JSON object");
  return {};
}

}  // namespace

Result<CommandRun> CommandRun::check(std::shared_ptr<const AggregateType> type, CommandCall call) {
  CommandRun run;
  run.type_ = std::move(type);
  run.stream_ = call.type + "-" + call.id;
  if (call.id.empty()) return fail(Errc::bad_request, "the id of the aggregate is empty");
  // Lengths are the partition's to check: it knows the configured limits.
  Limits unlimited;
  unlimited.name_bytes_max = std::numeric_limits<std::uint32_t>::max();
  KEELSON_TRY(check_stream_name(run.stream_, unlimited));
  if (!call.key.empty()) KEELSON_TRY(check_command_id(call.key, unlimited));
  KEELSON_TRY(check_metadata(call.metadata));

  if (call.body.empty()) call.body = "{}";
  auto body = JsonDocument::parse(call.body);
  if (!body) return fail(Errc::bad_request, "body: " + body.error().context);
  KEELSON_TRY_ASSIGN(run.command_, run.type_->read_command(call.command, *body));
  if (!call.key.empty()) {
    run.fingerprint_ = hash128({run.stream_, call.command, body->canonical()});
  }
  run.call_ = std::move(call);
  return run;
}

std::optional<CommandStamp> CommandRun::stamp() const {
  if (call_.key.empty()) return {};
  return CommandStamp{call_.principal, stream_, call_.key, fingerprint_};
}

Result<Commit> CommandRun::decide(PartitionDecider& decider, const Staging& staging) {
  const Context context{.id = call_.id, .principal = call_.principal, .command_id = call_.key};
  KEELSON_TRY_ASSIGN(decided_,
                     decider.decide(staging, *type_, stream_, *command_, call_.expected, context));
  Commit commit;
  if (decided_->decided.refusal) {
    commit.rejected = true;
    commit.detail = encode_rejection(*decided_->decided.refusal, decided_->version);
    if (call_.expected) {
      commit.checks.push_back({stream_, ExpectedVersion::exact(*call_.expected)});
    }
    return commit;
  }
  const Version expected = call_.expected.value_or(decided_->version);
  StreamWrite write{stream_, ExpectedVersion::exact(expected), decided_->decided.events};
  for (NewEvent& event : write.events) event.metadata = call_.metadata;
  commit.writes.push_back(std::move(write));
  return commit;
}

Result<CommandReply> CommandRun::answer(CommitOutcome outcome, const Partition& partition) {
  if (outcome.replayed || !decided_) return answer_replayed(std::move(outcome), partition);
  return answer_decided(std::move(outcome));
}

CommandReply CommandRun::answer_decided(CommitOutcome outcome) {
  CommandReply reply;
  reply.version = decided_->version;
  if (decided_->decided.refusal) {
    reply.reason = std::move(decided_->decided.refusal->reason);
    reply.detail = std::move(decided_->decided.refusal->detail);
  }
  Offset offset = outcome.first;
  for (NewEvent& event : decided_->decided.events) {
    ++reply.version;
    reply.events.push_back({outcome.partition, offset, stream_, reply.version,
                            std::move(event.type), outcome.time, std::move(event.data),
                            call_.metadata, call_.key});
    ++offset;
  }
  reply.outcome = std::move(outcome);
  return reply;
}

Result<CommandReply> CommandRun::answer_replayed(CommitOutcome outcome,
                                                 const Partition& partition) const {
  CommandReply reply;
  if (outcome.rejected) {
    KEELSON_TRY_ASSIGN(auto rejection, decode_rejection(outcome.detail));
    reply.reason = std::move(rejection.first.reason);
    reply.detail = std::move(rejection.first.detail);
    reply.version = rejection.second;
  } else if (const auto* written = written_in(outcome)) {
    StreamRange range;
    range.from = written->first;
    range.limit = written->end - written->first;
    KEELSON_TRY(partition.read_stream(stream_, range, [&](const EventView& event) {
      reply.events.push_back(Event::from(event));
      return true;
    }));
    reply.version = written->end - 1;
  }
  reply.outcome = std::move(outcome);
  return reply;
}

const CommitOutcome::Written* CommandRun::written_in(const CommitOutcome& outcome) const {
  for (const auto& written : outcome.written) {
    if (written.stream == stream_) return &written;
  }
  return nullptr;
}

}  // namespace keelson::aggregates
