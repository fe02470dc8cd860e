#include "engine/cluster/topic_creation.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/store/names.h"
#include "engine/store/topic_record.h"

namespace keelson::cluster {

using replication::Coordinator;
using replication::Record;

namespace {

constexpr std::uint32_t kWritesAtATime = 16;

/// Whether another try may succeed: nobody answered, or the answer was lost.
bool may_pass(const Error& error) {
  return error.code == Errc::io_error || error.code == Errc::outcome_unknown ||
         error.code == Errc::timeout || error.code == Errc::overloaded;
}

/// In what but retention a topic is not as it was asked for; nothing when in nothing.
std::string difference(const TopicRequest& wanted, const TopicPlacement& there) {
  const TopicOptions& options = there.options;
  if (wanted.options.partitions != options.partitions) return "partitions";
  if (wanted.replication_factor != there.replication_factor) return "replication_factor";
  if (wanted.options.durability != options.durability) return "durability";
  if (wanted.options.segment_bytes != options.segment_bytes) return "segment_bytes";
  if (wanted.options.codec != options.codec) return "codec";
  if (wanted.options.sealed_codec != options.sealed_codec) return "sealed_codec";
  return {};
}

Result<void> check(const TopicRequest& request) {
  KEELSON_TRY(check_topic_name(request.name, {}));
  KEELSON_TRY(check_topic_options(request.options));
  return check_replication_factor(request.replication_factor);
}

}  // namespace

PartitionsCompletion::PartitionsCompletion(CreationPorts& ports, TopicPlacement placement,
                                           std::chrono::nanoseconds retry,
                                           std::move_only_function<void(Result<void>)> done)
    : ports_(ports), placement_(std::move(placement)), retry_(retry), done_(std::move(done)) {}

void PartitionsCompletion::go_on() {
  const auto count = static_cast<std::uint32_t>(placement_.partitions.size());
  while (done_ && next_ < count && in_flight_ < kWritesAtATime) {
    const PartitionId partition(next_++);
    if (ports_.view().partition({placement_.topic, partition}) != nullptr) continue;
    ++in_flight_;
    write(partition);
  }
  if (next_ == count && in_flight_ == 0) end({});
}

void PartitionsCompletion::write(PartitionId partition) {
  const std::string key = ports_.view().keys().of(PartitionKey{placement_.topic, partition});
  const replication::PartitionRecord first{
      Epoch(0), std::nullopt, placement_.partitions[partition.value], {}};
  ports_.swap(key, std::nullopt, replication::encode_partition_record(first),
              [weak = weak_from_this(), this, key, partition](Result<Coordinator::Swapped> result) {
                const auto self = weak.lock();
                if (!self || !done_) return;
                if (!result && !may_pass(result.error()))
                  return end(std::unexpected(result.error()));
                if (!result || !result->current) {
                  // It may have arrived, or yet arrive: then a repetition finds it.
                  return ports_.after(retry_, [weak, this, partition] {
                    const auto still = weak.lock();
                    if (still && done_) write(partition);
                  });
                }
                ports_.adopt(key, *result->current);
                --in_flight_;
                go_on();
              });
}

void PartitionsCompletion::end(Result<void> result) {
  if (auto done = std::exchange(done_, nullptr)) done(std::move(result));
}

void TopicCreation::start() {
  if (const auto good = check(request_); !good) return end(std::unexpected(good.error()));
  ports_.after(times_.patience, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_deadline();
  });
  look();
}

void TopicCreation::abandon() {
  end(fail(Errc::closed, "topic " + request_.name + " was being made"));
}

void TopicCreation::look() {
  // What is told while the answer is on its way may be newer than the answer.
  const bool was_known = ports_.view().topic(request_.name) != nullptr;
  ports_.get(key(), [weak = weak_from_this(), was_known](Result<std::optional<Record>> record) {
    const auto self = weak.lock();
    if (!self || self->over()) return;
    if (!record) {
      if (may_pass(record.error())) return self->look_later();
      return self->end(std::unexpected(record.error()));
    }
    if (*record) return self->on_record(**record);
    if (was_known) return self->on_record_gone();
    self->make();
  });
}

