// Untrusted bytes as a compressed segment: the table of frames, and the frames. What is opened
// reads the same in whatever pieces it is asked for, and as `zstd` itself decompresses it. The
// first byte says as what the rest is read.
#include "engine/log/compressed_segment.h"

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/log_format.h"
#include "tests/fuzz/input.h"
#include "tests/support/simulated_file_system.h"

namespace {

using namespace keelson;
using namespace keelson::log;
using keelson::fuzz::Input;

/// Of a segment that is made up here, and of what is asked for at a time.
constexpr std::uint64_t kPlainBytesMax = 2 * kFrameBytes + 3 * kFirstFrameBytes;
/// What the frames of one input may hold together: more only takes longer.
constexpr std::uint64_t kInflatedBytesMax = 16 << 20;

std::uint32_t word(Input& input, int bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | input.byte();
  return value;
}

/// `text` over and over.
std::string repeated(std::string_view text, std::size_t bytes) {
  std::string all;
  while (!text.empty() && all.size() < bytes) all += text.substr(0, bytes - all.size());
  return all;
}

class Disk {
 public:
  Disk() { KEELSON_ASSERT(disk_.create_folders("f").has_value()); }

  [[nodiscard]] std::unique_ptr<io::File> make(std::string_view bytes) {
    const std::string path = "f/" + std::to_string(++files_);
    auto file = disk_.open(path, io::OpenMode::create_new).value();
    if (!bytes.empty()) KEELSON_ASSERT(file->write_at(0, bytes).has_value());
    return file;
  }

 private:
  test::SimulatedFileSystem disk_{1};
  int files_ = 0;
};

std::unique_ptr<CompressedSegment> open(Disk& disk, std::string_view stored) {
  auto opened = CompressedSegment::open(disk.make(stored));
  if (opened) return *std::move(opened);
  KEELSON_ASSERT(opened.error().code == Errc::corruption ||
                 opened.error().code == Errc::unsupported_format);
  return nullptr;
}

/// Asks for pieces as `input` says, then for all of it.
void check_pieces(Disk& disk, std::string_view stored, std::string_view whole, Input input) {
  const auto segment = open(disk, stored);
  KEELSON_ASSERT(segment != nullptr && segment->inflated_bytes() == 0);
  for (int i = 0; i < 8 && !input.empty(); ++i) {
    const std::uint64_t position = word(input, 3);
    const std::uint64_t length = word(input, 3);
    KEELSON_ASSERT(segment->need(position, length).has_value());
    if (position >= whole.size()) continue;
    KEELSON_ASSERT(segment->bytes().substr(position, length) == whole.substr(position, length));
  }
  KEELSON_ASSERT(segment->need(0, UINT64_MAX).has_value());
  KEELSON_ASSERT(segment->bytes() == whole);
  KEELSON_ASSERT(segment->inflated_bytes() == whole.size());
}

/// @return whether all of it could be read.
bool read(Disk& disk, std::string_view stored, Input pieces) {
  const auto segment = open(disk, stored);
  if (segment == nullptr) return false;
  const std::uint64_t size = segment->bytes().size();
  if (size > kInflatedBytesMax) return false;
  if (const auto read = segment->need(0, size); !read) {
    KEELSON_ASSERT(read.error().code == Errc::corruption);
    return false;
  }
  std::string whole(size, '\0');
  const std::size_t got = ZSTD_decompress(whole.data(), whole.size(), stored.data(), stored.size());
  KEELSON_ASSERT(got == size && whole == segment->bytes());
  check_pieces(disk, stored, whole, pieces);
  return true;
}

/// Frames as `input` has them, with a table that fits.
void frames(Disk& disk, Input input) {
  std::string stored;
  std::string table;
  std::uint32_t count = 0;
  bool possible = true;  // whether any table may have these sizes
  bool true_sizes = true;
  while (!input.empty()) {
    const std::uint8_t kind = input.byte();
    std::string frame(input.bytes(input.byte()));
    std::uint32_t bytes = word(input, 3);
    if ((kind & 1) != 0) {
      const std::string plain = repeated(frame, word(input, 2));
      frame.resize(ZSTD_compressBound(plain.size()));
      frame.resize(
          ZSTD_compress(frame.data(), frame.size(), plain.data(), plain.size(), kind / 4 % 4 + 1));
      if ((kind & 2) == 0) bytes = static_cast<std::uint32_t>(plain.size());
    }
    true_sizes = true_sizes && (kind & 3) == 1;
    possible = possible && bytes >= 1 && bytes <= kFrameBytes;
    stored += frame;
    append(table, static_cast<std::uint32_t>(frame.size()));
    append(table, bytes);
    ++count;
  }
  append(stored, kSkippableMagic);
  append(stored, static_cast<std::uint32_t>(table.size() + kSeekFootBytes));
  stored += table;
  append(stored, count);
  append(stored, std::uint8_t{0});
  append(stored, kSeekTableMagic);
  KEELSON_ASSERT((open(disk, stored) != nullptr) == possible);
  const bool good = read(disk, stored, Input(nullptr, 0));
  if (possible && true_sizes) KEELSON_ASSERT(good);
}

/// What is compressed comes back. Large segments take long, so only some are.
void round_trip(Disk& disk, Input input, bool large) {
  const std::uint64_t bytes = large ? word(input, 3) % (kPlainBytesMax + 1) : word(input, 2);
  const std::string_view pieces = input.bytes(12);
  const std::string plain = repeated(input.rest(), bytes);
  const auto file = disk.make(plain);
  const auto to = disk.make({});
  KEELSON_ASSERT(compress_segment(*file, plain.size(), *to).has_value());
  const std::string stored = to->read_at(0, to->size().value()).value();
  KEELSON_ASSERT(read(disk, stored,
                      Input(reinterpret_cast<const std::uint8_t*>(pieces.data()), pieces.size())));
  KEELSON_ASSERT(open(disk, stored)->bytes().size() == plain.size());
  // The header alone is in the first frame.
  const auto segment = open(disk, stored);
  KEELSON_ASSERT(segment->need(0, kSegmentHeaderBytes).has_value());
  KEELSON_ASSERT(segment->inflated_bytes() == std::min(plain.size(), kSegmentHeaderBytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t mode = input.byte();
  Disk disk;
  switch (mode % 3) {
    case 0: static_cast<void>(read(disk, input.rest(), input)); break;
    case 1: frames(disk, input); break;
    default: round_trip(disk, input, mode / 3 % 8 == 0); break;
  }
  return 0;
}
