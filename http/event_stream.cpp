#include "http/event_stream.h"

#include <atomic>
#include <utility>

#include "http/event_json.h"
#include "http/json_text.h"

namespace keelson::http {

namespace {

constexpr std::size_t kPieceBytes = 64u << 10;
constexpr std::chrono::milliseconds kHeartbeat{10'000};
constexpr std::chrono::milliseconds kPoolFullPause{20};

/// What outlives the connection's source while a piece is being made or waited for. One piece at a
/// time, so no lock: `next` is called again only after the answer.
class Producer : public std::enable_shared_from_this<Producer> {
 public:
  Producer(Services& services, EventReader reader, const EventStreamOptions& options,
           std::stop_token interrupted)
      : services_(services),
        reader_(std::move(reader)),
        options_(options),
        left_(options.events_max),
        interrupted_(std::move(interrupted)) {}

  void start(BodySource::Done done) {
    done_ = std::move(done);
    retry_.reset();
    const auto self = shared_from_this();
    if (services_.work.post([self] { self->produce(); })) return;
    retry_ = services_.timers.after(kPoolFullPause, [self] { self->answer(Chunk{}); });
  }

  void cancel() { cancelled_ = true; }

 private:
  [[nodiscard]] bool endless() const {
    return options_.format == EventStreamFormat::server_sent_events;
  }

  void produce() {
    if (cancelled_) return;
    if (endless() && interrupted_.stop_requested()) return answer(Chunk{"", true});
    std::string bytes;
    const auto stopped = reader_.read(left_, [&](const EventView& event) {
      if (event.offset >= options_.until) return false;
      append(bytes, event);
      --left_;
      return bytes.size() < kPieceBytes;
    });
    if (!stopped) return answer(std::unexpected(stopped.error()));
    const bool at_end = *stopped == EventReader::Stopped::at_end;
    const bool last = left_ == 0 || reader_.next() >= options_.until || (at_end && !endless());
    if (!bytes.empty() || last || !at_end) return answer(Chunk{std::move(bytes), last});
    wait();
  }

  void append(std::string& out, const EventView& event) const {
    if (endless()) {
      out += "id: ";
      append_number(out, event.offset.value);
      out += "\ndata: ";
      append_event(out, event, Lines::one);
      out += "\n\n";
    } else {
      append_event(out, event, Lines::one);
      out += '\n';
    }
  }

  void wait() {
    const auto self = shared_from_this();
    wait_for(
        services_, kHeartbeat, interrupted_,
        [self](Task task) { return self->reader_.when_more(std::move(task)); },
        [self](Woken why) {
          if (why == Woken::timeout) return self->answer(Chunk{":\n\n", false});
          self->produce();
        });
  }

  void answer(Result<Chunk> chunk) {
    // The next piece may be asked for before this returns.
    BodySource::Done done = std::exchange(done_, nullptr);
    done(std::move(chunk));
  }

  Services& services_;
  EventReader reader_;
  const EventStreamOptions options_;
  std::uint64_t left_;
  const std::stop_token interrupted_;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<Registration> retry_;
  BodySource::Done done_;
};

class EventStream final : public BodySource {
 public:
  explicit EventStream(std::shared_ptr<Producer> producer) : producer_(std::move(producer)) {}
  ~EventStream() override { producer_->cancel(); }
  void next(Done done) override { producer_->start(std::move(done)); }

 private:
  std::shared_ptr<Producer> producer_;
};

}  // namespace

std::unique_ptr<BodySource> make_event_stream(Services& services, EventReader reader,
                                              const EventStreamOptions& options,
                                              std::stop_token interrupted) {
  return std::make_unique<EventStream>(
      std::make_shared<Producer>(services, std::move(reader), options, std::move(interrupted)));
}

}  // namespace keelson::http
