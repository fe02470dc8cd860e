#include "engine/cluster/promise_store.h"

#include "engine/base/check.h"
#include "engine/io/checked_text.h"
#include "engine/replication/record_text.h"

namespace keelson::cluster {

using replication::number_from;
using replication::Promise;
using replication::take_line;

namespace {

constexpr std::string_view kTitle = "keelson promise 2\n";
/// Without who was promised.
constexpr std::string_view kFirstTitle = "keelson promise 1\n";
constexpr std::uint64_t kBytesMax = 4096;

struct Stored {
  Uuid partition;
  Promise promise;
};

std::string encode(const Stored& stored) {
  const Promise& promise = stored.promise;
  return io::with_checksum(std::string(kTitle) + "partition " + to_hex(stored.partition) +
                           "\nepoch " + std::to_string(promise.epoch.value) + "\nled " +
                           std::to_string(promise.led.value) + "\nleader " +
                           (promise.leader ? text_of(*promise.leader) : "") + "\n");
}

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "promise: " + std::string(what));
}

std::optional<Epoch> take_epoch(std::string_view& text, std::string_view key) {
  const auto line = take_line(text, key);
  const auto number = line ? number_from<Epoch::rep>(*line) : std::nullopt;
  return number ? std::optional(Epoch(*number)) : std::nullopt;
}

Result<Stored> decode(std::string_view text) {
  if (!text.starts_with("keelson promise ")) return damaged("not one");
  const bool first = text.starts_with(kFirstTitle);
  if (!first && !text.starts_with(kTitle)) {
    return fail(Errc::unsupported_format, "promise of another version of Keelson: " +
                                              std::string(text.substr(0, text.find('\n'))));
  }
  const auto lines = io::without_checksum(text);
  if (!lines) return damaged(lines.error().context);
  std::string_view rest = lines->substr(kTitle.size());
  const auto partition_text = take_line(rest, "partition");
  const auto partition = partition_text ? uuid_from_hex(*partition_text) : std::nullopt;
  if (!partition) return damaged("partition");
  const auto epoch = take_epoch(rest, "epoch");
  if (!epoch) return damaged("epoch");
  Stored stored{*partition, Promise(*epoch)};
  if (!first) {
    const auto led = take_epoch(rest, "led");
    if (!led || *led > *epoch) return damaged("led");
    stored.promise.led = *led;
    const auto leader = take_line(rest, "leader");
    if (!leader) return damaged("leader");
    if (!leader->empty()) {
      stored.promise.leader = replication::member_from(*leader);
      if (!stored.promise.leader) return damaged("leader");
    }
  }
  if (!rest.empty()) return damaged("more lines");
  return stored;
}

}  // namespace

PromiseStore::PromiseStore(io::FileSystem& files, const std::string& folder, const Uuid& partition)
    : files_(files), folder_(folder), path_(folder + "/promise"), partition_(partition) {}

Result<Promise> PromiseStore::load() {
  KEELSON_ASSERT(!at_least_);
  // What a killed process renamed may be in the page cache alone: nothing may be done in an epoch
  // that a power failure would take back.
  KEELSON_TRY(files_.sync_folder(folder_));
  KEELSON_TRY_ASSIGN(Promise promise, read());
  at_least_ = promise.epoch;
  return promise;
}

Result<Promise> PromiseStore::read() const {
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(path_));
  if (!there) return Promise();
  const auto text = io::read_file(files_, path_, kBytesMax);
  if (!text && text.error().code == Errc::too_large) {
    return fail(Errc::corruption, path_ + ": longer than any promise");
  }
  if (!text) return std::unexpected(text.error());
  const auto stored = decode(*text);
  if (!stored) return fail(stored.error().code, path_ + ": " + stored.error().context);
  if (stored->partition != partition_) {
    return fail(Errc::corruption, path_ + ": promise of another partition, " +
                                      to_hex(stored->partition) + ", and not of " +
                                      to_hex(partition_));
  }
  return stored->promise;
}

Result<void> PromiseStore::store(const Promise& promise) {
  KEELSON_ASSERT(at_least_ && promise.epoch >= *at_least_);
  at_least_ = promise.epoch;  // even if it fails: the file may hold it
  return io::replace_file(files_, path_, encode({partition_, promise}));
}

}  // namespace keelson::cluster
