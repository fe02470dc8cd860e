// A request as a handler sees it: parsed, authorised, decoded, and free of any network library.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "http/principal.h"

namespace keelson::http {

enum class Method : std::uint8_t { get, head, post, put, delete_, patch, options };

/// `GET`, … A static string.
[[nodiscard]] std::string_view to_string(Method method);
/// Nothing for a method this server does not know.
[[nodiscard]] std::optional<Method> parse_method(std::string_view text);

/// Header fields in the order they came, kept in one buffer. Names are compared without case.
class Headers {
 public:
  /// Takes memory for a request of the usual sort.
  void reserve() {
    text_.reserve(256);
    fields_.reserve(8);
  }
  void add(std::string_view name, std::string_view value);
  /// The first field of this name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  /// Every field of this name, joined by `, ` (RFC 9110, 5.3). Nothing when there is none.
  [[nodiscard]] std::optional<std::string> joined(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;

 private:
  struct Field {
    std::uint32_t name_start, name_size, value_start, value_size;
  };
  [[nodiscard]] std::string_view text(std::uint32_t start, std::uint32_t size) const {
    return std::string_view(text_).substr(start, size);
  }
  std::string text_;
  std::vector<Field> fields_;
};

/// Names and decoded values, in the order they came.
using Parameters = std::vector<std::pair<std::string, std::string>>;

struct Request {
  Method method = Method::get;
  std::string target;      ///< as it stood in the request line
  std::string path;        ///< the raw path of `target`
  std::string_view route;  ///< the pattern that matched; lives as long as the router
  Parameters path_parameters;
  Parameters query_parameters;
  Headers headers;
  std::string body;
  Principal principal;
  /// Of this request alone, for logs and problems: the caller's `X-Request-Id` when it is plain
  /// ASCII of at most 64 bytes, else made here.
  std::string id;
  /// Stop is requested when the client has gone or the server is stopping: whoever only waits (a
  /// long poll, `min=`) answers at once with what there is. Commands go on to their end.
  std::stop_token interrupted;

  /// A path parameter of the matched pattern, decoded. The name must be in the pattern.
  [[nodiscard]] const std::string& path_parameter(std::string_view name) const;
  /// The first query parameter of this name.
  [[nodiscard]] std::optional<std::string_view> query(std::string_view name) const;
  /// A query parameter as an unsigned decimal number.
  /// @error bad_request  not digits only, or outside [min, max]; the context names the parameter.
  [[nodiscard]] Result<std::optional<std::uint64_t>> query_number(
      std::string_view name, std::uint64_t min = 0, std::uint64_t max = UINT64_MAX) const;
  /// @error bad_request  a query parameter that is not among `known`, or one given twice.
  [[nodiscard]] Result<void> check_query(std::initializer_list<std::string_view> known) const;
};

}  // namespace keelson::http
