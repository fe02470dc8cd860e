// What names may look like; checked before anything is written.
#pragma once

#include <cstddef>
#include <string_view>

#include "engine/base/result.h"
#include "engine/store/options.h"

namespace keelson {

/// What a file system can hold as the name of a folder, whatever `Limits::name_bytes_max` is.
inline constexpr std::size_t kTopicNameBytesMax = 255;

/// Topic: `[a-z0-9][a-z0-9_.-]*` of at most kTopicNameBytesMax bytes, so that it can name a folder.
[[nodiscard]] Result<void> check_topic_name(std::string_view name, const Limits& limits);

/// Stream: valid UTF-8 without control characters, 1…name_bytes_max bytes. Streams starting with
/// `$` are Keelson's own and refused to users.
[[nodiscard]] Result<void> check_stream_name(std::string_view name, const Limits& limits);

/// Event type: like a stream.
[[nodiscard]] Result<void> check_event_type(std::string_view type, const Limits& limits);

/// Command id and principal: printable ASCII, 1…name_bytes_max bytes.
[[nodiscard]] Result<void> check_command_id(std::string_view id, const Limits& limits);

/// Whether `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text);

/// The type of an aggregate's stream: the part before the first `-`.
[[nodiscard]] std::string_view stream_type(std::string_view stream);
/// Its id: the part after the first `-`; all of a name without.
[[nodiscard]] std::string_view stream_id(std::string_view stream);

}  // namespace keelson
