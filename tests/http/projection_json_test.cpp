#include "http/projection_json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace keelson;
using namespace keelson::http;
using projections::ProjectionInfo;
using projections::ProjectionStatus;

namespace {

/// Of a projection on two partitions, the second in this state.
nlohmann::json shown(std::optional<Offset> halted_at, const std::string& error) {
  ProjectionStatus status;
  status.position = Position(2);
  status.partitions.resize(2);
  status.partitions[1].partition = PartitionId(1);
  status.partitions[1].next = Offset(7);
  status.partitions[1].halted_at = halted_at;
  status.partitions[1].error = error;
  std::string text;
  append_projection(text, ProjectionInfo{}, status);
  return nlohmann::json::parse(text);
}

}  // namespace

TEST_CASE("projection: what holds it up is shown, whether it halted or tries again") {
  const auto running = shown(std::nullopt, "");
  CHECK(running["state"] == "running");
  CHECK_FALSE(running["partitions"][1].contains("error"));
  CHECK_FALSE(running["partitions"][1].contains("halted_at"));

  const auto halted = shown(Offset(7), "no such account");
  CHECK(halted["state"] == "halted");
  CHECK(halted["partitions"][1]["error"] == "no such account");
  CHECK(halted["partitions"][1]["halted_at"] == 7);
  CHECK_FALSE(halted["partitions"][0].contains("error"));

  const auto delayed = shown(std::nullopt, "disk_full: the disk is full");
  CHECK(delayed["state"] == "delayed");
  CHECK(delayed["partitions"][1]["error"] == "disk_full: the disk is full");
  CHECK_FALSE(delayed["partitions"][1].contains("halted_at"));
}
