// A topic in memory: what a projection needs of the engine, and the same at every run.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/scheduler.h"
#include "engine/store/store.h"

namespace keelson::test {

/// Runs its tasks when told to, on the calling thread, in the order they were given. Its time
/// passes when it is told to.
class ManualScheduler final : public Scheduler {
 public:
  [[nodiscard]] std::shared_ptr<Strand> make_strand(std::string name) override {
    return make_worker(std::move(name));
  }
  [[nodiscard]] std::shared_ptr<Strand> make_worker(std::string) override {
    return std::make_shared<ManualStrand>(tasks_);
  }

  /// Runs tasks until there are none, delayed ones too.
  void run() {
    while (!tasks_->by_time.empty()) tasks_->run_first();
  }
  /// Runs what is due now, and what that gives to do at once.
  void run_due() { tasks_->run_due(); }
  void pass(std::chrono::nanoseconds time) {
    tasks_->now += time;
    tasks_->run_due();
  }

 private:
  struct Tasks {
    std::chrono::nanoseconds now{0};
    std::multimap<std::chrono::nanoseconds, Task> by_time;  ///< those of one time as given

    void run_first() {
      auto first = by_time.extract(by_time.begin());
      now = std::max(now, first.key());
      first.mapped()();
    }
    void run_due() {
      while (!by_time.empty() && by_time.begin()->first <= now) run_first();
    }
  };
  class ManualStrand final : public Strand {
   public:
    explicit ManualStrand(std::shared_ptr<Tasks> tasks) : tasks_(std::move(tasks)) {}
    void dispatch(Task task) override { post(std::move(task)); }
    void post(Task task) override { tasks_->by_time.emplace(tasks_->now, std::move(task)); }
    void post_after(std::chrono::nanoseconds delay, Task task) override {
      tasks_->by_time.emplace(tasks_->now + delay, std::move(task));
    }

   private:
    std::shared_ptr<Tasks> tasks_;
  };
  std::shared_ptr<Tasks> tasks_ = std::make_shared<Tasks>();
};

/// A log in memory. Reading and waking as the contract says; of writing there is `append` alone.
class MemoryPartition final : public Partition {
 public:
  explicit MemoryPartition(PartitionId id) : id_(id) {}

  void append(std::string stream, std::string type, std::string data) {
    const std::lock_guard lock(mutex_);
    Event event;
    event.partition = id_;
    event.offset = Offset(events_.size());
    event.version = ++versions_[stream];
    event.stream = std::move(stream);
    event.type = std::move(type);
    event.data = std::move(data);
    event.time = TimeUs(kFirstTime + static_cast<std::int64_t>(events_.size()) * 1'000'000);
    event.command_id = "command-" + std::to_string(events_.size());
    events_.push_back(std::move(event));
    wake();
  }
  /// Forgets everything from `end` on: a log restored from an older copy.
  void cut(Offset end) {
    events_.resize(end.value);
    versions_.clear();
    for (const Event& event : events_) versions_[event.stream] = event.version;
  }
  /// Retention: what was before `start` cannot be read.
  void set_start(Offset start) { start_ = start; }
  /// Stored bytes that fail their checksum: found when the log was opened, or when it is read.
  enum class Found { at_open, when_read };
  void set_damage(const Error& error, Found found) {
    damage_ = error;
    found_ = found;
  }
  void mend() { damage_.reset(); }
  [[nodiscard]] Event at(Offset offset) const {
    const std::lock_guard lock(mutex_);
    return events_.at(offset.value);
  }

  [[nodiscard]] PartitionId id() const override { return id_; }
  [[nodiscard]] Offset start() const override { return start_; }
  [[nodiscard]] Result<void> health() const override {
    if (damage_ && found_ == Found::at_open) return std::unexpected(*damage_);
    return {};
  }
  [[nodiscard]] Offset end() const override {
    if (!health()) return Offset(0);
    const std::lock_guard lock(mutex_);
    return Offset(events_.size());
  }
  [[nodiscard]] Result<std::unique_ptr<Cursor>> read(Offset from) const override {
    if (damage_) return std::unexpected(*damage_);
    if (from > end()) return fail(Errc::beyond_end, "read");
    if (from < start_) return fail(Errc::below_start, "read");
    return std::make_unique<MemoryCursor>(*this, from);
  }
  [[nodiscard]] std::unique_ptr<Registration> when_past(Offset offset, Task task) const override {
    auto waiter = std::make_shared<Waiter>(offset, std::move(task));
    const std::lock_guard lock(mutex_);
    waiters_.push_back(waiter);
    wake();
    return std::make_unique<MemoryRegistration>(std::move(waiter));
  }

