// Untrusted bytes as batches that another replica sends: as they are, and with the checksums that
// their bytes would have. A log takes all of a call or nothing, holds what it has taken, and finds
// it again; what it is told to cut is gone.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/log_state.h"
#include "engine/log/partition_log.h"
#include "tests/fuzz/input.h"
#include "tests/support/simulated_file_system.h"

namespace {

using namespace keelson;
using namespace keelson::log;
using keelson::fuzz::Input;

constexpr Uuid kIdentity{{std::byte{7}}};
constexpr std::size_t kBatchesMax = 64;

std::uint32_t word(Input& input) { return std::uint32_t{input.byte()} << 8 | input.byte(); }

/// Adds the events of `body` to `tree`, if it is one.
bool walk(std::string_view body, const BatchHeader& header, MerkleFrontier& tree) {
  BodyReader reader(body, header.event_count, header.commit_count);
  while (true) {
    const auto commit = reader.next_commit();
    if (!commit) return false;
    if (*commit == nullptr) return true;
    while (true) {
      const auto event = reader.next_event();
      if (!event) return false;
      if (*event == nullptr) break;
      tree.add((*event)->leaf);
    }
  }
}

class Follower {
 public:
  Follower() { open(); }

  /// Bytes that have no right checksums but by a miracle.
  void send_raw(Input& input) {
    const auto bytes = input.bytes(word(input));
    const auto taken = log_->append_batches(bytes);
    KEELSON_ASSERT(taken.has_value() == bytes.empty());
    check();
  }

  /// Makes a batch, to be sent with others.
  void make(Input& input) {
    const std::uint8_t flags = input.byte();
    const auto flag = [&](unsigned bit) { return (flags >> bit & 1) != 0; };
    BatchHeader header;
    header.batch_no = state_.point.next_batch + (flag(0) ? 1 : 0);
    header.epoch = Epoch(state_.point.last_epoch.value + (flag(1) ? 1 : 0) - (flag(3) ? 1 : 0));
    header.time = TimeUs(state_.point.last_time.value + (flag(2) ? 1 : 0));
    header.base_offset = state_.point.end;
    header.durable_batches = flag(4) ? state_.point.next_batch : BatchNo(0);
    header.kind = flag(6) ? BatchKind::control : BatchKind::events;
    std::string body;
    if (!flag(6)) {
      header.event_count = input.byte();
      header.commit_count = input.byte();
      body = input.bytes(word(input));
    }
    header.length = static_cast<std::uint32_t>(kBatchHeaderBytes + body.size());
    body.resize(align_batch(body.size()), '\0');
    good_ &= walk(body, header, state_.tree) && !flag(0) && !flag(5) && !flag(7);
    good_ &= header.epoch >= state_.point.last_epoch;
    header.tree_root = state_.tree.root();
    header.tree_root[0] ^= static_cast<std::byte>(flag(5) ? 1 : 0);
    header.body_checksum = checksum(body, checksum_seed(kIdentity)) + (flag(7) ? 1 : 0);
    state_.point.advance(header);
    const auto bytes = encode_batch_header(header, checksum_seed(kIdentity));
    sent_.push_back(std::string(bytes.data(), bytes.size()) + body);
    states_.push_back(state_);
  }

  void send() {
    std::string bytes;
    for (const std::string& batch : sent_) bytes += batch;
    const auto taken = log_->append_batches(bytes);
    KEELSON_ASSERT(taken.has_value() == good_);
    if (good_) {
      batches_.insert(batches_.end(), sent_.begin(), sent_.end());
    } else {
      states_.resize(batches_.size() + 1);
    }
    forget_sent();
    check();
  }

  void cut(std::uint8_t to) {
    states_.resize(batches_.size() + 1);
    const std::size_t end = to % (batches_.size() + 1);
    KEELSON_ASSERT(log_->cut(BatchNo(end)).has_value());
    batches_.resize(end);
    states_.resize(end + 1);
    forget_sent();
    check();
  }

  void open() {
    states_.resize(batches_.size() + 1);
    forget_sent();
    log_.reset();
    disk_.kill();
    auto opened = PartitionLog::open(disk_, "log", kIdentity,
                                     {.segment_bytes = 64u << 10, .found_tail = FoundTail::held});
    KEELSON_ASSERT(opened.has_value());
    log_ = *std::move(opened);
    check();
  }

  [[nodiscard]] bool full() const { return states_.size() > kBatchesMax; }

 private:
  void forget_sent() {
    sent_.clear();
    good_ = true;
    state_ = states_.back();
  }

  void check() const {
    KEELSON_ASSERT(log_->appended() == states_[batches_.size()].point);
    KEELSON_ASSERT(log_->end() == Offset(0));
    std::string all;
    for (const std::string& batch : batches_) all += batch;
    if (batches_.empty()) return;
    const auto read = log_->read_batches(BatchNo(0), BatchNo(batches_.size()), UINT64_MAX);
    KEELSON_ASSERT(read.has_value() && read->bytes == all);
    const auto tail = log_->tail(BatchNo(0), BatchNo(batches_.size()));
    KEELSON_ASSERT(tail.has_value() && !tail->epochs.empty());
    KEELSON_ASSERT(tail->epochs.back().epoch == log_->last_epoch());
  }

  test::SimulatedFileSystem disk_{1};
  std::unique_ptr<PartitionLog> log_;
  std::vector<std::string> batches_;          ///< in the log
  std::vector<std::string> sent_;             ///< to be sent
  std::vector<LogState> states_{LogState()};  ///< before each of both, and after
  LogState state_;                            ///< after what is to be sent
  bool good_ = true;                          ///< what is to be sent
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Follower follower;
  while (!input.empty() && !follower.full()) {
    switch (input.byte() % 5) {
      case 0: follower.send_raw(input); break;
      case 1: follower.make(input); break;
      case 2: follower.send(); break;
      case 3: follower.cut(input.byte()); break;
      default: follower.open(); break;
    }
  }
  return 0;
}
