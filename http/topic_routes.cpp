#include "http/topic_routes.h"

#include <utility>

#include "aggregates/hash.h"
#include "engine/store/store.h"
#include "http/as_of.h"
#include "http/json_reader.h"
#include "http/json_text.h"
#include "http/lookup.h"

namespace keelson::http {

namespace {

std::string_view name_of(Durability durability) {
  return durability == Durability::fsync ? "fsync" : "os";
}

std::string_view name_of(log::Codec codec) { return codec == log::Codec::zstd ? "zstd" : "none"; }

void append_error(std::string& out, const Error& error) {
  out += R"(,"error":)";
  append_json_string(out, error.message());
}

/// What the start has cut from the end of a partition's log.
void append_cut(std::string& out, const Store& store, const Topic& topic, PartitionId partition) {
  for (const RecoveryReport& report : store.recovered()) {
    if (report.topic != topic.name() || report.partition != partition) continue;
    out += R"(,"cut_at_start":{"batch":)";
    append_number(out, report.batch.value);
    out += R"(,"file":)";
    append_json_string(out, report.file);
    out += R"(,"position":)";
    append_number(out, report.position);
    out += R"(,"bytes":)";
    append_number(out, report.torn_bytes);
    out += report.copy.empty() ? R"(,"no_copy":)" : R"(,"copy":)";
    append_json_string(out, report.copy.empty() ? report.no_copy : report.copy);
    out += '}';
  }
}

void append_partitions(std::string& out, const Store& store, Topic& topic) {
  out += R"("partitions":[)";
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    const Partition& partition = topic.partition(PartitionId(p));
    if (p != 0) out += ',';
    out += R"({"partition":)";
    append_number(out, p);
    out += R"(,"start":)";
    append_number(out, partition.start().value);
    out += R"(,"end":)";
    append_number(out, partition.end().value);
    if (const auto leader = partition.leader()) {
      out += R"(,"leader":)";
      append_json_string(out, *leader);
    }
    if (!partition.whereabouts().here) out += R"(,"here":false)";
    if (const auto health = partition.health(); !health) append_error(out, health.error());
    append_cut(out, store, topic, PartitionId(p));
    out += '}';
  }
  out += ']';
}

void append_topic(std::string& out, const Store& store, Topic& topic) {
  const TopicOptions options = topic.options();
  out += R"({"name":)";
  append_json_string(out, topic.name());
  out += R"(,"id":")" + aggregates::to_hex(topic.id().bytes) + R"(","durability":")";
  out += name_of(options.durability);
  out += R"(","segment_bytes":)";
  append_number(out, options.segment_bytes);
  out += R"(,"retention_seconds":)";
  append_number(out, static_cast<std::uint64_t>(options.retention.age.count()));
  out += R"(,"retention_bytes":)";
  append_number(out, options.retention.bytes);
  out += R"(,"codec":")";
  out += name_of(options.codec);
  out += R"(","sealed_codec":")";
  out += name_of(options.sealed_codec);
  out += '"';
  if (options.replication_factor != 0) {
    out += R"(,"replication_factor":)";
    append_number(out, options.replication_factor);
  }
  out += ',';
  append_partitions(out, store, topic);
  out += '}';
}

Response describe(unsigned status, const Store& store, Topic& topic) {
  std::string position = topic.end().to_string();
  std::string body;
  append_topic(body, store, topic);
  return Response::json(status, std::move(body))
      .header(std::string(kPositionHeader), std::move(position))
      .header("Cache-Control", "no-cache");
}

Result<std::uint32_t> partitions_from(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const std::uint64_t count, reader.number());
  if (count == 0 || count > 1024) {
    return fail(Errc::bad_request, "'partitions' must be from 1 to 1024");
  }
  return static_cast<std::uint32_t>(count);
}

Result<Durability> durability_from(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const std::string name, reader.string());
  if (name == "fsync") return Durability::fsync;
  if (name == "os") return Durability::os;
  return fail(Errc::bad_request, "'durability' must be \"fsync\" or \"os\"");
}

Result<log::Codec> codec_from(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const std::string name, reader.string());
  if (name == "none") return log::Codec::none;
  if (name == "zstd") return log::Codec::zstd;
  return fail(Errc::bad_request, "a codec is \"none\" or \"zstd\"");
}

