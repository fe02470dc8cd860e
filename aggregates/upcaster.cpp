#include "aggregates/upcaster.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "aggregates/json_text.h"

namespace keelson::aggregates {

std::string describe(const EventView& event) {
  return std::string(event.stream) + "@" + std::to_string(event.version.value) + " (" +
         std::string(event.type) + ", offset " + std::to_string(event.offset.value) + ")";
}

bool concerns(const Upcasters& upcasters, std::string_view type) {
  return std::ranges::find(upcasters, type, &Upcaster::type) != upcasters.end();
}

Result<StoredEvent> upcast(const Upcasters& upcasters, const EventView& event) {
  auto data = parse_json(event.data);
  if (!data) {
    return fail(Errc::unsupported_format, describe(event) + ": " + data.error().context);
  }
  StoredEvent stored{std::string(event.type), *std::move(data)};
  try {
    for (const Upcaster& upcaster : upcasters) {
      if (upcaster.type != stored.type) continue;
      if (upcaster.is_old && !upcaster.is_old(stored.data)) continue;
      stored = upcaster.upcast(std::move(stored.data));
    }
  } catch (const std::exception& error) {
    return fail(Errc::unsupported_format, describe(event) + ": upcaster threw: " + error.what());
  }
  return stored;
}

}  // namespace keelson::aggregates
