#include "engine/log/segment_header.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/base/coding.h"

using namespace keelson;
using namespace keelson::log;

namespace {

const Uuid kIdentity{{std::byte{1}, std::byte{2}}};

SegmentHeader make_header() {
  SegmentHeader header;
  header.identity = kIdentity;
  header.capacity = 65536;
  for (int i = 0; i < 11; ++i) header.start.tree.add(std::to_string(i));
  header.start.point = {BatchNo(5), Offset(11), Epoch(3), TimeUs(77)};
  return header;
}

/// As another writer's: the checksum set anew.
std::string rewritten(std::size_t position, std::uint8_t value) {
  std::string bytes = encode_segment_header(make_header());
  put(bytes.data() + position, value);
  put(bytes.data() + 4088, checksum(std::string_view(bytes).substr(0, 4088), 0));
  return bytes;
}

Errc code_of(std::string_view bytes) {
  const auto header = decode_segment_header(bytes, kIdentity);
  REQUIRE_FALSE(header.has_value());
  return header.error().code;
}

}  // namespace

TEST_CASE("segment header: read back as it was written, Merkle tree included") {
  const SegmentHeader header = make_header();
  const auto read = decode_segment_header(encode_segment_header(header), kIdentity);
  REQUIRE(read);
  CHECK(read->capacity == header.capacity);
  CHECK(read->start.point == header.start.point);
  CHECK(read->start.tree.root() == header.start.tree.root());
}

TEST_CASE("segment header: a flip of any bit is corruption") {
  const std::string good = encode_segment_header(make_header());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    // Every bit of what is used, and some of the rest.
    if (bit > 300 * 8 && bit < 4080 * 8 && bit % 97 != 0) continue;
    CAPTURE(bit);
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    CHECK(code_of(bad) == Errc::corruption);
  }
}

TEST_CASE("segment header: another partition's, or a later version's, is unsupported") {
  CHECK(code_of(rewritten(16, 9)) == Errc::unsupported_format);
  CHECK(code_of(rewritten(8, 2)) == Errc::unsupported_format);
  CHECK(code_of(rewritten(10, 1)) == Errc::unsupported_format);
  // After the frontier of three peaks, and before the checksum.
  CHECK(code_of(rewritten(72 + 3 * 32, 1)) == Errc::unsupported_format);
  CHECK(code_of(rewritten(4087, 1)) == Errc::unsupported_format);
}

TEST_CASE("segment header: a frontier that does not fit the offset is corruption") {
  CHECK(code_of(rewritten(12, 64)) == Errc::corruption);
  CHECK(code_of(rewritten(12, 255)) == Errc::corruption);
  CHECK(code_of(rewritten(40, 12)) == Errc::corruption);
}

TEST_CASE("segment header: cut short is corruption") {
  const std::string good = encode_segment_header(make_header());
  CHECK(code_of("") == Errc::corruption);
  CHECK(code_of(std::string_view(good).substr(0, 4095)) == Errc::corruption);
}

TEST_CASE("segment names: sort as their numbers do, and nothing else is taken for one") {
  CHECK(segment_name(BatchNo(42)) == "00000000000000000042.seg");
  CHECK(parse_segment_name(segment_name(BatchNo(UINT64_MAX))) == BatchNo(UINT64_MAX));
  for (const auto* name : {"", "42.seg", "00000000000000000042.idx", "0000000000000000004x.seg",
                           "-0000000000000000042.seg", "99999999999999999999.seg", "next.tmp",
                           "00000000000000000042.seg.tmp"}) {
    CAPTURE(name);
    CHECK_FALSE(parse_segment_name(name));
  }
}
