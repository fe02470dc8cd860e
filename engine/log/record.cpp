#include "engine/log/record.h"

#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

// Commit head: where each field lies. docs/log-format.md, "Commit".
constexpr std::size_t kCommitLength = 0;
constexpr std::size_t kCommitBatchDistance = 4;
constexpr std::size_t kCommitKind = 8;
constexpr std::size_t kCommitReserved = 9;
constexpr std::size_t kCommitPrincipalLength = 10;
constexpr std::size_t kCommitTargetLength = 12;
constexpr std::size_t kCommitIdLength = 14;
constexpr std::size_t kCommitDetailLength = 16;
constexpr std::size_t kCommitEventCount = 20;
constexpr std::size_t kCommitFirstEvent = 24;
constexpr std::size_t kCommitFingerprint = 28;
static_assert(kCommitFingerprint + kFingerprintBytes == kCommitHeadBytes);

// Event frame: framing words, then the leaf. docs/log-format.md, "Event".
constexpr std::size_t kEventLeafLength = 0;
constexpr std::size_t kEventCommitDistance = 4;
constexpr std::size_t kLeafVersion = 0;
constexpr std::size_t kLeafTime = 8;
constexpr std::size_t kLeafDataLength = 16;
constexpr std::size_t kLeafMetadataLength = 20;
constexpr std::size_t kLeafStreamLength = 24;
constexpr std::size_t kLeafTypeLength = 26;
static_assert(kLeafTypeLength + 2 == kLeafHeadBytes);

std::unexpected<Error> malformed(const char* what, std::size_t position) {
  return fail(Errc::corruption,
              std::string(what) + " at byte " + std::to_string(position) + " of the batch's body");
}

bool is_commit_kind(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(CommitKind::accepted) &&
         kind <= static_cast<std::uint8_t>(CommitKind::group_offset);
}

/// Cuts consecutive fields off the front of bytes whose total length has been checked.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}
  std::string_view take(std::size_t length) {
    const auto field = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return field;
  }

 private:
  std::string_view rest_;
};

/// Where an event stands in its body.
struct EventFrame {
  std::string_view leaf;
  std::size_t commit_position = 0;
  std::size_t end = 0;
};

/// Reads the event at `position` into `record` and `frame`, where they are to be used: a replay
/// decodes millions a second, and each copy of what was just written waits for the writes.
/// @return what is wrong with it, when something is; nothing is then changed.
const char* parse_event(std::string_view body, std::size_t position, EventFrame& frame,
                        EventRecord& record) {
  if (position > body.size() || body.size() - position < kEventFramingBytes + kLeafHeadBytes) {
    return "event head past the end";
  }
  const std::string_view rest = body.substr(position);
  const auto leaf_bytes = get<std::uint32_t>(rest, kEventLeafLength);
  const auto distance = get<std::uint32_t>(rest, kEventCommitDistance);
  if (leaf_bytes < kLeafHeadBytes || leaf_bytes > rest.size() - kEventFramingBytes) {
    return "event length out of range";
  }
  if (distance < kCommitHeadBytes || distance > position) {
    return "event's distance to its commit is wrong";
  }
  const std::string_view leaf = rest.substr(kEventFramingBytes, leaf_bytes);
  const std::size_t data = get<std::uint32_t>(leaf, kLeafDataLength);
  const std::size_t metadata = get<std::uint32_t>(leaf, kLeafMetadataLength);
  const std::size_t stream = get<std::uint16_t>(leaf, kLeafStreamLength);
  const std::size_t type = get<std::uint16_t>(leaf, kLeafTypeLength);
  if (kLeafHeadBytes + stream + type + data + metadata != leaf.size()) {
    return "event's fields do not add up to its length";
  }
  frame.leaf = leaf;
  frame.commit_position = position - distance;
  frame.end = position + kEventFramingBytes + leaf_bytes;
  record.version = Version(get<std::uint64_t>(leaf, kLeafVersion));
  record.time = TimeUs(get<std::int64_t>(leaf, kLeafTime));
  Fields fields(leaf.substr(kLeafHeadBytes));
  record.stream = fields.take(stream);
  record.type = fields.take(type);
  record.data = fields.take(data);
  record.metadata = fields.take(metadata);
  return nullptr;
}

const char* parse_event(std::string_view body, std::size_t position, DecodedEvent& event) {
  EventFrame frame;
  const char* const wrong = parse_event(body, position, frame, event.record);
  if (wrong == nullptr) {
    event.leaf = frame.leaf;
    event.position = position;
    event.commit_position = frame.commit_position;
    event.end = frame.end;
  }
  return wrong;
}

std::uint16_t name_length(std::string_view name) {
  KEELSON_ASSERT(name.size() <= UINT16_MAX);
  return static_cast<std::uint16_t>(name.size());
}

std::uint32_t length32(std::size_t length) {
  KEELSON_ASSERT(length <= kBatchBytesMax);
  return static_cast<std::uint32_t>(length);
}

}  // namespace