void TopicCreation::look_later() {
  ports_.after(times_.retry, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && !self->over()) self->look();
  });
}

void TopicCreation::on_record(const Record& record) {
  ports_.adopt(key(), record);
  auto placement = decode_topic_placement(record.value);
  if (!placement) {
    return end(fail(placement.error().code, key() + ": " + placement.error().context));
  }
  on_exists(*std::move(placement), record);
}

void TopicCreation::on_record_gone() {
  end(fail(Errc::corruption, key() + ": the record is gone, and the topic was there"));
}

void TopicCreation::make() {
  if (ports_.view().any_lost()) {
    if (in_doubt_) return end_in_doubt();
    return end(fail(Errc::not_enough_replicas,
                    "the coordinator has lost records: no topic is made before they are anew"));
  }
  if (!made_) {
    auto partitions =
        place({request_.options.partitions, request_.replication_factor}, ports_.view().loads());
    if (!partitions && waited_ < request_.nodes_wait) {
      waited_ += times_.retry;
      return look_later();
    }
    if (!partitions) return end(std::unexpected(std::move(partitions).error()));
    made_ = TopicPlacement{ports_.make_uuid(), request_.options, request_.replication_factor,
                           *std::move(partitions)};
  }
  write(std::nullopt, *made_);
}

void TopicCreation::on_exists(TopicPlacement placement, const Record& record) {
  if (const std::string other = difference(request_, placement); !other.empty()) {
    return end(fail(Errc::already_exists,
                    "topic " + request_.name + " exists with different options: " + other));
  }
  if (placement.options.retention == request_.options.retention) {
    return complete(std::move(placement));
  }
  placement.options.retention = request_.options.retention;
  write(record, std::move(placement));
}

void TopicCreation::write(std::optional<Record> expected, TopicPlacement placement) {
  std::string text = encode_topic_placement(placement);
  ports_.swap(key(), std::move(expected), std::move(text),
              [weak = weak_from_this(),
               placement = std::move(placement)](Result<Coordinator::Swapped> result) mutable {
                const auto self = weak.lock();
                if (!self || self->over()) return;
                if (!result) {
                  if (result.error().code == Errc::outcome_unknown) self->in_doubt_ = true;
                  if (may_pass(result.error())) return self->look_later();
                  return self->end(std::unexpected(result.error()));
                }
                if (!result->current) return self->on_record_gone();
                if (!result->swapped) return self->on_record(*result->current);
                self->ports_.adopt(self->key(), *result->current);
                self->complete(std::move(placement));
              });
}

void TopicCreation::complete(TopicPlacement placement) {
  in_doubt_ = false;
  const KnownTopic* const known = ports_.view().topic(request_.name);
  if (known == nullptr || known->placement.topic != placement.topic) {
    return end(fail(Errc::corruption, key() + ": another topic than was known"));
  }
  completion_ = std::make_shared<PartitionsCompletion>(
      ports_, std::move(placement), times_.retry, [weak = weak_from_this()](Result<void> result) {
        const auto self = weak.lock();
        if (!self) return;
        if (!result) return self->end(std::unexpected(result.error()));
        self->end(*self->ports_.view().topic(self->request_.name));
      });
  completion_->start();
}

void TopicCreation::on_deadline() {
  if (over()) return;
  const std::string what = "topic " + request_.name;
  if (in_doubt_) return end_in_doubt();
  end(fail(Errc::timeout, completion_ ? what + " is made, but not all of its partitions are yet"
                                      : what + ": the coordinator did not answer"));
}

void TopicCreation::end_in_doubt() {
  end(fail(Errc::outcome_unknown, "topic " + request_.name + " may have been made or changed"));
}

void TopicCreation::end(Result<KnownTopic> result) {
  auto done = std::exchange(done_, nullptr);
  if (!done) return;
  ports_.on_over(*this);  // which may hold the last reference to it
  done(std::move(result));
}

}  // namespace keelson::cluster
