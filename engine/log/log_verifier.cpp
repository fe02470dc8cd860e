#include "engine/log/log_verifier.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/log/index_feed.h"
#include "engine/log/log_format.h"
#include "engine/log/log_install.h"
#include "engine/log/past_segments.h"
#include "engine/log/sealed_index_writer.h"
#include "engine/log/segment_bytes.h"
#include "engine/log/segment_files.h"
#include "engine/log/segment_group.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_scan.h"
#include "engine/log/segment_sealer.h"
#include "engine/log/tail_cut.h"

namespace keelson::log {

namespace {

using Kind = LogFinding::Kind;

/// How often the segment that a server is writing is read, when what is read looks damaged: it may
/// have been read while the server wrote it.
constexpr int kTriesOfTail = 3;

Result<void> ignore(const StoredBatch& /*batch*/) { return {}; }

/// Walks the segments of one log, oldest first.
class LogVerifier {
 public:
  LogVerifier(io::FileSystem& files, std::string folder, const Uuid& identity)
      : files_(files),
        folder_(std::move(folder)),
        identity_(identity),
        seed_(checksum_seed(identity)),
        hasher_(identity) {}

  Result<LogReport> run(const std::function<void(std::uint64_t)>& read_bytes) {
    KEELSON_TRY_ASSIGN(const bool there, files_.exists(folder_));
    if (!there) {
      found(Kind::lost, folder_, "the folder is missing");
      return std::move(report_);
    }
    KEELSON_TRY_ASSIGN(const bool half, has_install_mark(files_, folder_));
    if (half) {
      found(Kind::torn, path_of(std::string(kInstallMarkName)),
            "the log is being given another beginning, which a start finishes");
      return std::move(report_);
    }
    KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
    KEELSON_TRY(verify_past(names));
    std::vector<SegmentOnDisk> segments = find_segments(names);
    std::erase_if(segments, [&](const SegmentOnDisk& segment) {
      return past_ && past_->contains(segment.first_batch);
    });
    if (segments.empty()) found(Kind::lost, folder_, "there is no segment");
    KEELSON_TRY_ASSIGN(const auto marked, find_mark());
    if (marked) {
      found(Kind::torn, path_of(std::string(kMarkName)),
            "batches from " + std::to_string(marked->value) +
                " on do not count: they were being removed, or taken from another replica");
      // All of these go; one stays in any case.
      while (segments.size() > 1 && segments.back().first_batch >= *marked) segments.pop_back();
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::uint64_t before = report_.bytes;
      auto verified = i + 1 < segments.size() ? verify_sealed(segments[i], segments[i + 1])
                                              : verify_last(segments[i]);
      if (!verified) KEELSON_TRY(removed_meanwhile(segments[i].name, std::move(verified).error()));
      if (read_bytes) read_bytes(report_.bytes - before);
    }
    KEELSON_TRY(verify_groups(names));
    if (state_) report_.tree_root = state_->tree.root();
    return std::move(report_);
  }

 private:
  void found(Kind kind, std::string file, std::string what) {
    report_.findings.push_back({kind, std::move(file), std::move(what)});
  }

  [[nodiscard]] std::string path_of(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] std::string path_of(const SegmentOnDisk& segment) const {
    return segment_file(path_of(segment.name), segment.form);
  }

  [[nodiscard]] bool compressed_meanwhile(SegmentOnDisk& segment) const {
    const auto there = files_.exists(segment_file(path_of(segment.name), SegmentForm::compressed));
    if (there && *there) segment.form = SegmentForm::compressed;
    return segment.form == SegmentForm::compressed;
  }

  /// All of a segment, or nothing after a finding. A server may compress it meanwhile.
  Result<std::optional<std::string>> bytes_of(SegmentOnDisk& segment) {
    auto bytes = segment_bytes(files_, path_of(segment.name), segment.form);
    if (!bytes && bytes.error().code == Errc::not_found && compressed_meanwhile(segment)) {
      bytes = segment_bytes(files_, path_of(segment.name), segment.form);
    }
    if (bytes) return *std::move(bytes);
    if (!is_damage(bytes.error().code)) return std::unexpected(std::move(bytes).error());
    found(Kind::lost, path_of(segment), bytes.error().context);
    return std::nullopt;
  }

  /// The mark, if there is one that can be read.
  Result<std::optional<BatchNo>> find_mark() {
    auto mark = read_mark(files_, folder_, identity_);
    if (mark || !is_damage(mark.error().code)) return mark;
    found(Kind::lost, path_of(std::string(kMarkName)), mark.error().context);
    return std::nullopt;
  }

