#include "engine/cluster/promise_store.h"

#include "engine/base/check.h"
#include "engine/io/checked_text.h"
#include "engine/replication/record_text.h"

namespace keelson::cluster {

using replication::number_from;
using replication::take_line;

namespace {

constexpr std::string_view kTitle = "keelson promise 1\n";
constexpr std::uint64_t kBytesMax = 4096;

struct Promise {
  Uuid partition;
  Epoch epoch;
};

std::string encode(const Promise& promise) {
  return io::with_checksum(std::string(kTitle) + "partition " + to_hex(promise.partition) +
                           "\nepoch " + std::to_string(promise.epoch.value) + "\n");
}

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "promise: " + std::string(what));
}

Result<Promise> decode(std::string_view text) {
  if (!text.starts_with("keelson promise ")) return damaged("not one");
  if (!text.starts_with(kTitle)) {
    return fail(Errc::unsupported_format, "promise of another version of Keelson: " +
                                              std::string(text.substr(0, text.find('\n'))));
  }
  const auto lines = io::without_checksum(text);
  if (!lines) return damaged(lines.error().context);
  std::string_view rest = lines->substr(kTitle.size());
  const auto partition_text = take_line(rest, "partition");
  const auto partition = partition_text ? uuid_from_hex(*partition_text) : std::nullopt;
  if (!partition) return damaged("partition");
  const auto epoch_text = take_line(rest, "epoch");
  const auto epoch = epoch_text ? number_from<Epoch::rep>(*epoch_text) : std::nullopt;
  if (!epoch) return damaged("epoch");
  if (!rest.empty()) return damaged("more lines");
  return Promise{*partition, Epoch(*epoch)};
}

}  // namespace

PromiseStore::PromiseStore(io::FileSystem& files, const std::string& folder, const Uuid& partition)
    : files_(files), folder_(folder), path_(folder + "/promise"), partition_(partition) {}

Result<Epoch> PromiseStore::load() {
  KEELSON_ASSERT(!at_least_);
  // What a killed process renamed may be in the page cache alone: nothing may be done in an epoch
  // that a power failure would take back.
  KEELSON_TRY(files_.sync_folder(folder_));
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(path_));
  if (!there) {
    at_least_ = Epoch(0);
    return Epoch(0);
  }
  const auto text = io::read_file(files_, path_, kBytesMax);
  if (!text && text.error().code == Errc::too_large) {
    return fail(Errc::corruption, path_ + ": longer than any promise");
  }
  if (!text) return std::unexpected(text.error());
  const auto promise = decode(*text);
  if (!promise) return fail(promise.error().code, path_ + ": " + promise.error().context);
  if (promise->partition != partition_) {
    return fail(Errc::corruption, path_ + ": promise of another partition, " +
                                      to_hex(promise->partition) + ", and not of " +
                                      to_hex(partition_));
  }
  at_least_ = promise->epoch;
  return promise->epoch;
}

Result<void> PromiseStore::store(Epoch epoch) {
  KEELSON_ASSERT(at_least_ && epoch >= *at_least_);
  at_least_ = epoch;  // even if it fails: the file may hold it
  return io::replace_file(files_, path_, encode({partition_, epoch}));
}

}  // namespace keelson::cluster
