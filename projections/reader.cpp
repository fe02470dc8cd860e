#include "projections/reader.h"

#include <algorithm>

#include "projections/packed_values.h"
#include "projections/read_model.h"

namespace keelson::projections {

namespace {

constexpr std::size_t kStatementsKept = 64;

/// Of scans, whose steps are all short.
constexpr int kStepsBetweenLooks = 1'000;

/// Of all partitions of one reader together, and of one at least.
constexpr std::size_t kCacheKiB = 32 << 10;
constexpr std::size_t kCacheKiBMin = 256;

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(std::shared_ptr<const Rules> rules,
                                             const std::vector<std::string>& files,
                                             const Clock& clock) {
  std::unique_ptr<Reader> reader(new Reader());
  reader->rules_ = std::move(rules);
  reader->deadline_ = {&clock, std::chrono::nanoseconds::max()};
  for (const std::string& file : files) KEELSON_TRY(reader->connect(file, files.size()));
  KEELSON_TRY_ASSIGN(reader->gate_, QueryGate::open(reader->rules_->schema(), reader->deadline_));
  return reader;
}

Reader::~Reader() { end(); }

Result<void> Reader::connect(const std::string& file, std::size_t partitions) {
  auto partition = std::make_unique<Partition>();
  KEELSON_TRY_ASSIGN(partition->database, Database::open(file, Database::Mode::read));
  Database& database = *partition->database;
  const std::size_t cache = std::max(kCacheKiB / partitions, kCacheKiBMin);
  KEELSON_TRY(database.execute("PRAGMA cache_size = -" + std::to_string(cache)));
  KEELSON_TRY(register_offset_function(database, partition->unused_offset));
  KEELSON_TRY(register_pack_function(database));
  deadline_.watch(database, kStepsBetweenLooks);
  partition->statements = std::make_unique<StatementCache>(database, kStatementsKept);
  KEELSON_TRY_ASSIGN(partition->begin, database.prepare("BEGIN"));
  KEELSON_TRY_ASSIGN(partition->commit, database.prepare("COMMIT"));
  KEELSON_TRY_ASSIGN(partition->checkpoint, database.prepare(kSelectCheckpoint));
  partitions_.push_back(std::move(partition));
  return {};
}

Result<Position> Reader::begin(const std::vector<PartitionId>& which,
                               const std::optional<Position>& at,
                               std::chrono::nanoseconds deadline) {
  end();
  if (at && at->partitions() != partitions_.size()) {
    return fail(Errc::bad_request, "a position of " + std::to_string(at->partitions()) +
                                       " partition(s), the topic has " +
                                       std::to_string(partitions_.size()));
  }
  if (gate_->worn()) {
    gate_.reset();
    KEELSON_TRY_ASSIGN(gate_, QueryGate::open(rules_->schema(), deadline_));
  }
  deadline_.at = deadline;
  Position seen(partitions_.size());
  gate_->snapshot().partitions.clear();
  for (const PartitionId id : which) {
    KEELSON_TRY_ASSIGN(const Offset next,
                       begin_partition(id.value, at ? std::optional(at->next(id)) : std::nullopt));
    seen.set_next(id, next);
  }
  return seen;
}

Result<Offset> Reader::begin_partition(std::size_t index, const std::optional<Offset>& at) {
  Partition& partition = *partitions_[index];
  KEELSON_TRY(partition.begin.run());
  begun_.push_back(index);
  KEELSON_TRY_ASSIGN(const Checkpoint checkpoint, read_checkpoint(partition.checkpoint));
  const Offset wanted = at.value_or(checkpoint.next);
  const std::string where = "partition " + std::to_string(index);
  if (wanted > checkpoint.next) {
    return fail(Errc::not_caught_up, where + " has applied the events below offset " +
                                         std::to_string(checkpoint.next.value) +
                                         ", asked for those below " + std::to_string(wanted.value));
  }
  if (wanted < checkpoint.floor) {
    return fail(Errc::below_start, where + " keeps history from offset " +
                                       std::to_string(checkpoint.floor.value) + " on");
  }
  gate_->snapshot().partitions.push_back({PartitionId(static_cast<std::uint32_t>(index)),
                                          partition.statements.get(), wanted == checkpoint.next,
                                          static_cast<std::int64_t>(wanted.value) - 1});
  return wanted;
}

void Reader::end() {
  deadline_.at = std::chrono::nanoseconds::max();
  // Ending a transaction that only read cannot fail in a way that matters.
  for (const std::size_t index : begun_) (void)partitions_[index]->commit.run();
  begun_.clear();
}

Result<ReaderPool::Lease> ReaderPool::take(std::chrono::nanoseconds wait_max) {
  std::unique_lock lock(mutex_);
  if (!freed_.wait_for(lock, wait_max, [this] { return taken_ < readers_max_; })) {
    return fail(Errc::overloaded, "all " + std::to_string(readers_max_) + " readers are busy");
  }
  ++taken_;
  if (!idle_.empty()) {
    auto reader = std::move(idle_.back());
    idle_.pop_back();
    return Lease(*this, std::move(reader));
  }
  lock.unlock();
  auto opened = open_();
  if (opened) return Lease(*this, std::move(*opened));
  lock.lock();
  --taken_;
  freed_.notify_one();
  return std::unexpected(opened.error());
}

void ReaderPool::give_back(std::unique_ptr<Reader> reader) {
  reader->end();
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(reader));
    --taken_;
  }
  freed_.notify_one();
}

}  // namespace keelson::projections