  void execute(std::optional<CommandStamp>, Decide, Completion) override {}
  [[nodiscard]] Result<std::optional<CommitOutcome>> find_outcome(
      const CommandStamp&) const override {
    return std::nullopt;
  }
  void set_discard_listener(std::function<void()>) override {}
  [[nodiscard]] Result<void> read_stream(std::string_view, const StreamRange&,
                                         const EventVisitor&) const override {
    return {};
  }
  [[nodiscard]] Result<Version> stream_version(std::string_view, Offset) const override {
    return Version(0);
  }
  [[nodiscard]] Result<Offset> end_at(TimeUs) const override { return end(); }
  void commit_group_offset(std::string, Offset, Completion) override {}
  [[nodiscard]] Result<std::optional<Offset>> group_offset(std::string_view) const override {
    return std::nullopt;
  }
  void keep_for(const std::string& reader, Offset next) override {
    const std::lock_guard lock(kept_mutex_);
    kept_[reader] = next;
  }
  /// What some reader has yet to read; the largest number when there is none.
  [[nodiscard]] Offset kept_from() const {
    const std::lock_guard lock(kept_mutex_);
    Offset from{UINT64_MAX};
    for (const auto& [reader, next] : kept_) from = std::min(from, next);
    return from;
  }

 private:
  static constexpr std::int64_t kFirstTime = 1'700'000'000'000'000;  // 2023-11-14T22:13:20Z

  struct Waiter {
    Waiter(Offset o, Task t) : offset(o), task(std::move(t)) {}
    Offset offset;
    Task task;
    bool cancelled = false;
  };
  class MemoryRegistration final : public Registration {
   public:
    explicit MemoryRegistration(std::shared_ptr<Waiter> waiter) : waiter_(std::move(waiter)) {}
    ~MemoryRegistration() override { waiter_->cancelled = true; }

   private:
    std::shared_ptr<Waiter> waiter_;
  };
  class MemoryCursor final : public Cursor {
   public:
    MemoryCursor(const MemoryPartition& partition, Offset from)
        : partition_(partition), offset_(from) {}
    [[nodiscard]] Result<std::optional<EventView>> next() override {
      if (offset_ >= partition_.end()) return std::nullopt;
      event_ = partition_.at(offset_);
      ++offset_;
      return event_.view();
    }
    [[nodiscard]] Offset offset() const override { return offset_; }

   private:
    const MemoryPartition& partition_;
    Offset offset_;
    Event event_;
  };

  void wake() const {
    std::erase_if(waiters_, [this](const std::shared_ptr<Waiter>& waiter) {
      if (waiter->cancelled) return true;
      if (Offset(events_.size()) <= waiter->offset) return false;
      waiter->task();
      return true;
    });
  }

  PartitionId id_;
  mutable std::mutex kept_mutex_;
  std::map<std::string, Offset> kept_;  ///< by reader
  Offset start_{0};
  std::optional<Error> damage_;
  Found found_ = Found::at_open;
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::map<std::string, Version> versions_;
  mutable std::vector<std::shared_ptr<Waiter>> waiters_;
};

class MemoryTopic final : public Topic {
 public:
  explicit MemoryTopic(std::uint32_t partitions = 1, std::uint8_t identity = 1) {
    options_.partitions = partitions;
    id_.bytes.fill(std::byte{identity});
    for (std::uint32_t p = 0; p < partitions; ++p) {
      partitions_.push_back(std::make_unique<MemoryPartition>(PartitionId(p)));
    }
  }

  void append(std::string stream, std::string type, std::string data = "{}") {
    const PartitionId home = partition_of(stream);
    memory(home.value).append(std::move(stream), std::move(type), std::move(data));
  }
  [[nodiscard]] MemoryPartition& memory(std::size_t p = 0) { return *partitions_.at(p); }

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] TopicOptions options() const override { return options_; }
  [[nodiscard]] const Uuid& id() const override { return id_; }
  [[nodiscard]] std::size_t partition_count() const override { return partitions_.size(); }
  [[nodiscard]] Partition& partition(PartitionId id) override { return memory(id.value); }

 private:
  std::string name_ = "test";
  TopicOptions options_;
  Uuid id_;
  std::vector<std::unique_ptr<MemoryPartition>> partitions_;
};

}  // namespace keelson::test