void BodyWriter::begin_commit(const CommitHeader& header) {
  KEELSON_ASSERT(commit_events_left_ == 0);
  KEELSON_ASSERT(header.kind == CommitKind::accepted || header.event_count == 0);
  std::string& bytes = body_.bytes;
  commit_start_ = bytes.size();
  commit_events_left_ = header.event_count;
  // The length is known at `end_commit`.
  std::array<char, kCommitHeadBytes> head{};
  put(head.data() + kCommitBatchDistance, length32(commit_start_ + kBatchHeaderBytes));
  put(head.data() + kCommitKind, static_cast<std::uint8_t>(header.kind));
  put(head.data() + kCommitPrincipalLength, name_length(header.key.principal));
  put(head.data() + kCommitTargetLength, name_length(header.key.target));
  put(head.data() + kCommitIdLength, name_length(header.key.id));
  put(head.data() + kCommitDetailLength, length32(header.detail.size()));
  put(head.data() + kCommitEventCount, header.event_count);
  put(head.data() + kCommitFirstEvent, body_.event_count());
  std::memcpy(head.data() + kCommitFingerprint, header.fingerprint.data(), kFingerprintBytes);
  bytes += bytes_of(head);
  bytes += header.key.principal;
  bytes += header.key.target;
  bytes += header.key.id;
  bytes += header.detail;
}

void BodyWriter::add_event(const EventRecord& event) {
  KEELSON_ASSERT(commit_events_left_ > 0);
  std::string& bytes = body_.bytes;
  const std::size_t start = bytes.size();
  const std::size_t leaf_bytes = kLeafHeadBytes + event.stream.size() + event.type.size() +
                                 event.data.size() + event.metadata.size();
  std::array<char, kEventFramingBytes + kLeafHeadBytes> head;
  put(head.data() + kEventLeafLength, length32(leaf_bytes));
  put(head.data() + kEventCommitDistance, length32(start - commit_start_));
  char* const leaf = head.data() + kEventFramingBytes;
  put(leaf + kLeafVersion, event.version.value);
  put(leaf + kLeafTime, event.time.value);
  put(leaf + kLeafDataLength, length32(event.data.size()));
  put(leaf + kLeafMetadataLength, length32(event.metadata.size()));
  put(leaf + kLeafStreamLength, name_length(event.stream));
  put(leaf + kLeafTypeLength, name_length(event.type));
  bytes += bytes_of(head);
  bytes += event.stream;
  bytes += event.type;
  bytes += event.data;
  bytes += event.metadata;
  body_.leaves.push_back(leaf_hash(std::string_view(bytes).substr(start + kEventFramingBytes)));
  --commit_events_left_;
}

void BodyWriter::end_commit() {
  KEELSON_ASSERT(commit_events_left_ == 0);
  put(body_.bytes.data() + commit_start_ + kCommitLength, length32(size() - commit_start_));
  ++body_.commit_count;
}

void BodyWriter::reuse(BatchBody done) {
  KEELSON_ASSERT(body_.bytes.empty());
  body_ = std::move(done);
  body_.bytes.clear();
  body_.leaves.clear();
  body_.commit_count = 0;
}

BatchBody BodyWriter::take() {
  KEELSON_ASSERT(commit_events_left_ == 0);
  return std::exchange(body_, {});
}

Result<DecodedCommit> decode_commit(std::string_view body, std::size_t position) {
  if (position > body.size() || body.size() - position < kCommitHeadBytes) {
    return malformed("commit head past the end", position);
  }
  std::string_view frame = body.substr(position);
  const auto length = get<std::uint32_t>(frame, kCommitLength);
  if (length < kCommitHeadBytes || length > frame.size()) {
    return malformed("commit length out of range", position);
  }
  frame = frame.substr(0, length);
  if (get<std::uint32_t>(frame, kCommitBatchDistance) != position + kBatchHeaderBytes) {
    return malformed("commit's distance to its batch is wrong", position);
  }
  const auto kind = get<std::uint8_t>(frame, kCommitKind);
  if (!is_commit_kind(kind)) return malformed("unknown commit kind", position);
  if (get<std::uint8_t>(frame, kCommitReserved) != 0) {
    return malformed("commit's reserved byte is set", position);
  }
  const std::size_t principal = get<std::uint16_t>(frame, kCommitPrincipalLength);
  const std::size_t target = get<std::uint16_t>(frame, kCommitTargetLength);
  const std::size_t id = get<std::uint16_t>(frame, kCommitIdLength);
  const std::size_t detail = get<std::uint32_t>(frame, kCommitDetailLength);
  const std::size_t strings = principal + target + id + detail;
  if (strings > frame.size() - kCommitHeadBytes) {
    return malformed("commit's strings are longer than it", position);
  }
  DecodedCommit commit;
  commit.header.kind = static_cast<CommitKind>(kind);
  commit.header.event_count = get<std::uint32_t>(frame, kCommitEventCount);
  commit.first_event = get<std::uint32_t>(frame, kCommitFirstEvent);
  std::memcpy(commit.header.fingerprint.data(), frame.data() + kCommitFingerprint,
              kFingerprintBytes);
  if (commit.header.kind != CommitKind::accepted && commit.header.event_count != 0) {
    return malformed("a commit of this kind has no events", position);
  }
  Fields fields(frame.substr(kCommitHeadBytes));
  commit.header.key.principal = fields.take(principal);
  commit.header.key.target = fields.take(target);
  commit.header.key.id = fields.take(id);
  commit.header.detail = fields.take(detail);
  commit.position = position;
  commit.events_position = position + kCommitHeadBytes + strings;
  commit.end = position + length;
  const std::size_t event_bytes = commit.end - commit.events_position;
  if (commit.header.event_count > event_bytes / (kEventFramingBytes + kLeafHeadBytes)) {
    return malformed("commit has no room for its events", position);
  }
  if (commit.header.event_count == 0 && event_bytes != 0) {
    return malformed("bytes after a commit without events", position);
  }
  return commit;
}

