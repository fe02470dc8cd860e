// Which of several media types a client wants (RFC 9110, 12.5.1).
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "http/problem.h"
#include "http/request.h"

namespace keelson::http {

/// Index of the offer that `accept` likes best; of equals the first. Without `accept`: the first.
/// Nothing when none is acceptable. Offers are `type/subtype`, in lower case.
[[nodiscard]] std::optional<std::size_t> negotiate(std::optional<std::string_view> accept,
                                                   std::initializer_list<std::string_view> offers);

/// 406 `not-acceptable`, naming what there is.
[[nodiscard]] Problem not_acceptable(std::initializer_list<std::string_view> offers);

}  // namespace keelson::http
