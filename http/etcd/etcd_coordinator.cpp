#include "http/etcd/etcd_coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "engine/replication/record_watcher.h"
#include "http/etcd/etcd_client.h"

namespace keelson::http {

namespace asio = boost::asio;
using nlohmann::json;
using replication::Record;
using replication::RecordWatch;
using replication::RecordWatcher;
using replication::Revision;

namespace {

/// Before what failed is tried again.
constexpr std::chrono::milliseconds kPause{200};
/// For the end of presences, when the coordinator ends.
constexpr std::chrono::seconds kLeaveTime{1};
constexpr Revision kNoRevision(INT64_MAX);

/// A 64-bit number is a string in etcd's JSON; one that is zero is left out.
std::uint64_t number_at(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return 0;
  const auto& text = found->get_ref<const std::string&>();
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string bytes_at(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return {};
  return from_base64(found->get_ref<const std::string&>()).value_or("");
}

const json& member(const json& object, const char* name) {
  static const json none;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() ? none : *found;
}

Record record_of(const json& kv) {
  return {bytes_at(kv, "value"), Revision(number_at(kv, "mod_revision"))};
}

Revision revision_of(const json& answer) {
  return Revision(number_at(member(answer, "header"), "revision"));
}

std::optional<Record> first_record(const json& range) {
  const json& kvs = member(range, "kvs");
  if (!kvs.is_array() || kvs.empty()) return std::nullopt;
  return record_of(kvs[0]);
}

/// The first key after all that begin with `prefix`.
std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

json range_of(const std::string& prefix) {
  return {{"key", to_base64(prefix)}, {"range_end", to_base64(end_of_prefix(prefix))}};
}

// Bodies of requests; made outside the coroutines, in which g++ 12 cannot compile them.

json key_body(const std::string& key) { return {{"key", to_base64(key)}}; }

/// @param lease  that the record is to end with; 0: none.
json swap_body(const std::string& key, const std::optional<Record>& expected,
               const std::string& value, std::uint64_t lease = 0) {
  const std::string key64 = to_base64(key);
  const Revision revision = expected ? expected->revision : Revision(0);
  const json compare{{"key", key64},
                     {"target", "MOD"},
                     {"result", "EQUAL"},
                     {"mod_revision", std::to_string(revision.value)}};
  json compares = json::array({compare});
  if (expected) {
    compares.push_back({{"key", key64},
                        {"target", "VALUE"},
                        {"result", "EQUAL"},
                        {"value", to_base64(expected->value)}});
  }
  json put{{"request_put", {{"key", key64}, {"value", to_base64(value)}}}};
  if (lease != 0) put["request_put"]["lease"] = std::to_string(lease);
  const json look{{"request_range", {{"key", key64}}}};
  return {{"compare", std::move(compares)},
          {"success", json::array({put})},
          {"failure", json::array({look})}};
}

/// Needs leave to read and to write, and changes nothing: no record is at that revision.
json check_body(const std::string& key) { return swap_body(key, Record{"", kNoRevision}, ""); }

json grant_body(std::chrono::seconds time_to_live) {
  return {{"TTL", std::to_string(time_to_live.count())}};
}

json lease_body(std::uint64_t lease) { return {{"ID", std::to_string(lease)}}; }

json watch_body(const std::string& prefix, Revision from) {
  json create = range_of(prefix);
  create["start_revision"] = std::to_string(from.value);
  json body;
  body["create_request"] = std::move(create);
  return body;
}

asio::awaitable<void> pause(std::chrono::milliseconds duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

/// What outlives a call: the thread, and the client that it alone uses.
struct EtcdCoordinator::Running {
  explicit Running(std::unique_ptr<EtcdClient> its)
      : client(std::move(its)), work(asio::make_work_guard(io)) {}

  asio::io_context io{1};
  const std::unique_ptr<EtcdClient> client;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::thread thread;

  /// Presences that were dropped, and are taken away; the mutex guards it.
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t leaving = 0;
};

namespace {

replication::Coordinator::Swapped swapped_from(const json& answer, std::string value) {
  replication::Coordinator::Swapped swapped;
  const json& succeeded = member(answer, "succeeded");
  swapped.swapped = succeeded.is_boolean() && succeeded.get<bool>();
  if (swapped.swapped) {
    swapped.current = Record{std::move(value), revision_of(answer)};
  } else if (const json& responses = member(answer, "responses");
             responses.is_array() && !responses.empty()) {
    swapped.current = first_record(member(responses[0], "response_range"));
  }
  return swapped;
}

asio::awaitable<void> run_get(EtcdClient& client, std::string key,
                              replication::Coordinator::Read done) {
  const auto answer =
      co_await client.call("/v3/kv/range", key_body(key), EtcdClient::Repeat::harmless);
  if (!answer) {
    done(std::unexpected(answer.error()));
    co_return;
  }
  done(first_record(*answer));
}

asio::awaitable<void> run_swap(EtcdClient& client, std::string key, std::optional<Record> expected,
                               std::string value, replication::Coordinator::Swap done) {
  const auto answer = co_await client.call("/v3/kv/txn", swap_body(key, expected, value),
                                           EtcdClient::Repeat::never);
  if (!answer) {
    done(std::unexpected(answer.error()));
    co_return;
  }
  done(swapped_from(*answer, std::move(value)));
}

asio::awaitable<void> run_check(EtcdClient& client, std::string key,
                                std::shared_ptr<std::promise<Result<void>>> done) {
  client.mute(true);
  const auto answer =
      co_await client.call("/v3/kv/txn", check_body(key), EtcdClient::Repeat::harmless);
  client.mute(false);
  if (answer) {
    done->set_value({});
  } else if (answer.error().code == Errc::io_error && client.refusal().empty()) {
    done->set_value(std::unexpected(answer.error()));
  } else {
    done->set_value(fail(Errc::bad_request, answer.error().context));
  }
}

/// What a watch has told, so that it can tell what is gone, and whether etcd has gone back.
class Telling {
 public:
  explicit Telling(RecordWatcher& watcher) : watcher_(watcher) {}

  /// Tells what has changed. @return whether there is more to be told.
  bool events(const json& result) {
    const json& events = member(result, "events");
    if (!events.is_array()) return true;
    for (const json& event : events) {
      const json& kv = member(event, "kv");
      const bool gone = member(event, "type") == "DELETE";
      if (!(gone ? tell_gone(bytes_at(kv, "key")) : tell(kv))) return false;
    }
    return true;
  }

  /// Tells all there is at the moment, and what of that which was told is gone.
  bool all(const json& range) {
    const json& found = member(range, "kvs");
    const json kvs = found.is_array() ? found : json::array();
    if (gone_back(range, kvs)) {
      ++life_;
      last_.clear();
      highest_ = Revision(0);
    }
    highest_ = std::max(highest_, revision_of(range));
    std::set<std::string> before = known_;
    for (const json& kv : kvs) {
      before.erase(bytes_at(kv, "key"));
      if (!tell(kv)) return false;
    }
    for (const std::string& key : before) {
      if (!tell_gone(key)) return false;
    }
    return true;
  }

 private:
  /// What is read is never older than what was told before, neither as a whole nor any record.
  [[nodiscard]] bool gone_back(const json& range, const json& kvs) const {
    if (revision_of(range) < highest_) return true;
    return std::ranges::any_of(kvs, [&](const json& kv) {
      const auto last = last_.find(bytes_at(kv, "key"));
      return last != last_.end() && record_of(kv).revision < last->second;
    });
  }
  bool tell(const json& kv) {
    const std::string key = bytes_at(kv, "key");
    const Record record = record_of(kv);
    known_.insert(key);
    last_[key] = record.revision;
    highest_ = std::max(highest_, record.revision);
    return watcher_.tell({key, record, life_});
  }
  bool tell_gone(const std::string& key) {
    known_.erase(key);
    return watcher_.tell({key, std::nullopt, life_});
  }

  RecordWatcher& watcher_;
  std::uint64_t life_ = 0;
  Revision highest_;                      ///< of this life
  std::map<std::string, Revision> last_;  ///< of each record that was told in it, gone or not
  std::set<std::string> known_;           ///< those that are there, as far as was told
};

/// Looks at all records, then follows their changes; again when the stream has broken, or nothing
/// has come for a while.
asio::awaitable<void> run_watch(EtcdClient& client, std::string prefix,
                                std::shared_ptr<RecordWatcher> watcher) {
  Telling telling(*watcher);
  while (!watcher->dropped()) {
    const auto range =
        co_await client.call("/v3/kv/range", range_of(prefix), EtcdClient::Repeat::harmless);
    if (!range) {
      co_await pause(kPause);
      continue;
    }
    if (!telling.all(*range)) co_return;
    const auto ended = co_await client.stream(
        "/v3/watch", watch_body(prefix, revision_of(*range) + 1),
        [&](const json& message) { return telling.events(member(message, "result")); });
    if (!ended) co_await pause(kPause);
  }
}

/// Of `run_presence`; used on the coordinator's thread alone.
struct PresenceState {
  explicit PresenceState(asio::io_context& io) : wake(io) {}

  bool dropped = false;
  asio::steady_timer wake;
};

/// Takes a lease, writes the record with it, and keeps the lease alive; begins again when it is
/// lost. Somebody else's record stays, unless it is `expected`.
asio::awaitable<void> run_presence(EtcdClient& client, std::string key, std::string value,
                                   std::chrono::seconds time_to_live,
                                   std::optional<Record> expected,
                                   std::shared_ptr<PresenceState> state) {
  const auto repeat = EtcdClient::Repeat::harmless;
  std::uint64_t lease = 0;
  bool written = false;
  while (!state->dropped) {
    if (lease == 0) {
      const auto granted =
          co_await client.call("/v3/lease/grant", grant_body(time_to_live), repeat);
      if (granted) lease = number_at(*granted, "ID");
      written = false;
    }
    if (lease != 0 && !written) {
      const auto answer =
          co_await client.call("/v3/kv/txn", swap_body(key, expected, value, lease), repeat);
      if (!answer) {
        lease = 0;
      } else {
        const auto put = swapped_from(*answer, value);
        written = put.swapped;
        // One of this process's own, whose answer was lost, or that an earlier lease still holds.
        const bool own = !written && put.current && put.current->value == value;
        expected = own ? put.current : std::nullopt;
        if (own) continue;
      }
    }
    if (state->dropped) break;
    state->wake.expires_after(
        written ? std::chrono::duration_cast<std::chrono::milliseconds>(time_to_live) / 4 : kPause);
    boost::system::error_code ignored;
    co_await state->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (lease == 0 || state->dropped) continue;
    const auto kept = co_await client.call("/v3/lease/keepalive", lease_body(lease), repeat);
    if (kept && number_at(member(*kept, "result"), "TTL") == 0) lease = 0;  // it has run out
  }
  if (lease != 0) {
    const auto revoked = co_await client.call("/v3/lease/revoke", lease_body(lease), repeat);
    if (!revoked) {
      spdlog::warn("{} stays in etcd until its lease has run out: {}", key,
                   revoked.error().context);
    }
  }
}

}  // namespace

class EtcdCoordinator::Present final : public Presence {
 public:
  Present(std::shared_ptr<Running> running, std::shared_ptr<PresenceState> state)
      : running_(std::move(running)), state_(std::move(state)) {}
  ~Present() override {
    {
      const std::lock_guard lock(running_->mutex);
      ++running_->leaving;
    }
    asio::post(running_->io, [state = state_] {
      state->dropped = true;
      state->wake.cancel();
    });
  }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;

 private:
  // What is posted, and the timer, end before `io` does.
  const std::shared_ptr<Running> running_;
  const std::shared_ptr<PresenceState> state_;
};

Result<std::unique_ptr<EtcdCoordinator>> EtcdCoordinator::open(EtcdOptions options) {
  KEELSON_TRY_ASSIGN(auto client, EtcdClient::open(std::move(options)));
  return std::unique_ptr<EtcdCoordinator>(
      new EtcdCoordinator(std::make_shared<Running>(std::move(client))));
}

EtcdCoordinator::EtcdCoordinator(std::shared_ptr<Running> running) : running_(std::move(running)) {
  running_->thread = std::thread([running = running_.get()] { running->io.run(); });
}

EtcdCoordinator::~EtcdCoordinator() {
  {
    std::unique_lock lock(running_->mutex);
    running_->changed.wait_for(lock, kLeaveTime, [this] { return running_->leaving == 0; });
    if (running_->leaving != 0) {
      spdlog::warn("etcd has not taken away this process's sign of life: it runs out by itself");
    }
  }
  running_->work.reset();
  running_->io.stop();
  running_->thread.join();
}

Result<void> EtcdCoordinator::check(const std::string& key) {
  auto answered = std::make_shared<std::promise<Result<void>>>();
  auto answer = answered->get_future();
  asio::co_spawn(running_->io, run_check(*running_->client, key, answered), asio::detached);
  return answer.get();
}

void EtcdCoordinator::get(std::string key, Read done) {
  asio::co_spawn(running_->io, run_get(*running_->client, std::move(key), std::move(done)),
                 asio::detached);
}

void EtcdCoordinator::compare_and_set(std::string key, std::optional<Record> expected,
                                      std::string value, Swap done) {
  asio::co_spawn(running_->io,
                 run_swap(*running_->client, std::move(key), std::move(expected), std::move(value),
                          std::move(done)),
                 asio::detached);
}

std::unique_ptr<replication::Coordinator::Watch> EtcdCoordinator::watch(
    std::string prefix, std::function<void(const Change&)> changed) {
  auto watcher = std::make_shared<RecordWatcher>(std::move(changed));
  asio::co_spawn(running_->io, run_watch(*running_->client, std::move(prefix), watcher),
                 asio::detached);
  return std::make_unique<RecordWatch>(std::move(watcher));
}

std::unique_ptr<replication::Coordinator::Presence> EtcdCoordinator::appear(
    std::string key, std::string value, std::chrono::seconds time_to_live,
    std::optional<Record> replaces) {
  auto state = std::make_shared<PresenceState>(running_->io);
  asio::co_spawn(running_->io,
                 run_presence(*running_->client, std::move(key), std::move(value), time_to_live,
                              std::move(replaces), state),
                 [running = running_.get()](const std::exception_ptr& thrown) {
                   if (thrown) return;
                   // It ends when it was dropped, and only then.
                   const std::lock_guard lock(running->mutex);
                   --running->leaving;
                   running->changed.notify_all();
                 });
  return std::make_unique<Present>(running_, std::move(state));
}

}  // namespace keelson::http
