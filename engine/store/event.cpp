#include "engine/store/event.h"

namespace keelson {

Event Event::from(const EventView& view) {
  return Event{view.partition,
               view.offset,
               std::string(view.stream),
               view.version,
               std::string(view.type),
               view.time,
               std::string(view.data),
               std::string(view.metadata),
               std::string(view.command_id)};
}

EventView Event::view() const {
  return EventView{partition, offset, stream, version, type, time, data, metadata, command_id};
}

}  // namespace keelson
