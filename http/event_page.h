// Pages of events: their limits, their caching, and the page of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "engine/store/store.h"
#include "http/request.h"
#include "http/response.h"

namespace keelson::http {

inline constexpr std::uint64_t kPageEventsDefault = 100;
inline constexpr std::uint64_t kPageEventsMax = 1000;
/// A page ends early at this size, whatever `limit` says.
inline constexpr std::size_t kPageBytesMax = 4u << 20;

enum class PageState {
  open,    ///< it came to the end: the same request may give more later
  closed,  ///< later events cannot change it
};

/// Lets a closed page be kept for ever; by shared caches only when everyone may read it.
void allow_caching(Response& response, PageState state, const Request& request);

/// The page that `from_version`, `limit` and `direction` ask for. @error not_found  no such stream.
[[nodiscard]] Result<Response> stream_page(Topic& topic, const std::string& stream,
                                           const Request& request);

}  // namespace keelson::http
