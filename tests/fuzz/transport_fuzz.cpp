// What a node reads off a connection: frames, in whatever pieces they arrive, and handshakes by
// strangers. What comes out must not depend on the pieces, and a stranger must not get in.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/transport/frame.h"
#include "engine/transport/handshake.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson;
using namespace keelson::transport;

constexpr std::uint64_t kSeed = 0;
constexpr FrameRules kRules{kSeed, 512, 64};

class NoRandom final : public Random {
 public:
  std::uint64_t next() override { return 7; }
};

/// Reads `bytes` as a connection does: what came out, and how it ended.
class Reader {
 public:
  void receive(std::string_view bytes) {
    while (!bytes.empty() && !error_) {
      auto frame = parser_.take(bytes);
      if (!frame) {
        error_ = frame.error();
      } else if (*frame) {
        frames_.push_back(**std::move(frame));
        check(frames_.back());
      }
    }
  }
  bool operator==(const Reader& other) const {
    return frames_ == other.frames_ && error_ == other.error_;
  }
  [[nodiscard]] const std::vector<Frame>& frames() const { return frames_; }

 private:
  static void check(const Frame& frame) {
    KEELSON_ASSERT(frame.payload.size() <= kRules.payload_bytes_max);
    KEELSON_ASSERT(frame.region.size() <= kRules.region_bytes_max);
    KEELSON_ASSERT(frame.region.empty() || frame.kind == FrameKind::file);
  }

  FrameParser parser_{kRules};
  std::vector<Frame> frames_;
  std::optional<Error> error_;
};

/// What was read is what would be written again, byte by byte.
void check_encoding(const Frame& frame, std::string_view bytes, std::size_t& at) {
  const FrameHeader header = make_frame_header(frame.kind, kSeed, frame.payload,
                                               static_cast<std::uint32_t>(frame.region.size()));
  const std::string again = std::string(bytes_of(header)) + frame.payload + frame.region;
  KEELSON_ASSERT(bytes.substr(at, again.size()) == again);
  at += again.size();
}

void check_hello(std::string_view bytes) {
  const auto hello = decode_hello(bytes);
  if (hello) KEELSON_ASSERT(encode_hello(*hello) == bytes);
}

/// Nobody comes in who does not know the secret, whatever is said in whichever order.
void shake_hands(Side side, const std::vector<Frame>& frames) {
  static const Identity identity{"clusters", "a secret that nobody knows", {NodeId(2), {}}, {}};
  NoRandom random;
  Handshake handshake(
      identity, side, [](const Member&, const Incarnation&) { return Result<void>(); }, random);
  for (const Frame& frame : frames) {
    const auto step = handshake.on_frame(frame);
    if (!step) return;
    KEELSON_ASSERT(!step->done);
    KEELSON_ASSERT(step->send.size() <= frame_header::kBytes + kHandshakeBytesMax);
  }
}

/// The input's bytes as frames that are good, so that what lies behind the checksums is reached.
std::vector<Frame> made_frames(std::string_view bytes) {
  fuzz::Input input(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  std::vector<Frame> frames;
  while (!input.empty() && frames.size() < 4) {
    const auto kind = static_cast<FrameKind>(1 + input.byte() % 5);
    const std::size_t length = input.byte() * 2u;
    frames.push_back({kind, std::string(input.bytes(length)), ""});
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  std::vector<std::size_t> pieces(input.byte() % 16);
  for (std::size_t& piece : pieces) piece = input.byte();
  const std::string_view bytes = input.rest();

  Reader at_once;
  at_once.receive(bytes);
  Reader in_pieces;
  for (const std::size_t piece : pieces) in_pieces.receive(input.bytes(piece));
  in_pieces.receive(input.rest());
  KEELSON_ASSERT(in_pieces == at_once);
  Reader byte_by_byte;
  for (std::size_t i = 0; i < bytes.size(); ++i) byte_by_byte.receive(bytes.substr(i, 1));
  KEELSON_ASSERT(byte_by_byte == at_once);
  std::size_t at = 0;
  for (const Frame& frame : at_once.frames()) check_encoding(frame, bytes, at);

  check_hello(bytes);
  for (const Side side : {Side::dialler, Side::acceptor}) {
    shake_hands(side, at_once.frames());
    shake_hands(side, made_frames(bytes));
  }
  return 0;
}
