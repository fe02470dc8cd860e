#include "tests/simulation/model_log.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace keelson::simulation {

using replication::EncodedBatches;
using replication::LogEnd;
using replication::LogTail;

Epoch ModelLog::epoch_before(std::size_t batch) const {
  return batch == 0 ? Epoch(0) : batches[batch - 1].epoch;
}

LogEnd ModelLog::end() const { return {epoch_before(batches.size()), BatchNo(batches.size())}; }

Result<LogTail> ModelLog::tail(BatchNo from) const {
  if (from.value < removed) return fail(Errc::below_start, "removed");
  LogTail tail{from, epoch_before(from.value), {}, BatchNo(batches.size())};
  for (std::size_t i = from.value; i < batches.size(); ++i) {
    if (tail.epochs.empty() || tail.epochs.back().epoch != batches[i].epoch) {
      tail.epochs.push_back({batches[i].epoch, BatchNo(i)});
    }
  }
  return tail;
}

Result<EncodedBatches> ModelLog::read(BatchNo from, std::uint64_t bytes_max) const {
  if (from.value < removed) return fail(Errc::below_start, "removed");
  if (damaged == from.value) return fail(Errc::corruption, "damaged");
  EncodedBatches read{from, from, {}};
  while (read.end.value < batches.size() &&
         (read.bytes.empty() || read.bytes.size() + sizeof(ModelBatch) <= bytes_max)) {
    read.bytes.append(reinterpret_cast<const char*>(&batches[read.end.value]), sizeof(ModelBatch));
    ++read.end;
  }
  return read;
}

Result<log::Beginning> ModelLog::beginning(const log::InstallPlace& place) const {
  const std::size_t first = place.segment.value;
  if (first > batches.size()) return log::Beginning();
  if (first >= removed) return log::Beginning{{}, "begins at " + std::to_string(first)};
  log::RemovedPiece piece;
  piece.segment = place.segment;
  for (std::size_t i = first; i < std::min(first + 5, removed); ++i) {
    piece.bytes.append(reinterpret_cast<const char*>(&batches[i]), sizeof(ModelBatch));
  }
  piece.file_bytes = piece.bytes.size();
  return log::Beginning{std::move(piece), {}};
}

std::vector<ModelBatch> ModelLog::decode(const std::string& bytes) {
  std::vector<ModelBatch> batches(bytes.size() / sizeof(ModelBatch));
  std::memcpy(batches.data(), bytes.data(), batches.size() * sizeof(ModelBatch));
  return batches;
}

}  // namespace keelson::simulation
