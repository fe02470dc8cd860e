#include "http/parts.h"

#include <charconv>
#include <cstdint>
#include <set>
#include <string>

#include "engine/store/store.h"

namespace keelson::http {

namespace {

using PartitionSet = std::set<PartitionId>;

std::unexpected<Error> bad_list(std::string_view text) {
  return fail(Errc::bad_request, "'partitions' is '" + std::string(text.substr(0, 64)) +
                                     "': expected numbers of partitions, as in 0,2");
}

Result<PartitionSet> parse_list(std::string_view text, const Topic& topic) {
  PartitionSet partitions;
  std::string_view rest = text;
  while (true) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc{}) return bad_list(text);
    if (number >= topic.partition_count()) {
      return fail(Errc::bad_request,
                  "topic '" + topic.name() + "' has " + std::to_string(topic.partition_count()) +
                      " partition(s), and none called " + std::to_string(number));
    }
    partitions.insert(PartitionId(number));
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (rest.empty()) return partitions;
    if (rest.front() != ',') return bad_list(text);
    rest.remove_prefix(1);
  }
}

}  // namespace

Result<std::vector<PartitionId>> partitions_asked(const Request& request, const Topic& topic) {
  const auto given = request.query(kPartitionsParameter);
  std::vector<PartitionId> asked;
  if (given) {
    KEELSON_TRY_ASSIGN(const PartitionSet named, parse_list(*given, topic));
    asked.assign(named.begin(), named.end());
  } else {
    for (std::uint32_t p = 0; p < topic.partition_count(); ++p) asked.push_back(PartitionId(p));
  }
  return asked;
}

}  // namespace keelson::http
