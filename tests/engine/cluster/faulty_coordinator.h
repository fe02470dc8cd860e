// A coordinator whose answers get lost or come late, and whose watches say what they like.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/replication/local_coordinator.h"

namespace keelson::test {

class FaultyCoordinator final : public replication::Coordinator {
 public:
  enum class Fate {
    good,
    away,           ///< nobody is there: nothing is done, and that is known
    answer_lost,    ///< done, with an unknown outcome
    request_lost,   ///< not done, with an unknown outcome
    request_late,   ///< an unknown outcome, and it arrives with `deliver`
    answer_late,    ///< of a read: as things were, and it arrives with `deliver`
    never_answers,  ///< done, and no word of it
  };
  /// Asked for each call, with its key.
  std::function<Fate(const std::string& key)> fate = [](const std::string&) { return Fate::good; };
  std::vector<std::string> swaps;  ///< keys of all compare-and-sets that arrived

  void get(std::string key, Read done) override {
    switch (fate(key)) {
      case Fate::good: return records_.get(std::move(key), std::move(done));
      case Fate::never_answers: return;
      case Fate::answer_late:
        return records_.get(std::move(key), [this, done = std::move(done)](auto record) mutable {
          late_.push_back([record, done = std::move(done)]() mutable { done(record); });
        });
      default: return done(fail(Errc::io_error, "nobody answers"));
    }
  }

  void compare_and_set(std::string key, std::optional<replication::Record> expected,
                       std::string value, Swap done) override {
    const Fate now = fate(key);
    const auto arrive = [this, key, expected, value = std::move(value)](Swap then) {
      swaps.push_back(key);
      records_.compare_and_set(key, expected, value, std::move(then));
    };
    if (now == Fate::good) return arrive(std::move(done));
    if (now == Fate::away) return done(fail(Errc::io_error, "nobody answers"));
    if (now == Fate::answer_lost || now == Fate::never_answers) arrive([](const auto&) {});
    if (now == Fate::request_late) late_.push_back([arrive] { arrive([](const auto&) {}); });
    if (now != Fate::never_answers) done(fail(Errc::outcome_unknown, "the answer was lost"));
  }

  void deliver() {
    for (auto& arrive : std::exchange(late_, {})) arrive();
  }

  [[nodiscard]] std::unique_ptr<Watch> watch(std::string prefix,
                                             std::function<void(const Change&)> changed) override {
    tell = changed;
    return records_.watch(std::move(prefix), std::move(changed));
  }
  /// To the last one that watches.
  std::function<void(const Change&)> tell;

  [[nodiscard]] std::unique_ptr<Presence> appear(
      std::string key, std::string value, std::chrono::seconds time_to_live,
      std::optional<replication::Record> replaces = std::nullopt) override {
    return records_.appear(std::move(key), std::move(value), time_to_live, std::move(replaces));
  }

 private:
  replication::LocalCoordinator records_;
  std::vector<std::move_only_function<void()>> late_;
};

}  // namespace keelson::test
