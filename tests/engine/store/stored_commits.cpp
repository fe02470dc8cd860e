#include "tests/engine/store/stored_commits.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "engine/store/store.h"

namespace keelson::test {

namespace {

/// Versions of a stream that are read backward.
constexpr std::uint64_t kBackward = 3;
/// Times that are asked for.
constexpr std::size_t kTimes = 12;

bool same(const EventView& found, const Event& expected) {
  return found.offset == expected.offset && found.stream == expected.stream &&
         found.version == expected.version && found.type == expected.type &&
         found.time == expected.time && found.data == expected.data &&
         found.metadata == expected.metadata && found.command_id == expected.command_id;
}

void require_same(const EventView& found, const Event& expected) {
  if (same(found, expected)) return;
  FAIL("found ", std::string(found.stream), " version ", found.version.value, " at offset ",
       found.offset.value, " of command '", std::string(found.command_id), "' instead of ",
       expected.stream, " version ", expected.version.value, " at offset ", expected.offset.value,
       " of command '", expected.command_id, "'");
}

/// Asks one partition.
class Asking {
 public:
  Asking(Partition& partition, const StoredCommits& expected, const Tolerance& tolerance)
      : partition_(partition),
        expected_(expected),
        events_(expected.events()),
        tolerance_(tolerance) {}

  std::size_t run() {
    in_order();
    from_each_commit();
    by_stream();
    by_command();
    by_group();
    by_time();
    for_what_is_absent();
    return errors_;
  }

 private:
  /// Takes an error that is tolerated; FAILs on any other.
  void take(const Error& error, const std::string& what, bool with_place = false) {
    ++errors_;
    const bool good = is_damage(error.code) && !tolerance_.damaged_file.empty() &&
                      error.context.find(tolerance_.damaged_file) != std::string::npos &&
                      (!with_place || error.context.find(tolerance_.place) != std::string::npos);
    if (!good) FAIL(what, ": ", error.message());
  }

  void in_order() {
    if (partition_.end() != Offset(events_.size())) {
      FAIL("the end is ", partition_.end().value, " instead of ", events_.size());
    }
    auto cursor = partition_.read(Offset(0));
    if (!cursor) return take(cursor.error(), "read from the start");
    for (const Event& event : events_) {
      const auto found = (*cursor)->next();
      if (!found) return take(found.error(), "reading in order", true);
      if (!*found) FAIL("offset ", event.offset.value, " is missing");
      require_same(**found, event);
    }
    const auto past = (*cursor)->next();
    if (!past) return take(past.error(), "reading past the end");
    if (*past) FAIL("there is an event after the last");
  }

  void from_each_commit() {
    for (const StoredCommit& stored : expected_.commits) {
      if (stored.outcome.first == stored.outcome.end) continue;
      const auto cursor = partition_.read(stored.outcome.first);
      const auto found = cursor ? (*cursor)->next() : std::unexpected(cursor.error());
      if (!found) {
        take(found.error(), "reading from a commit");
        continue;
      }
      if (!*found) FAIL("offset ", stored.outcome.first.value, " is missing");
      require_same(**found, events_[stored.outcome.first.value]);
    }
  }

  void by_stream() {
    std::map<std::string_view, std::vector<const Event*>> streams;
    for (const Event& event : events_) streams[event.stream].push_back(&event);
    for (auto& [stream, events] : streams) {
      const auto version = partition_.stream_version(stream);
      if (!version) {
        take(version.error(), "version");
      } else if (*version != events.back()->version) {
        FAIL(std::string(stream), " is at version ", version->value, " instead of ",
             events.back()->version.value);
      }
      const Event& middle = *events[events.size() / 2];
      const auto before = partition_.stream_version(stream, middle.offset);
      if (!before) {
        take(before.error(), "version as of an offset");
      } else if (*before + 1 != middle.version) {
        FAIL(std::string(stream), " was at version ", before->value);
      }
      read_stream(stream, {}, events);
      std::ranges::reverse(events);
      if (events.size() > kBackward) events.resize(kBackward);
      StreamRange backward;
      backward.from = Version(UINT64_MAX);
      backward.limit = kBackward;
      backward.direction = StreamRange::Direction::backward;
      read_stream(stream, backward, events);
    }
  }

