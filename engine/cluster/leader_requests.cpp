#include "engine/cluster/leader_requests.h"

#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/coding.h"
#include "engine/base/random.h"

namespace keelson::cluster {

using replication::Member;

namespace {

/// Kinds of messages beside those of the replicas; docs/replication.md, "Messages".
constexpr char kQuestion = '\xf1';
constexpr char kAnswer = '\xf2';
constexpr char kNoAnswer = '\xf3';  ///< nobody is there to give one
constexpr std::size_t kHeadBytes = 1 + sizeof(std::uint64_t);

constexpr std::chrono::milliseconds kTick{250};

std::string message(char kind, std::uint64_t number, std::string_view text) {
  std::string bytes(1, kind);
  bytes.reserve(kHeadBytes + text.size());
  append(bytes, number);
  bytes += text;
  return bytes;
}

}  // namespace

LeaderRequests::LeaderRequests(Environment environment, Ports ports)
    : environment_(environment),
      ports_(std::move(ports)),
      strand_(environment.scheduler.make_strand("requests")),
      last_number_(environment.random.next()) {}

void LeaderRequests::ask(const PartitionKey& partition, const std::string& question,
                         Answer answer) {
  const auto leader = ports_.leader_of(partition);
  if (!leader) {
    return answer(fail(
        Errc::not_enough_replicas,
        "partition " + std::to_string(partition.partition.value) + " has no leader at the moment"));
  }
  std::uint64_t number = 0;
  {
    std::unique_lock lock(mutex_);
    if (asked_.size() >= kAskedMax) {
      lock.unlock();
      return answer(fail(Errc::overloaded, "too many questions to other nodes at a time"));
    }
    number = ++last_number_;
    asked_.emplace(number,
                   Asked{*leader, environment_.clock.monotonic() + kAnswerTime, std::move(answer)});
    if (!std::exchange(ticking_, true)) tick_later();
  }
  const auto sent = send(partition, *leader, message(kQuestion, number, question));
  if (sent) return;
  std::unique_lock lock(mutex_);
  auto unsent = asked_.extract(number);
  lock.unlock();
  if (!unsent) return;  // it was disconnected in between
  Error error = sent.error();
  if (error.code == Errc::closed) {
    error = {Errc::not_enough_replicas,
             "node " + std::to_string(leader->node.value) + " leads partition " +
                 std::to_string(partition.partition.value) + " and is not connected",
             {}};
  }
  unsent.mapped().answer(std::unexpected(std::move(error)));
}

void LeaderRequests::set_answering(Answering answering) {
  const std::lock_guard lock(answering_mutex_);
  answering_ = std::move(answering);
}

void LeaderRequests::give_up() {
  end([](const Asked&) { return true; }, {Errc::closed, "the node is shutting down", {}});
}

void LeaderRequests::close() {
  {
    const std::lock_guard lock(sending_mutex_);
    closed_ = true;
  }
  give_up();
}

Result<void> LeaderRequests::send(const PartitionKey& partition, const Member& to,
                                  const std::string& message) {
  const std::shared_lock lock(sending_mutex_);
  if (closed_) return fail(Errc::closed, "the node is shutting down");
  return ports_.send(partition, to, message);
}

bool LeaderRequests::is_one(std::string_view message) {
  return !message.empty() &&
         (message[0] == kQuestion || message[0] == kAnswer || message[0] == kNoAnswer);
}

void LeaderRequests::on_message(const Member& from, const PartitionKey& partition,
                                std::string_view message) {
  if (message.size() < kHeadBytes) return;
  const auto number = get<std::uint64_t>(message, 1);
  const std::string_view text = message.substr(kHeadBytes);
  if (message[0] == kQuestion) return on_question(from, partition, number, text);
  std::unique_lock lock(mutex_);
  const auto found = asked_.find(number);
  if (found == asked_.end() || found->second.whom != from) return;  // too late
  Answer answer = std::move(found->second.answer);
  asked_.erase(found);
  lock.unlock();
  if (message[0] == kAnswer) return answer(std::string(text));
  answer(fail(Errc::not_enough_replicas,
              "node " + std::to_string(from.node.value) + " is starting or stopping"));
}

void LeaderRequests::on_question(const Member& from, const PartitionKey& partition,
                                 std::uint64_t number, std::string_view question) {
  const auto reply = [weak = weak_from_this(), from, partition,
                      number](const Result<std::string>& answer) {
    const auto self = weak.lock();
    if (!self) return;
    // What cannot be sent is lost, and asked for again.
    [[maybe_unused]] const auto sent =
        self->send(partition, from,
                   answer ? message(kAnswer, number, *answer) : message(kNoAnswer, number, {}));
  };
  const std::lock_guard lock(answering_mutex_);
  if (!answering_) return reply(fail(Errc::closed, ""));
  answering_(partition, std::string(question), reply);
}

void LeaderRequests::on_disconnected(const Member& peer) {
  end([&](const Asked& asked) { return asked.whom == peer; },
      {Errc::outcome_unknown,
       "the connection with node " + std::to_string(peer.node.value) + " has ended",
       {}});
}

void LeaderRequests::end(const std::function<bool(const Asked&)>& which, const Error& error) {
  std::vector<Answer> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto asked = asked_.begin(); asked != asked_.end();) {
      if (!which(asked->second)) {
        ++asked;
        continue;
      }
      ended.push_back(std::move(asked->second.answer));
      asked = asked_.erase(asked);
    }
  }
  for (Answer& answer : ended) answer(std::unexpected(error));
}

/// With the mutex held.
void LeaderRequests::tick_later() {
  strand_->post_after(kTick, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    const auto now = self->environment_.clock.monotonic();
    self->end([now](const Asked& asked) { return asked.until <= now; },
              {Errc::timeout, "the node that leads has not answered in time", {}});
    const std::lock_guard lock(self->mutex_);
    self->ticking_ = !self->asked_.empty();
    if (self->ticking_) self->tick_later();
  });
}

}  // namespace keelson::cluster