  /// What is left of removed segments. Nothing could make it again.
  Result<void> verify_past(const std::vector<std::string>& names) {
    auto past = read_past(files_, folder_, identity_, names);
    if (!past && !is_damage(past.error().code)) return std::unexpected(past.error());
    if (!past) {
      found(Kind::lost, folder_, past.error().context);
      return {};
    }
    past_ = *std::move(past);
    report_.start = past_->end.end;
    for (const PastSegment& segment : past_->segments) {
      KEELSON_TRY_ASSIGN(const auto loaded, load_past_index(files_, past_path(segment.path)));
      if (const auto good = loaded.second->check_all(); !good) {
        found(Kind::lost, past_path(segment.path), good.error().context);
      }
    }
    return {};
  }

  /// A server's retention may take a segment away while the store is verified.
  Result<void> removed_meanwhile(const std::string& name, Error error) {
    KEELSON_TRY_ASSIGN(const bool past, files_.exists(past_path(path_of(name))));
    if (!past || error.code != Errc::not_found) return std::unexpected(std::move(error));
    begun_ = true;
    state_.reset();
    return {};
  }

  /// The header of a segment, or nothing after a finding.
  Result<std::optional<SegmentHeader>> header_of(const SegmentOnDisk& segment,
                                                 std::string_view bytes) {
    auto header = decode_segment_header(bytes.substr(0, kSegmentHeaderBytes), identity_);
    if (!header && !is_damage(header.error().code)) return std::unexpected(header.error());
    if (header && header->start.point.next_batch == segment.first_batch) return *header;
    found(Kind::lost, path_of(segment),
          header ? "the header is of another segment" : header.error().context + ", at byte 0");
    return std::nullopt;
  }

  /// Whether a segment begins where the one before it ended; unknown when that one is damaged.
  void check_continues(const SegmentOnDisk& segment, const SegmentHeader& header) {
    LogState expected = state_.value_or(header.start);
    if (!begun_ && past_ && past_->segments.empty()) expected = LogState();
    // What has been removed left its numbers, and no tree.
    if (!begun_ && past_) {
      expected.point.next_batch = past_->end.next_batch;
      expected.point.end = past_->end.end;
    }
    begun_ = true;
    if (header.start.point == expected.point && header.start.tree.root() == expected.tree.root()) {
      return;
    }
    found(Kind::lost, path_of(segment),
          "it begins at batch " + std::to_string(header.start.point.next_batch.value) +
              ", and what is before it ends at batch " +
              std::to_string(expected.point.next_batch.value) +
              (header.start.point == expected.point ? " with another tree_root" : ""));
  }

  /// A segment that another one follows.
  Result<void> verify_sealed(SegmentOnDisk& segment, SegmentOnDisk& following) {
    KEELSON_TRY_ASSIGN(const auto read, bytes_of(segment));
    if (!read) return pass_over({});
    const std::string_view bytes = *read;
    KEELSON_TRY_ASSIGN(const auto header, header_of(segment, bytes));
    if (!header) return pass_over(bytes);
    check_continues(segment, *header);
    KEELSON_TRY_ASSIGN(const auto next, start_of(following));
    // Without the next one's header all that is known of the end is that something follows.
    if (!next) return pass_over(bytes);
    TailIndex index(bytes.size());
    std::uint64_t batches = 0;
    const auto end =
        scan_sealed(bytes, header->start, next->point, seed_, [&](const StoredBatch& batch) {
          ++batches;
          return add_to_index(index, hasher_, header->start.point, batch);
        });
    if (!end && !is_damage(end.error().code)) return std::unexpected(end.error());
    if (!end) {
      found(Kind::lost, path_of(segment), end.error().context);
      return pass_over(bytes);
    }
    count(bytes, batches, next->point.end - header->start.point.end);
    state_ = *next;
    return verify_index(segment.name, index,
                        {identity_, header->start.point.next_batch, header->start.point.end, *end});
  }

  /// Where a segment begins, by its header; nothing when that is damaged, which is found later.
  Result<std::optional<LogState>> start_of(SegmentOnDisk& segment) {
    auto bytes = segment_head(files_, path_of(segment.name), segment.form);
    if (!bytes && bytes.error().code == Errc::not_found && compressed_meanwhile(segment)) {
      bytes = segment_head(files_, path_of(segment.name), segment.form);
    }
    if (!bytes && is_damage(bytes.error().code)) return std::nullopt;
    if (!bytes) return std::unexpected(bytes.error());
    auto header = decode_segment_header(*bytes, identity_);
    if (header) return std::move(header->start);
    if (is_damage(header.error().code)) return std::nullopt;
    return std::unexpected(std::move(header).error());
  }

