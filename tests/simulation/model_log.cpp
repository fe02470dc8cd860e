#include "tests/simulation/model_log.h"

#include <cstring>

namespace keelson::simulation {

using replication::EncodedBatches;
using replication::LogEnd;
using replication::LogTail;

Epoch ModelLog::epoch_before(std::size_t batch) const {
  return batch == 0 ? Epoch(0) : batches[batch - 1].epoch;
}

LogEnd ModelLog::end() const { return {epoch_before(batches.size()), BatchNo(batches.size())}; }

Result<LogTail> ModelLog::tail(BatchNo from) const {
  LogTail tail{from, epoch_before(from.value), {}, BatchNo(batches.size())};
  for (std::size_t i = from.value; i < batches.size(); ++i) {
    if (tail.epochs.empty() || tail.epochs.back().epoch != batches[i].epoch) {
      tail.epochs.push_back({batches[i].epoch, BatchNo(i)});
    }
  }
  return tail;
}

Result<EncodedBatches> ModelLog::read(BatchNo from, std::uint64_t bytes_max) const {
  EncodedBatches read{from, from, {}};
  while (read.end.value < batches.size() &&
         (read.bytes.empty() || read.bytes.size() + sizeof(ModelBatch) <= bytes_max)) {
    read.bytes.append(reinterpret_cast<const char*>(&batches[read.end.value]), sizeof(ModelBatch));
    ++read.end;
  }
  return read;
}

std::vector<ModelBatch> ModelLog::decode(const std::string& bytes) {
  std::vector<ModelBatch> batches(bytes.size() / sizeof(ModelBatch));
  std::memcpy(batches.data(), bytes.data(), batches.size() * sizeof(ModelBatch));
  return batches;
}

}  // namespace keelson::simulation
