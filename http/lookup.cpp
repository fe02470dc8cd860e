#include "http/lookup.h"

#include <charconv>

namespace keelson::http {

Result<Topic*> find_topic(Store& store, const Request& request) {
  const std::string& name = request.path_parameter("topic");
  if (Topic* const topic = store.find_topic(name)) return topic;
  return fail(Errc::not_found,
              "there is no topic '" + name + "'; PUT /v1/topics/{topic} makes one");
}

Result<Partition*> find_partition(Topic& topic, const Request& request) {
  const std::string& text = request.path_parameter("partition");
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Errc::bad_request, "'" + text + "' is not the number of a partition");
  }
  if (number >= topic.partition_count()) {
    return fail(Errc::not_found, "the topic '" + topic.name() + "' has partitions 0 to " +
                                     std::to_string(topic.partition_count() - 1) + ", not " + text);
  }
  return &topic.partition(PartitionId(number));
}

}  // namespace keelson::http
