#include "engine/store/subscription.h"

#include <algorithm>
#include <atomic>

#include "engine/store/store.h"

namespace keelson {

bool EventFilter::matches(const EventView& event) const {
  if (!types.empty() && std::ranges::find(types, event.type) == types.end()) return false;
  if (stream && event.stream != *stream) return false;
  if (stream_prefix && !event.stream.starts_with(*stream_prefix)) return false;
  return true;
}

namespace {

/// Events taken from one partition before the next has its turn.
constexpr std::size_t kEventsPerTurn = 256;

class LogSubscription final : public Subscription {
 public:
  LogSubscription(Topic& topic, Position from, EventFilter filter)
      : topic_(topic), position_(std::move(from)), filter_(std::move(filter)) {}

  Result<void> add(PartitionId id) {
    sources_.push_back({&topic_.partition(id), nullptr});
    return open(sources_.back());
  }

  Result<Polled> poll(std::size_t events_max, std::size_t scan_max,
                      const EventVisitor& visit) override {
    auto polled = take(events_max, scan_max, visit);
    // Who waits for credit holds no segment open, in memory or on a disk that wants its room back.
    const bool waits = polled && !polled->caught_up;
    for (Source& source : sources_) {
      if (waits && source.cursor->offset() < source.partition->end()) source.cursor = nullptr;
    }
    return polled;
  }

  const Position& position() const override { return position_; }

  std::unique_ptr<Registration> when_more(Task task) const override {
    auto waits = std::make_unique<AnyOf>(std::move(task));
    for (const Source& source : sources_) {
      waits->add(*source.partition, position_.next(source.partition->id()));
    }
    if (!check_here(partitions())) waits->wake();  // before it could be missed
    return waits;
  }

 private:
  [[nodiscard]] std::vector<const Partition*> partitions() const {
    std::vector<const Partition*> all;
    for (const Source& source : sources_) all.push_back(source.partition);
    return all;
  }

  struct Source {
    Partition* partition;
    std::unique_ptr<Cursor> cursor;  ///< none while the reader waits
  };

  [[nodiscard]] Result<void> open(Source& source) const {
    KEELSON_TRY_ASSIGN(source.cursor,
                       source.partition->read(position_.next(source.partition->id())));
    return {};
  }

  [[nodiscard]] Result<Polled> take(std::size_t events_max, std::size_t scan_max,
                                    const EventVisitor& visit) {
    for (Source& source : sources_) {
      if (source.cursor == nullptr) KEELSON_TRY(open(source));
    }
    Polled polled;
    std::size_t scanned = 0;
    std::size_t at_end = 0;  // partitions in a row found at their end
    while (polled.delivered < events_max && scanned < scan_max && at_end < sources_.size()) {
      Source& source = sources_[turn_];
      bool ended = false;
      for (std::size_t i = 0; i < kEventsPerTurn; ++i) {
        if (polled.delivered == events_max || scanned == scan_max) return polled;
        KEELSON_TRY_ASSIGN(const auto event, source.cursor->next());
        if (!event) {
          ended = true;
          break;
        }
        ++scanned;
        at_end = 0;
        position_.set_next(event->partition, event->offset + 1);
        if (!filter_.matches(*event)) continue;
        ++polled.delivered;
        if (!visit(*event)) return polled;
      }
      if (ended) ++at_end;
      turn_ = (turn_ + 1) % sources_.size();
    }
    polled.caught_up = at_end == sources_.size();
    // What has left this node has no more to come.
    if (polled.caught_up) KEELSON_TRY(check_here(partitions()));
    return polled;
  }

  /// Registered with every partition; the first to move runs the task.
  class AnyOf final : public Registration {
   public:
    explicit AnyOf(Task task) : shared_(std::make_shared<Shared>(std::move(task))) {}

    void add(const Partition& partition, Offset next) {
      registrations_.push_back(partition.when_past(next, [shared = shared_] { shared->run(); }));
    }
    void wake() { shared_->run(); }

   private:
    struct Shared {
      explicit Shared(Task t) : task(std::move(t)) {}
      void run() {
        if (!ran.exchange(true)) task();
      }
      std::atomic<bool> ran{false};
      Task task;
    };
    std::shared_ptr<Shared> shared_;
    std::vector<std::unique_ptr<Registration>> registrations_;
  };

  Topic& topic_;
  Position position_;
  EventFilter filter_;
  std::vector<Source> sources_;
  std::size_t turn_ = 0;
};

}  // namespace

Result<std::unique_ptr<Subscription>> Subscription::open(Topic& topic, const Position& from,
                                                         EventFilter filter,
                                                         const std::vector<PartitionId>& only) {
  std::vector<const Partition*> wanted;
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    const bool named = std::ranges::find(only, PartitionId(p)) != only.end();
    if (named || only.empty()) wanted.push_back(&topic.partition(PartitionId(p)));
  }
  KEELSON_TRY(check_here(wanted));
  auto subscription = std::make_unique<LogSubscription>(topic, from, std::move(filter));
  for (const Partition* const partition : wanted) KEELSON_TRY(subscription->add(partition->id()));
  return subscription;
}

}  // namespace keelson
