// Commits and events inside a batch's body. The layout is docs/log-format.md, sections "Commit" and
// "Event"; constants stand in log_format.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/log/merkle.h"

namespace keelson::log {

enum class BatchKind : std::uint8_t { events = 0, control = 1 };

enum class CommitKind : std::uint8_t {
  accepted = 1,      ///< has events
  rejected = 2,      ///< a refused command, remembered; no events
  group_offset = 3,  ///< a consumer group's offset in `detail`, 8 bytes little-endian; no events
};

/// Names a command: the same principal, target stream and id is the same command.
struct CommandKey {
  std::string_view principal;
  std::string_view target;
  std::string_view id;  ///< empty: the commit has no command id and is not indexed
};

struct CommitHeader {
  CommitKind kind = CommitKind::accepted;
  CommandKey key;  ///< each part up to 65,535 bytes
  std::array<std::byte, 16> fingerprint{};
  std::string_view detail;
  std::uint32_t event_count = 0;
};

/// The fields of an event as encoded; the encoded bytes are the Merkle leaf.
struct EventRecord {
  std::string_view stream;  ///< up to 65,535 bytes
  Version version;
  std::string_view type;  ///< up to 65,535 bytes
  TimeUs time;
  std::string_view data;
  std::string_view metadata;
};

/// An event in the log, with where it is and the command behind it.
struct FoundEvent {
  Offset offset;
  EventRecord record;
  std::string_view command_id;
};

/// Commits as they are written, with what the batch around them has to say of them.
struct BatchBody {
  std::string bytes;         ///< commit frames
  std::vector<Hash> leaves;  ///< the `leaf_hash` of each event
  std::uint32_t commit_count = 0;

  [[nodiscard]] std::uint32_t event_count() const {
    return static_cast<std::uint32_t>(leaves.size());
  }
  bool operator==(const BatchBody&) const = default;
};

/// Encodes commits into a batch body. Call `begin_commit`, `add_event` as often as the header's
/// `event_count` says, `end_commit`. A body may be taken after any whole commit.
///
/// An event is hashed when it is added: by whoever encodes it, so beside the writing of the batch
/// before, and while its bytes are in the processor's cache.
class BodyWriter {
 public:
  void begin_commit(const CommitHeader& header);
  void add_event(const EventRecord& event);
  void end_commit();

  /// Bytes of the body so far.
  [[nodiscard]] std::size_t size() const { return body_.bytes.size(); }
  /// Hands the body out and starts the next one.
  [[nodiscard]] BatchBody take();
  /// Before the first commit: takes the memory of a body that is done with. Fresh pages of a large
  /// body cost more than what is written into them.
  void reuse(BatchBody done);

 private:
  BatchBody body_;
  std::size_t commit_start_ = 0;
  std::uint32_t commit_events_left_ = 0;
};

/// A commit as decoded from a body. Positions count from the start of the body.
struct DecodedCommit {
  CommitHeader header;
  std::uint32_t first_event = 0;  ///< ordinal, in the batch, of its first event or the next one
  std::size_t position = 0;
  std::size_t events_position = 0;
  std::size_t end = 0;  ///< where the next commit begins
};

/// An event as decoded from a body. Positions count from the start of the body.
struct DecodedEvent {
  EventRecord record;
  std::string_view leaf;  ///< its encoded bytes: what the Merkle tree hashes
  std::size_t position = 0;
  std::size_t commit_position = 0;
  std::size_t end = 0;  ///< where the next event, or commit, begins
};

/// Decode one frame at `position` of `body`: a batch's bytes after its header, padding included.
/// Nothing is trusted: every length is checked, and views stay within `body`.
/// @error corruption  context says what is wrong and at which byte of the body.
[[nodiscard]] Result<DecodedCommit> decode_commit(std::string_view body, std::size_t position);
[[nodiscard]] Result<DecodedEvent> decode_event(std::string_view body, std::size_t position);
/// Where the commit begins to which the event at `position` belongs, by the event's head and
/// unchecked; perhaps outside of `body`. For asking the processor for it.
[[nodiscard]] std::size_t commit_position(std::string_view body, std::size_t position);
/// Reads the event at `position` into `record`, where it is used: a reader of single events reads
/// millions a second, and each copy of what was just written waits for the writes.
/// @return the position of its commit.
[[nodiscard]] Result<std::size_t> read_event(std::string_view body, std::size_t position,
                                             EventRecord& record);
/// Copies what `record`, which was decoded, shows to `to`, and makes it show that.
void copy_event(EventRecord& record, std::string& to);
/// The id of the commit at `position`, and nothing else of it.
[[nodiscard]] Result<std::string_view> decode_command_id(std::string_view body,
                                                         std::size_t position);

/// Walks a body commit by commit and event by event, checking that the frames fit each other. Give
/// it the counts of the batch's header; the body may be followed by padding.
class BodyReader {
 public:
  BodyReader(std::string_view body, std::uint32_t event_count, std::uint32_t commit_count)
      : body_(body), events_left_(event_count), commits_left_(commit_count) {}

  /// The next commit, or nothing at the end; events of the one before that were not read are passed
  /// over unseen. The pointer is valid until the next call.
  [[nodiscard]] Result<const DecodedCommit*> next_commit();
  /// The next event of the current commit, or nothing after its last.
  [[nodiscard]] Result<const DecodedEvent*> next_event();

 private:
  std::string_view body_;
  DecodedCommit commit_;
  DecodedEvent event_;
  std::size_t position_ = 0;
  std::uint32_t next_event_ = 0;
  std::uint32_t commit_events_left_ = 0;
  std::uint32_t events_left_;
  std::uint32_t commits_left_;
};

}  // namespace keelson::log
