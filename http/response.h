// An answer, whole or streamed, and the one-shot that carries it back to the connection.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"

namespace keelson::http {

/// A piece of a streamed body. May be empty, which writes nothing.
struct Chunk {
  std::string bytes;
  bool last = false;  ///< nothing follows
};

/// Produces a body piece by piece, pulled: the next piece is asked for only when the one before has
/// been written, so a slow client slows its own producer and nothing is buffered for it.
///
/// The connection calls `next` on its own thread and never again before the answer; the answer may
/// come from any thread, during the call or any time later. The connection destroys the source when
/// the body is complete, the client has gone, or the server's time to stop is over; the destructor
/// must cancel what is under way, and a `Done` called afterwards does nothing. A stream without an
/// end of its own must end, with a last chunk, when `Request::interrupted` is.
class BodySource {
 public:
  /// An error, or dropping it uncalled, cuts the connection, so that the client cannot take the
  /// part for the whole.
  using Done = std::move_only_function<void(Result<Chunk>)>;
  virtual ~BodySource() = default;
  /// Keep pieces around 64 KiB; an idle stream should send a piece every few seconds (an SSE
  /// comment, say), as only writing notices that a client has gone.
  virtual void next(Done done) = 0;
};

struct Response {
  unsigned status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::unique_ptr<BodySource> stream;  ///< instead of `body`: sent chunked

  Response() = default;
  explicit Response(unsigned status_) : status(status_) {}

  /// `application/json`.
  [[nodiscard]] static Response json(unsigned status, std::string body);
  [[nodiscard]] static Response text(unsigned status, std::string body);
  [[nodiscard]] static Response streamed(std::string_view content_type,
                                         std::unique_ptr<BodySource> source);

  /// Adds a field; the value must not hold line breaks or NUL (they are dropped).
  Response& header(std::string name, std::string value) &;
  Response&& header(std::string name, std::string value) &&;
};

/// The same request is to be sent to another node.
inline constexpr unsigned kRedirect = 307;
/// Makes the `Location` of a redirect, `//host:port`, that of `target` there.
void complete_location(Response& response, std::string_view target);

/// Answers one request, once, from any thread; the answer goes back to the connection's thread and
/// out in the order of the requests. Dropped unanswered: a 500. Move-only.
class Responder {
 public:
  using Sink = std::move_only_function<void(Response)>;

  explicit Responder(Sink sink) : sink_(std::move(sink)) {}
  ~Responder();
  Responder(Responder&& other) noexcept : sink_(std::exchange(other.sink_, nullptr)) {}
  Responder& operator=(Responder&&) = delete;

  void send(Response response);
  /// The problem that `error` maps to; see problem.h.
  void send(const Error& error);

 private:
  Sink sink_;
};

}  // namespace keelson::http
