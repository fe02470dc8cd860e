#include "engine/cluster/last_records.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/engine/cluster/members.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;

namespace {

const Uuid kPartition = *uuid_from_hex("000102030405060708090a0b0c0d0e0f");

LastRecord last_record() {
  LastRecord last{{Epoch(7), member(2), {member(1), member(2)}, {member(2)}},
                  replication::Revision(44)};
  last.record.generation = 3;
  return last;
}

TopicPlacement placement() {
  TopicPlacement made;
  made.topic = kPartition;
  made.partitions = {{member(1)}};
  made.generation = 2;
  return made;
}

}  // namespace

TEST_CASE("last record: is read back as it was written, and nothing where there is none") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("p"));
  CHECK(load_last_record(disk, "p", kPartition).value() == std::nullopt);
  REQUIRE(store_last_record(disk, "p", kPartition, last_record()));
  CHECK(load_last_record(disk, "p", kPartition).value() == last_record());
  const std::string text = io::read_file(disk, "p/last-record", 4096).value();
  CHECK(
      text.starts_with("keelson last-record 1\n"
                       "partition 000102030405060708090a0b0c0d0e0f\n"
                       "revision 44\n"
                       "keelson partition 1\n"
                       "epoch 7\n"));
  CHECK(text.find("\ngeneration 3\nchecksum ") != std::string::npos);
  disk.cut_power();
  CHECK(load_last_record(disk, "p", kPartition).value() == last_record());
}

TEST_CASE("last record: what is damaged or of another partition is refused") {
  const std::string text = encode_last_record(kPartition, last_record());
  CHECK(decode_last_record(kPartition, text) == last_record());
  CHECK_FALSE(decode_last_record(Uuid{}, text));
  for (std::size_t i = 0; i < text.size(); ++i) {
    CHECK_FALSE(decode_last_record(kPartition, text.substr(0, i)));
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ 1);
    CHECK_FALSE(decode_last_record(kPartition, other));
  }
}

TEST_CASE("last placement: is read back as it was written") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("t"));
  CHECK(load_last_placement(disk, "t").value() == std::nullopt);
  REQUIRE(store_last_placement(disk, "t", placement()));
  CHECK(load_last_placement(disk, "t").value() == placement());
  disk.flip_bit("t/last-placement", 8 * 40);
  CHECK(load_last_placement(disk, "t").error().code == Errc::corruption);
}
