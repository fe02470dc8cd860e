#include "tests/simulation/real_history.h"

#include <algorithm>
#include <utility>

#include "engine/log/batch.h"
#include "engine/log/codec.h"
#include "engine/log/log_format.h"

namespace keelson::simulation {

std::string AccountEvent::text() const {
  return std::to_string(amount) + " " + std::to_string(balance) + " ";
}

AccountEvent AccountEvent::of(std::string_view data) {
  const std::string numbers(data.substr(0, 48));
  std::size_t amount_end = 0;
  AccountEvent event;
  event.amount = std::stoll(numbers, &amount_end);
  event.balance = std::stoll(numbers.substr(amount_end));
  return event;
}

KnownOutcome KnownOutcome::of(const CommitOutcome& outcome) {
  KnownOutcome known;
  known.rejected = outcome.rejected;
  known.detail = outcome.detail;
  if (!outcome.rejected) {
    known.first = outcome.first;
    known.end = outcome.end;
  }
  for (const auto& write : outcome.written) {
    known.written[write.stream] = {write.first, write.end};
  }
  return known;
}

std::string KnownOutcome::to_string() const {
  if (rejected) return "rejected: " + detail;
  std::string text = std::to_string(first.value) + ".." + std::to_string(end.value);
  for (const auto& [stream, versions] : written) {
    text += " " + stream + " " + std::to_string(versions.first.value) + ".." +
            std::to_string(versions.second.value);
  }
  return text;
}

void RealHistory::publish(std::uint64_t number, const std::string& batch) {
  if (number < batches_.size()) {
    if (batches_[number] != batch) {
      fail_("batch " + std::to_string(number) + " is another one than was published elsewhere");
    }
    return;
  }
  if (number > batches_.size()) return fail_("batches are published out of order");
  batches_.push_back(batch);
  learn(batch);
}

void RealHistory::learn(const std::string& batch) {
  const auto header = log::decode_batch_header(batch, log::checksum_seed(identity_));
  if (!header) return fail_("a published batch cannot be read: " + header.error().message());
  if (header->batch_no.value + 1 != batches_.size()) return fail_("a batch has another number");
  if (header->base_offset.value != events_) return fail_("offsets are not dense");
  const auto stored = std::string_view(batch).substr(log::kBatchHeaderBytes);
  std::string body(stored);
  if (header->codec == log::Codec::zstd) {
    auto decompressed = log::decompress_body(stored, log::kBatchBytesMax);
    if (!decompressed) return fail_("a published batch cannot be decompressed");
    body = *std::move(decompressed);
  }
  log::BodyReader reader(body, header->event_count, header->commit_count);
  for (std::uint32_t c = 0; c < header->commit_count; ++c) {
    const auto commit = reader.next_commit();
    if (!commit || *commit == nullptr) return fail_("a published commit cannot be read");
    if ((*commit)->header.kind == log::CommitKind::group_offset) continue;
    const std::string id((*commit)->header.key.id);
    KnownOutcome outcome;
    outcome.rejected = (*commit)->header.kind == log::CommitKind::rejected;
    outcome.detail = (*commit)->header.detail;
    const std::uint32_t count = (*commit)->header.event_count;
    if (!outcome.rejected) outcome.first = Offset(events_);
    std::int64_t sum = 0;
    for (std::uint32_t e = 0; e < count; ++e) {
      const auto event = reader.next_event();
      if (!event || *event == nullptr) return fail_("a published event cannot be read");
      const log::EventRecord& record = (*event)->record;
      auto& stream = streams_[std::string(record.stream)];
      stream.push_back({events_++, std::string(record.data)});
      if (record.version.value != stream.size()) return fail_("versions are not dense");
      const AccountEvent account = AccountEvent::of(record.data);
      sum += account.amount;
      if (account.balance - account.amount != balances_[std::string(record.stream)]) {
        return fail_("an event was decided on another state than it follows");
      }
      balances_[std::string(record.stream)] = account.balance;
      auto& versions = outcome.written[std::string(record.stream)];
      if (versions.first == Version(0)) versions.first = record.version;
      versions.second = record.version + 1;
    }
    if (!outcome.rejected) outcome.end = Offset(events_);
    if (sum != 0) return fail_("money is made or lost at offset " + std::to_string(events_));
    if (const auto refused = refused_.find(id); refused != refused_.end()) {
      return fail_("command " + id + " is committed, but was answered " + refused->second);
    }
    if (!outcomes_.emplace(id, outcome).second) {
      return fail_("command " + id + " is committed twice");
    }
  }
}

void RealHistory::go_back(std::uint64_t end) {
  auto batches = std::exchange(batches_, {});
  batches.resize(std::min<std::size_t>(end, batches.size()));
  events_ = 0;
  streams_.clear();
  balances_.clear();
  outcomes_.clear();
  for (std::uint64_t number = 0; number < batches.size(); ++number) {
    publish(number, batches[number]);
  }
}

void RealHistory::acknowledge(const std::string& id, const KnownOutcome& outcome) {
  acknowledged_.insert(id);
  const auto known = outcomes_.find(id);
  if (known == outcomes_.end()) {
    return fail_("command " + id + " is acknowledged, but not committed");
  }
  if (known->second != outcome) {
    fail_("command " + id + " is answered " + outcome.to_string() + ", but was " +
          known->second.to_string());
  }
}

void RealHistory::refuse(const std::string& id, const std::string& how) {
  refused_[id] = how;
  if (outcomes_.contains(id)) fail_("command " + id + " is answered " + how + ", but committed");
}

}  // namespace keelson::simulation
