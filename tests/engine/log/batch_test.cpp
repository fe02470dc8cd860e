#include "engine/log/batch.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/base/coding.h"

using namespace keelson;
using namespace keelson::log;

namespace {

constexpr ChecksumSeed kSeed = 42;

BatchHeader make_header() {
  BatchHeader header;
  header.length = 200;
  header.event_count = 3;
  header.commit_count = 2;
  header.batch_no = BatchNo(7);
  header.epoch = Epoch(2);
  header.base_offset = Offset(11);
  header.time = TimeUs(1'700'000'000'000'000);
  header.durable_batches = BatchNo(6);
  header.tree_root.fill(std::byte{0x5a});
  header.body_checksum = 99;
  return header;
}

std::string encode(const BatchHeader& header) {
  const auto bytes = encode_batch_header(header, kSeed);
  return {bytes.data(), bytes.size()};
}

/// The header with the byte at `position` changed and the checksum set anew: as another writer's.
std::string rewritten(std::size_t position, std::uint8_t value) {
  std::string bytes = encode(make_header());
  put(bytes.data() + position, value);
  put(bytes.data() + 120, checksum(std::string_view(bytes).substr(0, 120), kSeed));
  return bytes;
}

Errc code_of(std::string_view bytes) {
  const auto header = decode_batch_header(bytes, kSeed);
  REQUIRE_FALSE(header.has_value());
  return header.error().code;
}

}  // namespace

TEST_CASE("batch: a header is read back as it was written") {
  const BatchHeader header = make_header();
  const auto read = decode_batch_header(encode(header), kSeed);
  REQUIRE(read);
  CHECK(read->kind == header.kind);
  CHECK(read->length == header.length);
  CHECK(read->event_count == header.event_count);
  CHECK(read->commit_count == header.commit_count);
  CHECK(read->batch_no == header.batch_no);
  CHECK(read->epoch == header.epoch);
  CHECK(read->base_offset == header.base_offset);
  CHECK(read->time == header.time);
  CHECK(read->durable_batches == header.durable_batches);
  CHECK(read->tree_root == header.tree_root);
  CHECK(read->body_checksum == header.body_checksum);
  CHECK(read->end_offset() == Offset(14));
}

TEST_CASE("batch: a flip of any bit of the header is corruption") {
  const std::string good = encode(make_header());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    CHECK(code_of(bad) == Errc::corruption);
  }
}

TEST_CASE("batch: a header cut short is corruption") {
  const std::string good = encode(make_header());
  for (std::size_t length = 0; length < good.size(); ++length) {
    CHECK(code_of(std::string(good.data(), length)) == Errc::corruption);
  }
}

TEST_CASE("batch: what a later version has written is unsupported, not corrupt") {
  CHECK(code_of(rewritten(4, 2)) == Errc::unsupported_format);    // format version
  CHECK(code_of(rewritten(6, 2)) == Errc::unsupported_format);    // kind
  CHECK(code_of(rewritten(7, 2)) == Errc::unsupported_format);    // codec
  CHECK(code_of(rewritten(20, 1)) == Errc::unsupported_format);   // reserved
  CHECK(code_of(rewritten(119, 1)) == Errc::unsupported_format);  // reserved
}

TEST_CASE("batch: a control batch has neither events nor commits") {
  BatchHeader header = make_header();
  header.kind = BatchKind::control;
  CHECK(code_of(encode(header)) == Errc::unsupported_format);
  header.event_count = 0;
  CHECK(code_of(encode(header)) == Errc::unsupported_format);
  header.commit_count = 0;
  CHECK(decode_batch_header(encode(header), kSeed).has_value());
}

TEST_CASE("batch: a length that cannot be is corruption, even with a right checksum") {
  BatchHeader header = make_header();
  header.length = kBatchHeaderBytes - 1;
  CHECK(code_of(encode(header)) == Errc::corruption);
  header.length = kBatchBytesMax + 1;
  CHECK(code_of(encode(header)) == Errc::corruption);
}

TEST_CASE("batch: another partition's header is not taken for one of this") {
  CHECK_FALSE(decode_batch_header(encode(make_header()), kSeed + 1));
}

TEST_CASE("batch: the body's checksum covers every byte, padding included") {
  BatchHeader header = make_header();
  header.length = kBatchHeaderBytes + 21;
  const std::string body = std::string(21, 'b') + std::string(3, '\0');
  header.body_checksum = checksum(body, kSeed);
  const std::string batch = encode(header) + body;
  CHECK(check_batch_body(header, batch, kSeed));
  for (std::size_t i = kBatchHeaderBytes; i < batch.size(); ++i) {
    std::string bad = batch;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK(check_batch_body(header, bad, kSeed).error().code == Errc::corruption);
  }
}
