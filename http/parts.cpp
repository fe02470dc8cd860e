#include "http/parts.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "engine/store/store.h"
#include "http/json_text.h"
#include "http/services.h"

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

std::string to_text(const PartitionSet& partitions) {
  std::string text;
  for (const PartitionId id : partitions) {
    text += (text.empty() ? "" : ",") + std::to_string(id.value);
  }
  return text;
}

/// By address, what of the partitions asked for can be asked there.
using Places = std::map<std::string, PartitionSet>;
using Part = std::pair<std::string, PartitionSet>;

/// Takes from `missing` what the place has that has most of it. Nothing: nobody has any.
std::optional<Part> next_part(const Places& places, PartitionSet& missing) {
  Part best;
  for (const auto& [address, partitions] : places) {
    Part part{address, {}};
    std::ranges::set_intersection(partitions, missing,
                                  std::inserter(part.second, part.second.end()));
    if (part.second.size() > best.second.size()) best = std::move(part);
  }
  if (best.second.empty()) return std::nullopt;
  for (const PartitionId id : best.second) missing.erase(id);
  return best;
}

Problem not_on_one_node(const std::vector<Part>& parts) {
  Problem problem;
  problem.status = 400;
  problem.code = "not-on-one-node";
  problem.title = "No node has all of it";
  problem.detail = "No node has all partitions that were asked for. Ask for parts:";
  std::string list = "[";
  for (const auto& [address, partitions] : parts) {
    const bool first = &address == &parts.front().first;
    const std::string text = to_text(partitions);
    problem.detail += (first ? " partitions=" : "; partitions=") + text + " at " + address;
    list += first ? R"({"partitions":)" : R"(,{"partitions":)";
    append_json_string(list, text);
    list += R"(,"node":)";
    append_json_string(list, address);
    list += '}';
  }
  problem.detail += '.';
  problem.extensions.emplace_back("parts", list + ']');
  return problem;
}

}  // namespace

std::optional<Problem> not_here(const Services& services,
                                const std::vector<const Partition*>& partitions) {
  const auto good = check_here(partitions);
  if (good) return std::nullopt;
  if (good.error().code != Errc::bad_request) return answered_problem(good.error());
  Places places;
  PartitionSet missing;
  for (const Partition* const partition : partitions) {
    const Whereabouts is = partition->whereabouts();
    missing.insert(partition->id());
    if (is.here) places[services.http_address].insert(partition->id());
    for (const std::string& other : is.others) places[other].insert(partition->id());
  }
  std::vector<Part> parts;
  while (auto part = next_part(places, missing)) parts.push_back(*std::move(part));
  if (missing.empty()) return not_on_one_node(parts);
  return answered_problem(Error{
      Errc::not_enough_replicas, "no node that is known has partition " + to_text(missing), {}});
}

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