  /// The segment that is written, or was when the server ended.
  Result<void> verify_last(SegmentOnDisk& segment) {
    for (int tries = 1;; ++tries) {
      const std::size_t findings = report_.findings.size();
      KEELSON_TRY_ASSIGN(const auto read, bytes_of(segment));
      if (!read) return pass_over({});
      const std::string_view bytes = *read;
      KEELSON_TRY_ASSIGN(const auto header, header_of(segment, bytes));
      if (!header) return pass_over(bytes);
      check_continues(segment, *header);
      // Each time: a server that takes batches of another replica makes one and lifts it.
      const auto mark = read_mark(files_, folder_, identity_);
      auto scan = mark && *mark ? scan_to_mark(bytes, header->start, **mark)
                                : scan_tail(bytes, header->start, seed_, ignore);
      if (!scan && !is_damage(scan.error().code)) return std::unexpected(scan.error());
      const bool good = scan && !scan->torn;
      if (!good && tries < kTriesOfTail) {
        report_.findings.resize(findings);
        continue;
      }
      if (!scan) {
        found(Kind::lost, path_of(segment), scan.error().context);
        return pass_over(bytes);
      }
      KEELSON_TRY_ASSIGN(const bool whole, has_its_length(bytes, *header, scan->end.point));
      if (!whole) {
        found(Kind::lost, path_of(segment),
              "it has been cut at byte " + std::to_string(bytes.size()) + " of " +
                  std::to_string(header->capacity));
        return pass_over(bytes);
      }
      if (scan->torn) {
        found(Kind::torn, path_of(segment),
              std::to_string(scan->torn->bytes) + " bytes of a write that was cut short, at byte " +
                  std::to_string(scan->torn->position));
      }
      const LogPoint& end = scan->end.point;
      count(bytes, end.next_batch - header->start.point.next_batch,
            end.end - header->start.point.end);
      state_ = std::move(scan->end);
      return {};
    }
  }

  [[nodiscard]] Result<SegmentScan> scan_to_mark(std::string_view bytes, const LogState& start,
                                                 BatchNo mark) const {
    KEELSON_TRY_ASSIGN(auto place, scan_until(bytes, start, mark, seed_));
    return SegmentScan{std::move(place.state), place.position, std::nullopt};
  }

  /// A segment has its full length until it is sealed: then, with the names listed before, it is
  /// followed by one that begins at `end`.
  Result<bool> has_its_length(std::string_view bytes, const SegmentHeader& header,
                              const LogPoint& end) {
    if (bytes.size() >= header.capacity) return true;
    if (end == header.start.point) return false;  // what it would be followed by is itself
    return files_.exists(path_of(segment_name(end.next_batch)));
  }

  void count(std::string_view bytes, std::uint64_t batches, std::uint64_t events) {
    ++report_.segments;
    report_.bytes += bytes.size();
    report_.batches += batches;
    report_.events += events;
  }

  Result<void> pass_over(std::string_view bytes) {
    count(bytes, 0, 0);
    state_.reset();
    return {};
  }

  /// An index is the same for the same segment, byte by byte.
  Result<void> verify_index(const std::string& name, const TailIndex& index, const SegmentId& id) {
    std::string path = index_path(path_of(name));
    KEELSON_TRY_ASSIGN(bool there, files_.exists(path));
    if (!there) {
      path = past_path(path_of(name));  // removed meanwhile
      KEELSON_TRY_ASSIGN(there, files_.exists(path));
    }
    if (!there) {
      found(Kind::derived, index_path(path_of(name)), "it is missing");
      return {};
    }
    KEELSON_TRY_ASSIGN(const std::string stored, file_bytes(files_, path));
    const std::string made = seal_index(index, id);
    if (stored == made) return {};
    const auto [at, of_made] = std::ranges::mismatch(stored, made);
    found(Kind::derived, path,
          "it differs from one made anew, from byte " + std::to_string(at - stored.begin()));
    return {};
  }

  Result<void> verify_groups(const std::vector<std::string>& names) {
    const SegmentContext context{files_, identity_, std::make_shared<OpenSegments>(1)};
    for (const std::string& name : names) {
      if (!is_group_name(name)) continue;
      const auto group = SegmentGroup::open(context, path_of(name));
      const Result<void> good = group ? (*group)->check() : std::unexpected(group.error());
      if (good || good.error().code == Errc::not_found) continue;
      if (!is_damage(good.error().code)) return std::unexpected(good.error());
      found(Kind::derived, path_of(name), good.error().context);
    }
    return {};
  }

  io::FileSystem& files_;
  const std::string folder_;
  const Uuid identity_;
  const ChecksumSeed seed_;
  const KeyHasher hasher_;
  LogReport report_;
  std::optional<Past> past_;       ///< unless it is damaged
  bool begun_ = false;             ///< the first segment has been looked at, or was removed before
  std::optional<LogState> state_;  ///< after the last segment, when it is good
};

}  // namespace

Result<LogReport> verify_log(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                             const std::function<void(std::uint64_t)>& read_bytes) {
  return LogVerifier(files, folder, identity).run(read_bytes);
}

}  // namespace keelson::log