  void read_stream(std::string_view stream, const StreamRange& range,
                   const std::vector<const Event*>& events) {
    std::size_t seen = 0;
    const auto read = partition_.read_stream(stream, range, [&](const EventView& found) {
      if (seen == events.size()) FAIL(std::string(stream), " has more events than it should");
      require_same(found, *events[seen++]);
      return true;
    });
    if (!read) return take(read.error(), "reading a stream");
    if (seen != events.size()) {
      FAIL(std::string(stream), " has ", seen, " events instead of ", events.size());
    }
  }

  void by_command() {
    for (const StoredCommit& stored : expected_.commits) {
      if (!stored.stamp) continue;
      const auto found = partition_.find_outcome(*stored.stamp);
      if (!found) {
        take(found.error(), "outcome of a command");
        continue;
      }
      if (!*found) FAIL("command '", stored.stamp->id, "' is unknown");
      const std::string differs = difference(**found, stored.outcome);
      if (!differs.empty()) FAIL("command '", stored.stamp->id, "': ", differs);
    }
  }

  void by_group() {
    for (const auto& [group, next] : expected_.groups) {
      const auto found = partition_.group_offset(group);
      if (!found) {
        take(found.error(), "offset of a group");
      } else if (*found != next) {
        FAIL("group '", group, "' is at ", *found ? (*found)->value : 0, " instead of ",
             next.value);
      }
    }
  }

  void by_time() {
    const std::size_t step = events_.size() / kTimes + 1;
    for (std::size_t i = 0; i < events_.size(); i += step) {
      const TimeUs time = events_[i].time;
      const auto after = std::ranges::upper_bound(events_, time, {}, &Event::time);
      const auto found = partition_.end_at(time);
      if (!found) {
        take(found.error(), "end at a time");
      } else if (*found != Offset(static_cast<std::uint64_t>(after - events_.begin()))) {
        FAIL("at time ", time.value, " the end was ", found->value);
      }
    }
  }

  void for_what_is_absent() {
    const auto version = partition_.stream_version("absent-1");
    if (!version) {
      take(version.error(), "version of what is not there");
    } else if (*version != Version(0)) {
      FAIL("a stream that is not there has a version");
    }
    const auto outcome = partition_.find_outcome({"nobody", "absent-1", "absent", {}});
    if (!outcome) {
      take(outcome.error(), "outcome of what is not there");
    } else if (*outcome) {
      FAIL("a command that is not there has an outcome");
    }
  }

  Partition& partition_;
  const StoredCommits& expected_;
  const std::vector<Event> events_;
  const Tolerance& tolerance_;
  std::size_t errors_ = 0;
};

}  // namespace

std::vector<Event> StoredCommits::events() const {
  std::vector<Event> events;
  for (const StoredCommit& stored : commits) {
    for (std::size_t w = 0; w < stored.outcome.written.size(); ++w) {
      const CommitOutcome::Written& written = stored.outcome.written[w];
      const auto& made = stored.commit.writes[w].events;
      for (std::size_t i = 0; i < made.size(); ++i) {
        events.push_back({stored.outcome.partition, written.first_offset + i, written.stream,
                          written.first + i, made[i].type, stored.outcome.time, made[i].data,
                          made[i].metadata, stored.stamp ? stored.stamp->id : ""});
      }
    }
  }
  return events;
}

std::size_t check_answers(Partition& partition, const StoredCommits& expected,
                          const Tolerance& tolerance) {
  return Asking(partition, expected, tolerance).run();
}

std::string difference(const CommitOutcome& found, const CommitOutcome& expected) {
  const auto same_write = [](const CommitOutcome::Written& a, const CommitOutcome::Written& b) {
    return a.stream == b.stream && a.first == b.first && a.end == b.end &&
           a.first_offset == b.first_offset;
  };
  const bool same =
      found.partition == expected.partition && found.rejected == expected.rejected &&
      found.time == expected.time && found.detail == expected.detail &&
      std::ranges::equal(found.written, expected.written, same_write) &&
      (expected.rejected || (found.first == expected.first && found.end == expected.end));
  if (same) return {};
  const auto text = [](const CommitOutcome& outcome) {
    return "[" + std::to_string(outcome.first.value) + ", " + std::to_string(outcome.end.value) +
           ") '" + outcome.detail + "' at " + std::to_string(outcome.time.value);
  };
  return "the outcome was " + text(expected) + " and is " + text(found);
}

}  // namespace keelson::test