Result<std::uint32_t> replicas_from(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const std::uint64_t count, reader.number());
  if (count == 0 || count > UINT32_MAX) {
    return fail(Errc::bad_request, "'replication_factor' must be odd, from 1 to 7");
  }
  return static_cast<std::uint32_t>(count);
}

Result<std::chrono::seconds> seconds_from(JsonReader& reader) {
  KEELSON_TRY_ASSIGN(const std::uint64_t count, reader.number());
  if (count > INT32_MAX) return fail(Errc::bad_request, "'retention_seconds' is over 68 years");
  return std::chrono::seconds(count);
}

/// `{"partitions":4,"durability":"fsync","segment_bytes":67108864}`, each of them optional, over
/// the options of the topic that may be there already.
Result<TopicOptions> options_from(std::string_view body, TopicOptions options) {
  if (body.empty()) return options;
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(body, {}));
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    if (*name == "partitions") {
      KEELSON_TRY_ASSIGN(options.partitions, partitions_from(reader));
    } else if (*name == "durability") {
      KEELSON_TRY_ASSIGN(options.durability, durability_from(reader));
    } else if (*name == "segment_bytes") {
      KEELSON_TRY_ASSIGN(options.segment_bytes, reader.number());
    } else if (*name == "retention_seconds") {
      KEELSON_TRY_ASSIGN(options.retention.age, seconds_from(reader));
    } else if (*name == "retention_bytes") {
      KEELSON_TRY_ASSIGN(options.retention.bytes, reader.number());
    } else if (*name == "codec") {
      KEELSON_TRY_ASSIGN(options.codec, codec_from(reader));
    } else if (*name == "sealed_codec") {
      KEELSON_TRY_ASSIGN(options.sealed_codec, codec_from(reader));
    } else if (*name == "replication_factor") {
      KEELSON_TRY_ASSIGN(options.replication_factor, replicas_from(reader));
    } else {
      return fail(Errc::bad_request,
                  "a topic has no option '" + std::string(*name) +
                      "'; there are partitions, durability, segment_bytes, retention_seconds, "
                      "retention_bytes, codec, sealed_codec and replication_factor");
    }
  }
  KEELSON_TRY(reader.finish());
  return options;
}

/// Idempotent: what is not said stays as it is, and saying the same again changes nothing. Of an
/// existing topic the retention can be changed.
Result<Response> put_topic(Store& store, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const std::string& name = request.path_parameter("topic");
  Topic* const existing = store.find_topic(name);
  const TopicOptions before = existing != nullptr ? existing->options() : TopicOptions{};
  KEELSON_TRY_ASSIGN(const TopicOptions options, options_from(request.body, before));
  KEELSON_TRY_ASSIGN(Topic * topic, store.create_topic(name, options));
  return describe(existing != nullptr ? 200 : 201, store, *topic);
}

Result<Response> get_topic(Store& store, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  KEELSON_TRY_ASSIGN(Topic * topic, find_topic(store, request));
  return describe(200, store, *topic);
}

Result<Response> get_topics(Store& store, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  std::string body = R"({"topics":[)";
  bool first = true;
  for (Topic* const topic : store.topics()) {
    if (!std::exchange(first, false)) body += ',';
    append_topic(body, store, *topic);
  }
  for (const Damage& damage : store.damage()) {
    if (damage.partition) continue;  // said above
    if (!std::exchange(first, false)) body += ',';
    body += R"({"name":)";
    append_json_string(body, damage.topic);
    body += R"(,"partitions":[])";
    append_error(body, damage.error);
    body += '}';
  }
  body += "]}";
  return Response::json(200, std::move(body)).header("Cache-Control", "no-cache");
}

void answer(Responder& responder, Result<Response> response) {
  if (response) {
    responder.send(*std::move(response));
  } else {
    responder.send(response.error());
  }
}

}  // namespace

void add_topic_routes(Router& router, Services& services) {
  Store& store = services.store;
  RouteOptions admin;
  admin.role = Role::admin;
  admin.blocking = true;
  admin.consumes = {"application/json"};
  admin.body_bytes_max = 64u << 10;
  router.add(Method::put, "/v1/topics/{topic}", admin,
             [&store](Request request, Responder r) { answer(r, put_topic(store, request)); });
  router.add(Method::get, "/v1/topics/{topic}", {},
             [&store](Request request, Responder r) { answer(r, get_topic(store, request)); });
  router.add(Method::get, "/v1/topics", {},
             [&store](Request request, Responder r) { answer(r, get_topics(store, request)); });
}

}  // namespace keelson::http
