// The subscriptions of one WebSocket connection.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/store/store.h"
#include "engine/store/subscription.h"
#include "http/subscription_protocol.h"

namespace keelson::http {

/// Messages to send, one behind the other in one buffer.
class MessageBatch {
 public:
  /// Where the next message is to be appended; `end_message` completes it.
  [[nodiscard]] std::string& text() { return bytes_; }
  void end_message() { ends_.push_back(bytes_.size()); }

  [[nodiscard]] std::size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] std::size_t count() const { return ends_.size(); }
  [[nodiscard]] std::string_view message(std::size_t index) const {
    const std::size_t start = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(start, ends_[index] - start);
  }
  void clear() {
    bytes_.clear();
    ends_.clear();
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

struct SubscriptionLimits {
  std::size_t subscriptions_max = 64;  ///< of one connection
  std::size_t turn_events_max = 1024;  ///< sent for one subscription before the next has its turn
  std::size_t turn_scan_max = 4096;    ///< looked at in that turn, whatever the filter lets pass
};

/// What the protocol does, without a connection: messages in, messages out.
///
/// Nothing is kept for a slow client. Events are read from the log when the caller polls, and it
/// polls only while there is room to send; each subscription sends only while it has credit. One
/// that has come to the end waits for `wake` and is then polled again from where it was, so there
/// is neither a gap nor a double between history and live.
///
/// Not thread-safe; calls may come from different threads one after another. Must not outlive the
/// store.
class SubscriptionConnection {
 public:
  using FindTopic = std::function<Topic*(std::string_view name)>;

  /// @param wake  called, on any thread, when `ready` may have become true. Not called any more
  ///              once the destructor has returned. Must not block.
  SubscriptionConnection(FindTopic find_topic, std::function<void()> wake,
                         SubscriptionLimits limits = {});

  /// Takes one message of the client and appends the answers.
  void receive(std::string_view text, MessageBatch& out);

  /// Whether `poll` may have something to send.
  [[nodiscard]] bool ready() const;
  /// Whether all that is ready was at the end before: its events have just been written, so that
  /// reading them does not wait for a disk.
  [[nodiscard]] bool live() const;

  /// Gives each subscription that is ready one turn, until about `bytes_max` have been appended.
  void poll(std::size_t bytes_max, MessageBatch& out);

  /// Ends all subscriptions, telling for each the position to resume after.
  void close(std::string_view reason, MessageBatch& out);

 private:
  struct Entry {
    std::string id;
    std::unique_ptr<Subscription> subscription;
    std::uint64_t credit = 0;
    bool caught_up_sent = false;
    /// While waiting at the end: set by the wake-up. Null while there may be more.
    std::shared_ptr<std::atomic<bool>> woken;
    std::unique_ptr<Registration> registration;

    [[nodiscard]] bool ready() const { return credit != 0 && (!woken || woken->load()); }
  };
  using Entries = std::vector<Entry>;

  [[nodiscard]] Entries::iterator find(std::string_view id);
  void handle(SubscribeMessage message, MessageBatch& out);
  void handle(const CreditMessage& message, MessageBatch& out);
  void handle(const UnsubscribeMessage& message, MessageBatch& out);
  void handle(const GroupMessage& message, MessageBatch& out);
  [[nodiscard]] Result<Entry> open(SubscribeMessage& message);
  /// False when the subscription has failed: the caller removes it.
  [[nodiscard]] bool poll_one(Entry& entry, std::size_t bytes_max, MessageBatch& out);
  void wait_for_more(Entry& entry);

  FindTopic find_topic_;
  std::function<void()> wake_;
  SubscriptionLimits limits_;
  Entries entries_;
  std::size_t turn_ = 0;  ///< whose turn is next
};

}  // namespace keelson::http
