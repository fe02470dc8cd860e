// Reads one projection over all its partitions at one moment of each.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/store/position.h"
#include "projections/offset_function.h"
#include "projections/query_gate.h"
#include "projections/rules.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

/// A reading connection to each partition's file, and the gate that queries come through. Used by
/// one thread at a time.
///
/// `begin` opens a read transaction in every partition and reads its checkpoint there, before the
/// query runs: whatever appliers commit meanwhile, the query sees each partition at one offset, and
/// history is not pruned beneath it.
class Reader {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Reader>> open(std::shared_ptr<const Rules> rules,
                                                            const std::vector<std::string>& files,
                                                            const Clock& clock);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// @param which     the partitions that queries see until `end`; one at least.
  /// @param deadline  monotonic; what runs then is interrupted.
  /// @return what queries see until `end`: `at`, or all that is applied.
  /// @error not_caught_up  a partition has not applied `at`. @error below_start  it was pruned.
  [[nodiscard]] Result<Position> begin(const std::vector<PartitionId>& which,
                                       const std::optional<Position>& at,
                                       std::chrono::nanoseconds deadline);
  [[nodiscard]] QueryGate& gate() { return *gate_; }
  /// Of what was begun.
  [[nodiscard]] const Deadline& deadline() const { return deadline_; }
  void end();

 private:
  struct Partition {
    EventOffset unused_offset;  ///< the schema names a function that readers never call
    std::unique_ptr<Database> database;
    std::unique_ptr<StatementCache> statements;
    Statement begin, commit, checkpoint;
  };

  Reader() = default;
  [[nodiscard]] Result<void> connect(const std::string& file, std::size_t partitions);
  [[nodiscard]] Result<Offset> begin_partition(std::size_t index, const std::optional<Offset>& at);

  std::shared_ptr<const Rules> rules_;
  Deadline deadline_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::vector<std::size_t> begun_;  ///< partitions with an open transaction
  std::unique_ptr<QueryGate> gate_;
};

/// Readers of one projection, opened when first needed. Thread-safe.
class ReaderPool {
 public:
  using Open = std::function<Result<std::unique_ptr<Reader>>()>;

  ReaderPool(std::size_t readers_max, Open open)
      : readers_max_(readers_max), open_(std::move(open)) {}

  /// A reader that ends its transactions and goes back when this is dropped.
  class Lease {
   public:
    Lease(ReaderPool& pool, std::unique_ptr<Reader> reader)
        : pool_(&pool), reader_(std::move(reader)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (reader_) pool_->give_back(std::move(reader_));
    }
    Reader* operator->() { return reader_.get(); }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Reader> reader_;
  };

  /// Waits for a free reader up to `wait_max`. @error overloaded  none became free.
  [[nodiscard]] Result<Lease> take(std::chrono::nanoseconds wait_max);

 private:
  void give_back(std::unique_ptr<Reader> reader);

  const std::size_t readers_max_;
  const Open open_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Reader>> idle_;
  std::size_t taken_ = 0;
};

}  // namespace keelson::projections
