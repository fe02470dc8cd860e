#include "http/lookup.h"

#include <charconv>

namespace keelson::http {

Result<Topic*> find_topic(Store& store, const Request& request) {
  const std::string& name = request.path_parameter("topic");
  auto topic = store.topic(name);
  if (!topic && topic.error().code == Errc::not_found) {
    topic.error().context += "; PUT /v1/topics/{topic} makes one";
  }
  return topic;
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
