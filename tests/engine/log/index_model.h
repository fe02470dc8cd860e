// A segment made up at random, with what an index of it must answer, kept in plain containers.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/sealed_index.h"
#include "engine/log/sealed_index_writer.h"
#include "engine/log/tail_index.h"

namespace keelson::test {

/// The value of a result that must have one.
template <class T>
T value(Result<T> result) {
  REQUIRE(result.has_value());
  return *std::move(result);
}

struct IndexModelOptions {
  std::uint64_t seed = 1;
  std::uint32_t batches = 50;
  std::uint32_t streams = 40;
  std::uint32_t commands = 100;  ///< distinct keys; commits repeat them
  std::uint64_t hashes = 0;      ///< distinct hash values of names; 0: all different
};

/// Fills `tail` and remembers everything. Nothing is published by itself.
struct IndexModel {
  struct Stream {
    std::uint64_t hash = 0;
    Version first_version;
    std::vector<log::Posting> postings;
  };
  struct Command {
    std::uint64_t hash = 0;
    std::vector<log::CommitPlace> places;  ///< oldest first
  };

  explicit IndexModel(const IndexModelOptions& options);

  [[nodiscard]] std::uint64_t hash_of(const std::string& name) const {
    const std::uint64_t hash = hasher.stream(name).hash;
    if (options.hashes == 0) return hash;
    return hash % options.hashes * 0x8000000000000003;
  }
  [[nodiscard]] log::StreamKey stream_key(const std::string& name) const {
    return {name, hash_of(name)};
  }
  /// The names of the commit at `place`, as a caller would read it in the log.
  [[nodiscard]] const std::string& command_at(const log::CommitPlace& place) const {
    return command_names.at({place.batch, place.body_position});
  }
  /// Events in the first `batches` batches.
  [[nodiscard]] std::uint32_t events_in(std::uint32_t batches_published) const {
    return batches_published == 0 ? 0 : events_end[batches_published - 1];
  }

  IndexModelOptions options;
  log::SegmentId segment;
  log::KeyHasher hasher;
  std::vector<log::BatchEntry> batches;
  std::vector<std::uint32_t> events_end;
  std::vector<std::uint32_t> batch_of;  ///< of each event
  std::map<std::string, Stream> streams;
  std::map<std::string, Command> commands;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> command_names;
  log::TailIndex tail;
};

inline log::SegmentId model_segment() {
  log::SegmentId id;
  for (std::size_t i = 0; i < id.partition.bytes.size(); ++i) id.partition.bytes[i] = std::byte(i);
  id.first_batch = BatchNo(17);
  id.base_offset = Offset(1000);
  id.used_end = 65536;
  return id;
}

inline IndexModel::IndexModel(const IndexModelOptions& chosen)
    : options(chosen), segment(model_segment()), hasher(segment.partition), tail(1 << 16) {
  std::mt19937_64 random(options.seed);
  std::uint32_t events = 0;
  TimeUs time(1'000'000);
  for (std::uint32_t b = 0; b < options.batches; ++b) {
    // A third of the batches have no events; some share their time with the one before.
    const auto count = static_cast<std::uint32_t>(random() % 3 == 0 ? 0 : random() % 12);
    time += static_cast<std::int64_t>(random() % 3) * 5;
    batches.push_back({4096 + b * 100, events, time});
    tail.add_batch(batches.back(), count);
    std::uint32_t position = 0;
    for (std::uint32_t e = 0; e < count; ++e) {
      // Some streams are far hotter than others.
      const std::uint64_t wide = random() % options.streams;
      const std::string name = "account-" + std::to_string(random() % (wide + 1));
      Stream& stream = streams[name];
      if (stream.postings.empty()) {
        stream.hash = hash_of(name);
        stream.first_version = Version(random() % 3 == 0 ? random() % 1000 + 1 : 1);
      }
      const Version version = stream.first_version + stream.postings.size();
      position += 8 + static_cast<std::uint32_t>(random() % 90);
      stream.postings.push_back({events, b, position});
      batch_of.push_back(b);
      REQUIRE(tail.add_event(stream_key(name), version, position).has_value());
      ++events;
    }
    for (std::uint64_t c = random() % 4; c > 0; --c) {
      const std::string name = "command-" + std::to_string(random() % options.commands);
      position += 44;
      Command& command = commands[name];
      command.hash = hash_of(name);
      command.places.push_back({b, position});
      command_names[{b, position}] = name;
      tail.add_commit(command.hash, position);
    }
    events_end.push_back(events);
  }
}

}  // namespace keelson::test
