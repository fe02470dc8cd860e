// A real store in a temporary folder, with calls that wait.
#pragma once

#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/environment.h"
#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/io/posix_file_system.h"
#include "engine/store/store.h"
#include "tests/support/temporary_folder.h"

namespace keelson::test {

/// The real ports: POSIX files, the system's clock and randomness, two threads.
class RealEnvironment {
 public:
  explicit RealEnvironment(io::FileSystem* files = nullptr)
      : files_(files != nullptr ? *files : posix_files_) {}

  [[nodiscard]] Environment get() { return {files_, clock_, random_, scheduler_}; }

 private:
  io::PosixFileSystem posix_files_;
  io::FileSystem& files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadScheduler scheduler_{2};
};

/// Opens, closes and reopens one store in its own folder.
class TestStore {
 public:
  explicit TestStore(io::FileSystem* files = nullptr) : environment_(files) { open(); }

  void open() {
    StoreOptions options;
    options.folder = folder_.path() + "/data";
    options.retention_waits = retention_waits;
    auto opened = Store::open(environment_.get(), options);
    if (!opened) FAIL(opened.error().message());
    store_ = *std::move(opened);
  }
  bool retention_waits = false;  ///< of the next `open`
  void close() { store_.reset(); }
  void reopen() {
    close();
    open();
  }

  [[nodiscard]] Store& operator*() { return *store_; }
  [[nodiscard]] Store* operator->() { return store_.get(); }
  [[nodiscard]] Environment environment() { return environment_.get(); }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }

  /// The topic, made if there is none. Segments are small, so that tests cross them.
  [[nodiscard]] Topic& topic(const std::string& name = "test", std::uint32_t partitions = 1) {
    if (Topic* found = store_->find_topic(name)) return *found;
    TopicOptions options;
    options.partitions = partitions;
    options.segment_bytes = 1u << 20;
    auto made = store_->create_topic(name, options);
    if (!made) FAIL(made.error().message());
    return **made;
  }

 private:
  TemporaryFolder folder_;
  RealEnvironment environment_;
  std::unique_ptr<Store> store_;
};

/// Runs `decide` under `stamp` and waits for the outcome.
inline Result<CommitOutcome> execute(Partition& partition, std::optional<CommandStamp> stamp,
                                     Partition::Decide decide) {
  std::promise<Result<CommitOutcome>> promise;
  partition.execute(std::move(stamp), std::move(decide), [&promise](Result<CommitOutcome> outcome) {
    promise.set_value(std::move(outcome));
  });
  return promise.get_future().get();
}

inline Result<CommitOutcome> commit(Partition& partition, Commit commit,
                                    std::optional<CommandStamp> stamp = std::nullopt) {
  return execute(partition, std::move(stamp), [commit = std::move(commit)](const Staging&) mutable {
    return Result<Commit>(std::move(commit));
  });
}

/// A commit of events of type "t" with the given data to one stream.
inline Commit write_to(std::string stream, std::vector<std::string> data,
                       ExpectedVersion expected = ExpectedVersion::any()) {
  StreamWrite write{std::move(stream), expected, {}};
  for (auto& one : data) write.events.push_back({"t", std::move(one), ""});
  Commit commit;
  commit.writes.push_back(std::move(write));
  return commit;
}

inline CommandStamp stamp(std::string target, std::string id, unsigned char fingerprint = 1) {
  CommandStamp made{"tester", std::move(target), std::move(id), {}};
  made.fingerprint.fill(std::byte{fingerprint});
  return made;
}

inline std::vector<Event> read_all(Partition& partition, Offset from = Offset(0)) {
  std::vector<Event> events;
  auto cursor = partition.read(from);
  if (!cursor) FAIL(cursor.error().message());
  while (true) {
    auto event = (*cursor)->next();
    if (!event) FAIL(event.error().message());
    if (!*event) return events;
    events.push_back(Event::from(**event));
  }
}

inline std::vector<Event> read_stream(Partition& partition, std::string_view stream,
                                      const StreamRange& range = {}) {
  std::vector<Event> events;
  auto read = partition.read_stream(stream, range, [&](const EventView& event) {
    events.push_back(Event::from(event));
    return true;
  });
  if (!read) FAIL(read.error().message());
  return events;
}

}  // namespace keelson::test
