#include "http/conditional.h"

#include <charconv>

namespace keelson::http {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::optional<Version>> parse_if_match(const Headers& headers) {
  const auto field = headers.joined("If-Match");
  if (!field) return std::nullopt;
  const std::string_view tag = trim(*field);
  std::uint64_t version = 0;
  bool good = tag.size() >= 3 && tag.front() == '"' && tag.back() == '"';
  if (good) {
    const auto [end, error] = std::from_chars(tag.data() + 1, tag.data() + tag.size() - 1, version);
    good = error == std::errc{} && end == tag.data() + tag.size() - 1;
  }
  if (!good) {
    return fail(Errc::bad_request,
                "If-Match must be one version in quotes, such as If-Match: \"7\"");
  }
  return Version(version);
}

bool if_none_match_has(const Headers& headers, std::string_view etag) {
  const auto field = headers.joined("If-None-Match");
  if (!field) return false;
  // Our tags hold no comma, so a list can be split at every one.
  std::string_view rest = *field;
  while (true) {
    const auto comma = rest.find(',');
    std::string_view tag = trim(rest.substr(0, comma));
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
    if (comma == std::string_view::npos) return false;
    rest.remove_prefix(comma + 1);
  }
}

std::string version_etag(Version version) { return '"' + std::to_string(version.value) + '"'; }

Response not_modified(std::string etag) {
  return Response(304).header("ETag", std::move(etag)).header("Cache-Control", "no-cache");
}

}  // namespace keelson::http
