#include "engine/replication/log_prefix.h"

#include <algorithm>
#include <cstddef>

namespace keelson::replication {

namespace {

/// Where the batches of `tail`'s epoch number `i` end.
BatchNo end_of(const LogTail& tail, std::size_t i) {
  return i + 1 < tail.epochs.size() ? tail.epochs[i + 1].first : tail.end;
}

}  // namespace

std::optional<LogTail> since(const LogTail& tail, BatchNo from) {
  if (from <= tail.from) return tail;
  if (from > tail.end) return std::nullopt;
  LogTail rest{from, tail.epoch_before, {}, tail.end};
  for (const EpochStart& start : tail.epochs) {
    if (start.first < from) {
      rest.epoch_before = start.epoch;
      continue;
    }
    // The epoch of the batch before goes on.
    if (rest.epochs.empty() && start.first > from) rest.epochs.push_back({rest.epoch_before, from});
    rest.epochs.push_back(start);
  }
  if (rest.epochs.empty() && from < tail.end) rest.epochs.push_back({rest.epoch_before, from});
  return rest;
}

std::optional<BatchNo> common_prefix(const LogTail& log, const LogTail& other) {
  if (log.from != other.from || log.end < other.from || log.epoch_before != other.epoch_before) {
    return std::nullopt;
  }
  for (std::size_t i = other.epochs.size(); i-- > 0;) {
    const auto same = std::ranges::find(log.epochs, other.epochs[i].epoch, &EpochStart::epoch);
    if (same == log.epochs.end()) continue;
    // Both begin where the epoch does, or at `from` if it began before.
    if (same->first != other.epochs[i].first) return std::nullopt;
    const auto j = static_cast<std::size_t>(same - log.epochs.begin());
    return std::min(end_of(log, j), end_of(other, i));
  }
  return other.from;
}

}  // namespace keelson::replication
