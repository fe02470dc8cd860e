// An event as it is read back. Payloads are bytes here: JSON is the business of the layers above.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/types.h"

namespace keelson {

/// A committed event, pointing into the log; valid only as long as its source says.
struct EventView {
  PartitionId partition;
  Offset offset;
  std::string_view stream;
  Version version;
  std::string_view type;
  TimeUs time;                  ///< commit time; never goes back within a partition
  std::string_view data;        ///< JSON
  std::string_view metadata;    ///< JSON, or empty
  std::string_view command_id;  ///< of the command that caused it, or empty
};

/// The same, owning its bytes.
struct Event {
  PartitionId partition;
  Offset offset;
  std::string stream;
  Version version;
  std::string type;
  TimeUs time;
  std::string data;
  std::string metadata;
  std::string command_id;

  [[nodiscard]] static Event from(const EventView& view);
  [[nodiscard]] EventView view() const;
};

}  // namespace keelson
