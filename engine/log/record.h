// Commits and events inside a batch's body. The layout is docs/log-format.md, sections "Commit" and
// "Event"; constants stand in log_format.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/types.h"

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
  CommandKey key;
  std::array<std::byte, 16> fingerprint{};
  std::string_view detail;
  std::uint32_t event_count = 0;
};

/// The fields of an event as encoded; the encoded bytes are the Merkle leaf.
struct EventRecord {
  std::string_view stream;
  Version version;
  std::string_view type;
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

/// Encodes commits into a batch body. Call `begin_commit`, `add_event` as often as the header's
/// `event_count` says, `end_commit`.
class BodyWriter {
 public:
  void begin_commit(const CommitHeader& header);
  void add_event(const EventRecord& event);
  void end_commit();

  [[nodiscard]] std::uint32_t event_count() const { return event_count_; }
  [[nodiscard]] std::uint32_t commit_count() const { return commit_count_; }
  [[nodiscard]] const std::string& body() const { return body_; }
  [[nodiscard]] std::string take();

 private:
  std::string body_;
  std::size_t commit_start_ = 0;
  std::uint32_t commit_events_left_ = 0;
  std::uint32_t event_count_ = 0;
  std::uint32_t commit_count_ = 0;
};

}  // namespace keelson::log
