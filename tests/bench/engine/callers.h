// Callers that append small events, each when its last one is durable.
#pragma once

#include <atomic>
#include <cstdlib>
#include <semaphore>
#include <string>

#include "engine/store/partition.h"
#include "tests/bench/report.h"

namespace keelson::bench {

inline constexpr std::size_t kEventBytes = 200;
inline constexpr std::uint64_t kStreams = 4500;

/// The `i`th commit: one event to each stream in turn, at the version the turn expects.
inline Commit one_event(std::uint64_t i) {
  Commit commit;
  commit.writes.push_back({"account-" + std::to_string(i % kStreams),
                           ExpectedVersion::exact(Version(i / kStreams)),
                           {{"deposited", std::string(kEventBytes, 'd'), ""}}});
  return commit;
}

inline Partition::Decide decide_one_event(std::uint64_t i) {
  return
      [commit = one_event(i)](const Staging&) mutable { return Result<Commit>(std::move(commit)); };
}

/// Callers that each send a commit of one event when their last one is durable, from its
/// completion: what is measured is the engine, not how quickly the system wakes a thread.
class Callers {
 public:
  Callers(Partition& partition, int callers) : partition_(partition), callers_(callers) {}

  /// Commits per second that all of them get done.
  double rate(std::int64_t commits) {
    left_ = commits;
    return static_cast<double>(commits) / seconds([&] {
             for (int i = 0; i < callers_; ++i) send();
             for (int i = 0; i < callers_; ++i) done_.acquire();
           });
  }

 private:
  void send() {
    if (left_-- <= 0) return done_.release();
    partition_.execute(std::nullopt, decide_one_event(next_++),
                       [this](const Result<CommitOutcome>& outcome) {
                         if (!outcome) std::abort();
                         send();
                       });
  }

  Partition& partition_;
  const int callers_;
  std::atomic<std::int64_t> left_ = 0;
  std::atomic<std::uint64_t> next_ = 0;
  std::counting_semaphore<> done_{0};
};

inline Commit thousand_events(std::uint64_t i) {
  Commit commit;
  StreamWrite write{"bulk-" + std::to_string(i % 100), ExpectedVersion::any(), {}};
  write.events.reserve(1000);
  for (int e = 0; e < 1000; ++e) {
    write.events.push_back({"deposited", std::string(kEventBytes, 'd'), ""});
  }
  commit.writes.push_back(std::move(write));
  return commit;
}

/// Events per second of one thread that makes commits of 1,000 and keeps some of them under way.
inline double bulk_rate(Partition& partition, int in_flight, std::uint64_t commits) {
  std::counting_semaphore<> room(in_flight);
  return 1000 * static_cast<double>(commits) / seconds([&] {
           for (std::uint64_t i = 0; i < commits; ++i) {
             room.acquire();
             partition.execute(
                 std::nullopt,
                 [commit = thousand_events(i)](const Staging&) mutable {
                   return Result<Commit>(std::move(commit));
                 },
                 [&room](const Result<CommitOutcome>& outcome) {
                   if (!outcome) std::abort();
                   room.release();
                 });
           }
           for (int i = 0; i < in_flight; ++i) room.acquire();
         });
}

}  // namespace keelson::bench