std::size_t commit_position(std::string_view body, std::size_t position) {
  if (position > body.size() || body.size() - position < kEventFramingBytes) return body.size();
  return position - get<std::uint32_t>(body, position + kEventCommitDistance);
}

Result<std::size_t> read_event(std::string_view body, std::size_t position, EventRecord& record) {
  EventFrame frame;
  if (const char* const wrong = parse_event(body, position, frame, record)) {
    return malformed(wrong, position);
  }
  return frame.commit_position;
}

void copy_event(EventRecord& record, std::string& to) {
  // As they were decoded they follow each other.
  const std::size_t bytes =
      record.stream.size() + record.type.size() + record.data.size() + record.metadata.size();
  to.assign(record.stream.data(), bytes);
  Fields fields(to);
  record.stream = fields.take(record.stream.size());
  record.type = fields.take(record.type.size());
  record.data = fields.take(record.data.size());
  record.metadata = fields.take(record.metadata.size());
}

Result<std::string_view> decode_command_id(std::string_view body, std::size_t position) {
  if (position > body.size() || body.size() - position < kCommitHeadBytes) {
    return malformed("commit head past the end", position);
  }
  const std::string_view frame = body.substr(position);
  if (get<std::uint32_t>(frame, kCommitBatchDistance) != position + kBatchHeaderBytes) {
    return malformed("commit's distance to its batch is wrong", position);
  }
  const std::size_t id_position = kCommitHeadBytes +
                                  get<std::uint16_t>(frame, kCommitPrincipalLength) +
                                  get<std::uint16_t>(frame, kCommitTargetLength);
  const std::size_t id = get<std::uint16_t>(frame, kCommitIdLength);
  if (id_position + id > frame.size()) {
    return malformed("commit's strings are longer than it", position);
  }
  return frame.substr(id_position, id);
}

Result<DecodedEvent> decode_event(std::string_view body, std::size_t position) {
  Result<DecodedEvent> event;
  if (const char* const wrong = parse_event(body, position, *event)) {
    event = malformed(wrong, position);
  }
  return event;
}

Result<const DecodedCommit*> BodyReader::next_commit() {
  if (commits_left_ == 0) {
    if (events_left_ != 0) return malformed("fewer events than the batch says", position_);
    const auto padding = body_.substr(position_);
    if (padding.size() >= kBatchAlignment || padding.find_first_not_of('\0') != padding.npos) {
      return malformed("bytes after the last commit", position_);
    }
    return nullptr;
  }
  KEELSON_TRY_ASSIGN(commit_, decode_commit(body_, position_));
  if (commit_.first_event != next_event_) {
    return malformed("commit does not follow the events before it", position_);
  }
  if (commit_.header.event_count > events_left_) {
    return malformed("more events than the batch says", position_);
  }
  --commits_left_;
  events_left_ -= commit_.header.event_count;
  next_event_ += commit_.header.event_count;
  commit_events_left_ = commit_.header.event_count;
  event_.end = commit_.events_position;
  position_ = commit_.end;
  return &commit_;
}

Result<const DecodedEvent*> BodyReader::next_event() {
  if (commit_events_left_ == 0) return nullptr;
  // Cut at the commit's end: an event cannot reach into the next commit.
  const std::size_t position = event_.end;
  if (const char* const wrong = parse_event(body_.substr(0, commit_.end), position, event_)) {
    return malformed(wrong, position);
  }
  if (event_.commit_position != commit_.position) {
    return malformed("event's distance to its commit is wrong", event_.position);
  }
  --commit_events_left_;
  if (commit_events_left_ == 0 && event_.end != commit_.end) {
    return malformed("bytes after a commit's last event", event_.end);
  }
  return &event_;
}

}  // namespace keelson::log
