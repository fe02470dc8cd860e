// The bytes in front of a response's body. Private to the library.
#pragma once

#include <string>

#include "http/response.h"

namespace keelson::http {

/// How the body's end is told to the client.
enum class Framing {
  length,   ///< Content-Length
  chunked,  ///< Transfer-Encoding: chunked
  close,    ///< by closing the connection: HTTP/1.0 streams
  none,     ///< the answer to HEAD where the length is not known
};

/// Appends the status line and header, up to and with the empty line.
void append_head(std::string& out, const Response& response, Framing framing, bool keep_alive);

/// Appends `bytes` as one chunk of a chunked body; nothing for no bytes, as an empty chunk ends it.
void append_chunk(std::string& out, std::string_view bytes);

/// The end of a chunked body.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace keelson::http
