// What a partition's log should hold, kept beside it in plain containers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/log/partition_log.h"
#include "engine/store/event.h"

namespace keelson::test {

/// A commit as it was asked for.
struct ModelCommit {
  log::CommitKind kind = log::CommitKind::accepted;
  std::string principal;
  std::string target;
  std::string id;
  std::array<std::byte, 16> fingerprint{};
  std::string detail;
  Offset first;
  std::vector<Event> events;
};

struct ModelBatch {
  log::BatchKind kind = log::BatchKind::events;
  Epoch epoch;
  TimeUs time;
  Offset base;
  std::vector<ModelCommit> commits;

  [[nodiscard]] Offset end() const;
  [[nodiscard]] log::BatchDraft draft() const;
};

/// Makes batches from a seed and remembers those that were taken. Everything a reader may ask of
/// the log is answered from the plain lists, by going through all of them.
class LogModel {
 public:
  explicit LogModel(std::uint64_t seed) : random_(seed) {}

  /// The next batch: some commits to a few streams, or a control batch.
  /// @param bytes_max  about how large an event's data may get.
  [[nodiscard]] ModelBatch make_batch(std::size_t bytes_max = 200);
  /// `batch` is in the log.
  void take(ModelBatch batch);
  /// Only the first `count` batches are in the log.
  void cut(std::size_t count);

  [[nodiscard]] const std::vector<ModelBatch>& batches() const { return batches_; }
  [[nodiscard]] Offset end() const { return batches_.empty() ? Offset(0) : batches_.back().end(); }
  [[nodiscard]] std::uint64_t random(std::uint64_t below) { return random_() % below; }

  /// CHECKs that `log` answers every kind of question as the model does.
  void check_equal(const log::PartitionLog& log);

 private:
  [[nodiscard]] std::vector<Event> events() const;
  void check_cursor(const log::PartitionLog& log, const std::vector<Event>& expected,
                    Offset from) const;
  void check_streams(const log::PartitionLog& log, const std::vector<Event>& events);
  void check_commands(const log::PartitionLog& log) const;
  void check_times(const log::PartitionLog& log, const std::vector<Event>& all);

  std::mt19937_64 random_;
  std::vector<ModelBatch> batches_;
  std::map<std::string, std::uint64_t> versions_;
  std::uint64_t next_command_ = 0;
};

/// CHECKs that both say the same.
void check_same(const log::FoundEvent& found, const Event& expected);

}  // namespace keelson::test
