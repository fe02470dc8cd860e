#include "http/subscription_connection.h"

#include <algorithm>
#include <utility>

namespace keelson::http {

namespace {

void send_error(MessageBatch& out, const ProtocolError& error) {
  append_error(out.text(), error);
  out.end_message();
}

void send_closed(MessageBatch& out, std::string_view id, std::string_view reason,
                 const Position& position) {
  append_closed(out.text(), id, reason, position);
  out.end_message();
}

ProtocolError no_such_subscription(const std::string& id) {
  return protocol_error(
      id, {Errc::not_found, "there is no subscription with this id in this connection", {}});
}

/// The first offset kept in each partition.
Position start_of(Topic& topic) {
  Position start(topic.partition_count());
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    start.set_next(PartitionId(p), topic.partition(PartitionId(p)).start());
  }
  return start;
}

Result<std::vector<PartitionId>> partitions_of(const SubscribeMessage& message,
                                               const Topic& topic) {
  std::vector<PartitionId> partitions = message.partitions;
  for (const PartitionId id : partitions) {
    if (id.value < topic.partition_count()) continue;
    return fail(Errc::bad_request,
                "topic '" + message.topic + "' has no partition " + std::to_string(id.value));
  }
  for (std::uint32_t p = 0; message.partitions.empty() && p < topic.partition_count(); ++p) {
    partitions.push_back(PartitionId(p));
  }
  return partitions;
}

}  // namespace

SubscriptionConnection::SubscriptionConnection(FindTopic find_topic, std::function<void()> wake,
                                               SubscriptionLimits limits)
    : find_topic_(std::move(find_topic)), wake_(std::move(wake)), limits_(limits) {}

SubscriptionConnection::Entries::iterator SubscriptionConnection::find(std::string_view id) {
  return std::ranges::find(entries_, id, &Entry::id);
}

// --- messages of the client ---

void SubscriptionConnection::receive(std::string_view text, MessageBatch& out) {
  auto message = parse_client_message(text);
  if (!message) return send_error(out, message.error());
  std::visit([&](auto&& known) { handle(std::move(known), out); }, *std::move(message));
}

void SubscriptionConnection::handle(SubscribeMessage message, MessageBatch& out) {
  auto entry = open(message);
  if (!entry) return send_error(out, protocol_error(message.id, entry.error()));
  append_subscribed(out.text(), entry->id);
  out.end_message();
  entries_.push_back(*std::move(entry));
}

Result<SubscriptionConnection::Entry> SubscriptionConnection::open(SubscribeMessage& message) {
  if (find(message.id) != entries_.end()) {
    return fail(Errc::already_exists, "this connection has a subscription with this id");
  }
  if (entries_.size() == limits_.subscriptions_max) {
    return fail(Errc::overloaded, "a connection has at most " +
                                      std::to_string(limits_.subscriptions_max) + " subscriptions");
  }
  Topic* const topic = find_topic_(message.topic);
  if (topic == nullptr) {
    return fail(Errc::not_found, "there is no topic '" + message.topic + "'");
  }
  KEELSON_TRY_ASSIGN(const auto partitions, partitions_of(message, *topic));
  if (message.from == "end") {
    for (const PartitionId id : partitions) {
      KEELSON_TRY(topic->partition(id).readable());  // or its end is not known
    }
  }
  KEELSON_TRY_ASSIGN(const Position wanted, first_wanted(message, start_of(*topic), topic->end()));
  Position from(wanted.partitions());  // of others nothing is said
  for (const PartitionId id : partitions) from.set_next(id, wanted.next(id));
  Entry entry;
  KEELSON_TRY_ASSIGN(entry.subscription,
                     Subscription::open(*topic, from, std::move(message.filter), partitions));
  entry.id = message.id;
  entry.credit = message.credit;
  return entry;
}

void SubscriptionConnection::handle(const CreditMessage& message, MessageBatch& out) {
  const auto entry = find(message.id);
  if (entry == entries_.end()) return send_error(out, no_such_subscription(message.id));
  entry->credit += std::min(message.n, UINT64_MAX - entry->credit);
}

void SubscriptionConnection::handle(const UnsubscribeMessage& message, MessageBatch& out) {
  const auto entry = find(message.id);
  if (entry == entries_.end()) return send_error(out, no_such_subscription(message.id));
  send_closed(out, entry->id, "unsubscribed", entry->subscription->position());
  entries_.erase(entry);
}

void SubscriptionConnection::handle(const GroupMessage& message, MessageBatch& out) {
  send_error(out, {message.id,
                   "not-supported",
                   "'" + message.op +
                       "' is for consumer groups, which this server does not have; "
                       "use subscribe and keep the position yourself.",
                   {}});
}

// --- events ---

bool SubscriptionConnection::ready() const { return std::ranges::any_of(entries_, &Entry::ready); }

bool SubscriptionConnection::live() const {
  return std::ranges::none_of(
      entries_, [](const Entry& entry) { return entry.ready() && !entry.caught_up_sent; });
}

void SubscriptionConnection::poll(std::size_t bytes_max, MessageBatch& out) {
  for (std::size_t turns = entries_.size(); turns > 0 && out.bytes() < bytes_max; --turns) {
    turn_ %= entries_.size();
    Entry& entry = entries_[turn_];
    if (!entry.ready() || poll_one(entry, bytes_max, out)) {
      ++turn_;
    } else {
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(turn_));
    }
  }
}

bool SubscriptionConnection::poll_one(Entry& entry, std::size_t bytes_max, MessageBatch& out) {
  entry.registration.reset();
  entry.woken.reset();
  const auto events_max =
      static_cast<std::size_t>(std::min<std::uint64_t>(entry.credit, limits_.turn_events_max));
  const auto polled =
      entry.subscription->poll(events_max, limits_.turn_scan_max, [&](const EventView& event) {
        append_event_message(out.text(), entry.id, event);
        out.end_message();
        --entry.credit;
        return out.bytes() < bytes_max;
      });
  if (!polled) {
    send_error(out, protocol_error(entry.id, polled.error()));
    send_closed(out, entry.id, "error", entry.subscription->position());
    return false;
  }
  if (!polled->caught_up) return true;
  if (!entry.caught_up_sent) {
    entry.caught_up_sent = true;
    append_caught_up(out.text(), entry.id, entry.subscription->position());
    out.end_message();
  }
  wait_for_more(entry);
  return true;
}

void SubscriptionConnection::wait_for_more(Entry& entry) {
  entry.woken = std::make_shared<std::atomic<bool>>(false);
  entry.registration = entry.subscription->when_more([woken = entry.woken, wake = wake_] {
    woken->store(true);
    wake();
  });
}

void SubscriptionConnection::close(std::string_view reason, MessageBatch& out) {
  for (const Entry& entry : entries_) {
    send_closed(out, entry.id, reason, entry.subscription->position());
  }
  entries_.clear();
}

}  // namespace keelson::http
