#include "engine/log/past_check.h"

#include <algorithm>
#include <utility>

#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/log_format.h"
#include "engine/log/sealed_index_format.h"
#include "engine/log/segment_bytes.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

namespace {

using Kind = LogFinding::Kind;

/// The first batch of the removed segment whose index is called `name`.
std::optional<BatchNo> first_batch_of(const std::string& name, bool fetched) {
  for (const std::string_view suffix : {kPastSuffix, kFetchedSuffix}) {
    if (!name.ends_with(suffix) || (suffix == kFetchedSuffix && !fetched)) continue;
    std::string segment = name.substr(0, name.size() - suffix.size());
    if (const auto first = parse_segment_name(segment += kSegmentSuffix)) return first;
  }
  return std::nullopt;
}

/// Whether the header of the index file `path` is as it was written. An index of another version is
/// recognised before its checksum is looked at.
bool has_whole_header(io::FileSystem& files, const std::string& path, const Uuid& identity) {
  const auto bytes = file_bytes(files, path);
  if (!bytes || bytes->size() < index_header::kBytes) return false;
  const std::string_view head = std::string_view(*bytes).substr(0, index_header::kHeaderChecksum);
  return checksum(head, checksum_seed(identity)) ==
         get<std::uint64_t>(*bytes, index_header::kHeaderChecksum);
}

class PastChecker {
 public:
  PastChecker(io::FileSystem& files, const Uuid& identity) : files_(files), identity_(identity) {}

  void check(const std::string& path, BatchNo first) {
    const auto loaded = load_past_index(files_, path);
    if (!loaded) {
      LogFinding finding = finding_of(loaded.error(), Kind::lost, path);
      if (finding.kind == Kind::unsupported && !has_whole_header(files_, path, identity_)) {
        finding.kind = Kind::lost;
      }
      past_.findings.push_back(std::move(finding));
      past_.end.reset();
      return;
    }
    const auto& [owner, index] = *loaded;
    if (owner.partition != identity_ || owner.first_batch != first) {
      found(path, "this is the index of batch " + std::to_string(owner.first_batch.value) +
                      (owner.partition == identity_ ? "" : " of another partition"));
      past_.end.reset();
      return;
    }
    if (past_.end && (past_.end->next_batch != first || past_.end->end != owner.base_offset)) {
      found(path, "it begins at batch " + std::to_string(first.value) +
                      ", and what was removed before it ends at batch " +
                      std::to_string(past_.end->next_batch.value));
    }
    if (const auto good = index->check_all(); !good) found(path, good.error().context);
    past_.removed.push_back(first);
    past_.end = LogPoint{first + index->batch_count(), owner.base_offset + index->event_count(),
                         Epoch(), TimeUs()};
  }

  PastCheck take() { return std::move(past_); }

 private:
  void found(const std::string& path, std::string what) {
    past_.findings.push_back({Kind::lost, path, std::move(what)});
  }

  io::FileSystem& files_;
  const Uuid identity_;
  PastCheck past_;
};

}  // namespace

PastCheck check_past(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                     const std::vector<std::string>& names, bool fetched) {
  std::vector<std::pair<BatchNo, std::string>> all;
  for (const std::string& name : names) {
    if (const auto first = first_batch_of(name, fetched)) all.emplace_back(*first, name);
  }
  std::ranges::sort(all);
  PastChecker checker(files, identity);
  for (const auto& [first, name] : all) checker.check(folder + "/" + name, first);
  return checker.take();
}

}  // namespace keelson::log
