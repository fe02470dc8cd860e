#include "engine/log/log_verifier.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/io/unmapped_files.h"
#include "engine/log/index_feed.h"
#include "engine/log/log_format.h"
#include "engine/log/open_segment.h"
#include "engine/log/partition_names.h"
#include "engine/log/past_check.h"
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

/// How often something is looked at that stays amiss in the same place while a server has the
/// folder: it may be what the server does just now. With pauses of 100 ms, two seconds.
constexpr int kLooksInUse = 20;
/// Where something is amiss in another place each time, a server is at work.
constexpr int kLooksMax = 60;
/// A server may have ended between the first look and the question whether there is one.
constexpr int kLooksAtRest = 2;
/// How often a log is begun again, when files that were listed have gone.
constexpr int kWalks = 3;

Result<void> ignore(const StoredBatch& /*batch*/) { return {}; }

/// Whether a segment's header is whole and of another partition, which is no newer version.
bool is_of_another_partition(std::string_view bytes) {
  constexpr std::size_t kIdentity = 16;
  if (bytes.size() < kSegmentHeaderBytes) return false;
  Uuid other;
  std::ranges::copy(std::as_bytes(std::span(bytes.substr(kIdentity, other.bytes.size()))),
                    other.bytes.begin());
  return decode_segment_header(bytes, other).has_value();
}

/// Goes through one log, oldest segment first.
class LogWalk {
 public:
  LogWalk(io::FileSystem& files, const std::string& folder, const Uuid& identity,
          const LogVerifying& how)
      : files_(files),
        folder_(folder),
        identity_(identity),
        how_(how),
        seed_(checksum_seed(identity)),
        hasher_(identity) {}

  LogReport run() {
    const auto names = files_.list(folder_);
    if (!names) {
      names.error().code == Errc::not_found
          ? found(Kind::lost, path_of(segment_name(BatchNo(0))), "it is missing, with its folder")
          : found(finding_of(names.error(), Kind::lost, folder_));
      return std::move(report_);
    }
    find_install();
    past_ = check_past(files_, folder_, identity_, *names, beginning_.has_value());
    for (LogFinding& finding : past_.findings) found(std::move(finding));
    if (past_.end) report_.start = past_.end->end;
    std::vector<SegmentOnDisk> segments = segments_of(*names);
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::uint64_t before = report_.bytes;
      i + 1 < segments.size() ? verify_sealed(segments[i], segments[i + 1])
                              : verify_last(segments[i]);
      if (how_.read_bytes) how_.read_bytes(report_.bytes - before);
    }
    verify_groups(*names);
    find_strays(*names);
    if (state_) report_.tree_root = state_->tree.root();
    return std::move(report_);
  }

  /// Whether a file was not there any more when it was to be read.
  [[nodiscard]] bool missed() const { return missed_; }

 private:
  void found(LogFinding finding) { report_.findings.push_back(std::move(finding)); }
  void found(Kind kind, std::string file, std::string what,
             std::optional<std::uint64_t> position = std::nullopt) {
    found({kind, std::move(file), std::move(what), position});
  }

  [[nodiscard]] bool in_use() const { return how_.in_use && how_.in_use(); }
  void pause() const {
    if (how_.pause) how_.pause();
  }

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return folder_ + "/" + std::string(name);
  }
  /// Of the plain file.
  [[nodiscard]] std::string path_of(const SegmentOnDisk& segment) const {
    return path_of(beginning_ ? kStartName : std::string_view(segment.name));
  }
  [[nodiscard]] std::string file_of(const SegmentOnDisk& segment) const {
    return segment_file(path_of(segment), segment.form);
  }
  [[nodiscard]] bool exists(const std::string& path) const {
    return files_.exists(path).value_or(false);
  }

  /// Another beginning that a start finishes: then what is to be is verified, and not what was.
  void find_install() {
    const std::string path = path_of(kInstallMarkName);
    const auto first = read_mark(files_, folder_, identity_, Mark::install);
    if (!first) return found(finding_of(first.error(), Kind::lost, path));
    if (!*first) return;
    found(Kind::unfinished, path,
          "the log is being given another beginning, at batch " + std::to_string((*first)->value));
    // The last step gives this one its name; after that the mark alone is left.
    if (exists(path_of(kStartName))) beginning_ = **first;
  }

  /// Those that count.
  std::vector<SegmentOnDisk> segments_of(const std::vector<std::string>& names) {
    if (beginning_) return {{segment_name(*beginning_), *beginning_, SegmentForm::plain}};
    std::vector<SegmentOnDisk> segments = find_segments(names);
    std::erase_if(segments, [&](const SegmentOnDisk& segment) {
      return std::ranges::find(past_.removed, segment.first_batch) != past_.removed.end();
    });
    if (segments.empty()) {
      const BatchNo first = past_.end ? past_.end->next_batch : BatchNo(0);
      found(Kind::lost, path_of(segment_name(first)), "it is missing: there is no segment");
    }
    const auto mark = read_mark(files_, folder_, identity_);
    if (!mark) {
      found(finding_of(mark.error(), Kind::lost, path_of(kMarkName)));
    } else if (*mark) {
      found(Kind::unfinished, path_of(kMarkName),
            "batches from " + std::to_string((*mark)->value) +
                " on do not count: they were being removed, or taken from another replica");
      // All of these go; one stays in any case.
      while (segments.size() > 1 && segments.back().first_batch >= **mark) segments.pop_back();
    }
    return segments;
  }

  /// All of a compressed segment, or nothing after a finding.
  Result<std::string> decompressed(const std::string& path, std::uint64_t& damaged_at) {
    auto file = SegmentFile::open_form(files_, path, SegmentForm::compressed, {});
    if (!file && file.error().code == Errc::unsupported_format) {
      // Nothing in the table says whether it is whole.
      return fail(Errc::corruption, file.error().context);
    }
    if (!file) return std::unexpected(file.error());
    const SegmentFile& segment = **file;
    for (std::uint64_t at = 0; at < segment.bytes.size();
         at = at == 0 ? kFirstFrameBytes : at + kFrameBytes) {
      damaged_at = segment.compressed->frame_of(at);
      KEELSON_TRY(segment.need(at, 1));
    }
    return std::string(segment.bytes);
  }

  /// All of a segment, or nothing when that has been noted. A server may compress or remove it.
  std::optional<std::string> bytes_of(SegmentOnDisk& segment) {
    std::optional<std::uint64_t> position;
    const auto read = [&]() -> Result<std::string> {
      if (segment.form == SegmentForm::plain) return file_bytes(files_, path_of(segment));
      std::uint64_t at = 0;
      auto bytes = decompressed(path_of(segment), at);
      if (!bytes && bytes.error().code == Errc::corruption && at > 0) position = at;
      return bytes;
    };
    auto bytes = read();
    if (!bytes && bytes.error().code == Errc::not_found && compressed_meanwhile(segment)) {
      bytes = read();
    }
    if (bytes) return *std::move(bytes);
    if (bytes.error().code == Errc::not_found) {
      if (exists(past_path(path_of(segment)))) return std::nullopt;  // removed meanwhile
      missed_ = true;
    }
    found(finding_of(bytes.error(), Kind::lost, file_of(segment), position));
    return std::nullopt;
  }

  [[nodiscard]] bool compressed_meanwhile(SegmentOnDisk& segment) const {
    if (exists(segment_file(path_of(segment), SegmentForm::compressed))) {
      segment.form = SegmentForm::compressed;
    }
    return segment.form == SegmentForm::compressed;
  }

  /// The header of a segment, or nothing after a finding.
  std::optional<SegmentHeader> header_of(const SegmentOnDisk& segment, std::string_view bytes) {
    auto header = decode_segment_header(bytes.substr(0, kSegmentHeaderBytes), identity_);
    if (header && header->start.point.next_batch == segment.first_batch) return *header;
    if (header) {
      found(Kind::lost, file_of(segment), "the header is of another segment, at byte 0", 0);
      return std::nullopt;
    }
    LogFinding finding = finding_of(header.error(), Kind::lost, file_of(segment), 0);
    if (is_of_another_partition(bytes)) finding.kind = Kind::lost;
    finding.what += ", at byte 0";
    found(std::move(finding));
    return std::nullopt;
  }

  /// Whether a segment begins where the one before it ended; unknown when that one is damaged.
  void check_continues(const SegmentOnDisk& segment, const SegmentHeader& header) {
    LogState expected = state_.value_or(header.start);
    if (!begun_ && past_.end) {
      if (past_.removed.empty()) {
        expected = LogState();
      } else {
        // What has been removed left its numbers, and no tree.
        expected.point.next_batch = past_.end->next_batch;
        expected.point.end = past_.end->end;
      }
    }
    begun_ = true;
    if (header.start.point == expected.point && header.start.tree.root() == expected.tree.root()) {
      return;
    }
    found(Kind::lost, file_of(segment),
          "it begins at batch " + std::to_string(header.start.point.next_batch.value) +
              ", and what is before it ends at batch " +
              std::to_string(expected.point.next_batch.value) +
              (header.start.point == expected.point ? " with another tree_root" : ""));
  }

  /// A segment that another one follows.
  void verify_sealed(SegmentOnDisk& segment, SegmentOnDisk& following) {
    const auto read = bytes_of(segment);
    if (!read) return pass_over({});
    const std::string_view bytes = *read;
    const auto header = header_of(segment, bytes);
    if (!header) return pass_over(bytes);
    check_continues(segment, *header);
    TailIndex index(bytes.size());
    std::uint64_t batches = 0;
    BatchScan scan(bytes, header->start, seed_);
    const auto ended = scan.run([&](const StoredBatch& batch) {
      ++batches;
      return add_to_index(index, hasher_, header->start.point, batch);
    });
    const LogPoint end = scan.state().point;
    if (!ended) {
      found(finding_of(ended.error(), Kind::lost, file_of(segment), scan.position()));
      return pass_over(bytes);
    }
    // Without the next one's header all that is known of the end is that nothing follows it.
    const auto next = start_of(following);
    const std::size_t rest = bytes.find_first_not_of('\0', scan.position());
    if (next ? end != next->point : rest != bytes.npos) {
      found(Kind::lost, file_of(segment),
            "batch " + std::to_string(end.next_batch.value) + " at byte " +
                std::to_string(scan.position()) +
                " fails its checksum or is missing; the next segment starts with batch " +
                std::to_string(following.first_batch.value),
            scan.position());
      return pass_over(bytes);
    }
    if (rest != bytes.npos) {
      found(Kind::unknown, file_of(segment),
            "after its last batch there are bytes that belong to nothing, at byte " +
                std::to_string(rest),
            rest);
    }
    count(bytes, batches, end.end - header->start.point.end);
    state_ = std::move(scan.state());
    verify_index(
        segment, *header, index,
        {identity_, header->start.point.next_batch, header->start.point.end, scan.position()});
  }

  /// Where a segment begins, by its header; nothing when that is damaged, which is found later.
  std::optional<LogState> start_of(SegmentOnDisk& segment) {
    auto bytes = segment_head(files_, path_of(segment), segment.form);
    if (!bytes && bytes.error().code == Errc::not_found && compressed_meanwhile(segment)) {
      bytes = segment_head(files_, path_of(segment), segment.form);
    }
    if (!bytes) return std::nullopt;
    auto header = decode_segment_header(*bytes, identity_);
    if (!header) return std::nullopt;
    return std::move(header->start);
  }

  /// What one look at the last segment has found.
  struct TailLook {
    std::optional<LogFinding> amiss;
    std::uint64_t bytes = 0;
    LogPoint start;
    std::optional<LogState> end;  ///< of what is whole
  };

  /// The segment that is written, or was when the server ended.
  void verify_last(SegmentOnDisk& segment) {
    bool served = false;
    int looks_alike = 1;
    std::optional<LogFinding> before;
    for (int looks = 1;; ++looks) {
      const auto read = bytes_of(segment);
      if (!read) return pass_over({});
      TailLook look = look_at_last(segment, *read, served);
      looks_alike = look.amiss == before ? looks_alike + 1 : 1;
      before = look.amiss;
      const bool settled = !look.amiss || (looks_alike >= (served ? kLooksInUse : kLooksAtRest));
      if (settled || looks == kLooksMax) return take_last(segment, *read, std::move(look), settled);
      served = in_use();
      pause();
    }
  }

  TailLook look_at_last(const SegmentOnDisk& segment, std::string_view bytes, bool served) {
    TailLook look{.amiss = {}, .bytes = bytes.size(), .start = {}, .end = {}};
    const std::string file = file_of(segment);
    const auto header = decode_segment_header(bytes.substr(0, kSegmentHeaderBytes), identity_);
    if (!header) return look;  // `take_last` says so
    look.start = header->start.point;
    // Each time: a server that takes batches of another replica makes one and lifts it.
    const auto mark = read_mark(files_, folder_, identity_);
    auto scan = mark && *mark && !beginning_ ? scan_to_mark(bytes, header->start, **mark)
                                             : scan_tail(bytes, header->start, seed_, ignore);
    if (!scan) {
      BatchScan again(bytes, header->start, seed_);
      [[maybe_unused]] const auto ended = again.run(ignore);
      look.amiss = finding_of(scan.error(), Kind::lost, file, again.position());
      return look;
    }
    if (!has_its_length(bytes, *header, scan->end.point)) {
      look.amiss = {Kind::lost, file,
                    "it has been cut at byte " + std::to_string(bytes.size()) + " of " +
                        std::to_string(header->capacity),
                    bytes.size()};
      return look;
    }
    if (scan->torn) look.amiss = torn(file, *header, *scan, bytes, served);
    look.end = std::move(scan->end);
    return look;
  }

  static LogFinding torn(const std::string& file, const SegmentHeader& header,
                         const SegmentScan& scan, std::string_view bytes, bool served) {
    const std::uint64_t at = scan.torn->position;
    if (const std::size_t first = bytes.find_first_not_of('\0', at); first >= header.capacity) {
      return {Kind::unknown, file,
              "behind the segment's end there are bytes that belong to nothing, at byte " +
                  std::to_string(first),
              first};
    }
    const std::string what = "batch " + std::to_string(scan.end.point.next_batch.value) +
                             " is not whole: " + std::to_string(scan.torn->bytes) +
                             " bytes at byte " + std::to_string(at) + ". ";
    if (!served) {
      return {Kind::undecided, file,
              what +
                  "Either it was not written to its end, and nobody was told of it, or it was "
                  "and has rotted since",
              at};
    }
    return {Kind::undecided, file,
            what +
                "It stays so while a server has this folder, so it is no write that is under "
                "way: what the server has acknowledged may have rotted since",
            at};
  }

  /// @param settled  what is amiss has been so in the same place again and again.
  void take_last(const SegmentOnDisk& segment, std::string_view bytes, TailLook look,
                 bool settled) {
    const auto header = header_of(segment, bytes);
    if (!header) return pass_over(bytes);
    check_continues(segment, *header);
    // A place that moves on is one where a server writes: what is before it is verified.
    const bool written = look.end && look.amiss && look.amiss->kind == Kind::undecided && !settled;
    if (look.amiss && !written) found(*std::move(look.amiss));
    if (!look.end) return pass_over(bytes);
    count(bytes, look.end->point.next_batch - look.start.next_batch,
          look.end->point.end - look.start.end);
    state_ = std::move(look.end);
  }

  [[nodiscard]] Result<SegmentScan> scan_to_mark(std::string_view bytes, const LogState& start,
                                                 BatchNo mark) const {
    KEELSON_TRY_ASSIGN(auto place, scan_until(bytes, start, mark, seed_));
    return SegmentScan{std::move(place.state), place.position, std::nullopt};
  }

  /// A segment has its full length until it is sealed: then, with the names listed before, it is
  /// followed by one that begins at `end`.
  [[nodiscard]] bool has_its_length(std::string_view bytes, const SegmentHeader& header,
                                    const LogPoint& end) const {
    if (bytes.size() >= header.capacity) return true;
    if (end == header.start.point) return false;  // what it would be followed by is itself
    return exists(path_of(segment_name(end.next_batch)));
  }

  void count(std::string_view bytes, std::uint64_t batches, std::uint64_t events) {
    ++report_.segments;
    report_.bytes += bytes.size();
    report_.batches += batches;
    report_.events += events;
  }

  void pass_over(std::string_view bytes) {
    count(bytes, 0, 0);
    begun_ = true;
    state_.reset();
  }

  /// Whether the unused rest of a segment is still there: it is full, and waits to be sealed.
  [[nodiscard]] bool waits_to_be_sealed(const SegmentOnDisk& segment,
                                        const SegmentHeader& header) const {
    if (segment.form != SegmentForm::plain) return false;
    const auto file = files_.open(path_of(segment), io::OpenMode::read);
    return file && (*file)->size().value_or(0) >= header.capacity;
  }

  /// The index file of a segment, under either name; nothing when there is none.
  Result<std::optional<std::string>> index_bytes(const SegmentOnDisk& segment, std::string& path) {
    for (const std::string& name : {index_path(path_of(segment)), past_path(path_of(segment))}) {
      path = name;
      auto bytes = file_bytes(files_, name);
      if (bytes) return *std::move(bytes);
      if (bytes.error().code != Errc::not_found) return std::unexpected(bytes.error());
    }
    path = index_path(path_of(segment));
    return std::nullopt;
  }

  /// An index is the same for the same segment, byte by byte.
  void verify_index(const SegmentOnDisk& segment, const SegmentHeader& header,
                    const TailIndex& index, const SegmentId& id) {
    std::string path;
    auto stored = index_bytes(segment, path);
    // A server seals a segment some time after the next one has taken over.
    bool served = true;
    for (int looks = 1; served && stored && !*stored && looks < kLooksInUse; ++looks) {
      served = in_use();
      if (served && waits_to_be_sealed(segment, header)) return;
      pause();
      stored = index_bytes(segment, path);
    }
    if (!stored) return found(finding_of(stored.error(), Kind::derived, path));
    if (!*stored) return found(Kind::derived, path, "it is missing");
    const std::string made = seal_index(index, id);
    if (**stored == made) return;
    const auto at =
        static_cast<std::uint64_t>(std::ranges::mismatch(**stored, made).in1 - (*stored)->begin());
    found(Kind::derived, path, "it differs from one made anew, from byte " + std::to_string(at),
          at);
  }

  void verify_groups(const std::vector<std::string>& names) {
    const SegmentContext context{files_, identity_, std::make_shared<OpenSegments>(1)};
    for (const std::string& name : names) {
      if (!is_group_name(name)) continue;
      const auto group = SegmentGroup::open(context, path_of(name));
      const Result<void> good = group ? (*group)->check() : std::unexpected(group.error());
      if (good || good.error().code == Errc::not_found) continue;
      found(finding_of(good.error(), Kind::derived, path_of(name)));
    }
  }

  void find_strays(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (!is_partition_name(name)) found(Kind::unknown, path_of(name), "nothing has such a name");
    }
    if (beginning_) return;
    // A list that is made while a server renames and removes may show one of two names.
    const auto now = files_.list(folder_);
    if (!now) return;
    for (const std::string& name : indexes_without_segment(*now)) {
      if (std::ranges::find(names, name) == names.end() || !exists(path_of(name))) continue;
      found(Kind::unknown, path_of(name), "the index of a segment that is not here");
    }
  }

  io::FileSystem& files_;
  const std::string& folder_;
  const Uuid identity_;
  const LogVerifying& how_;
  const ChecksumSeed seed_;
  const KeyHasher hasher_;
  LogReport report_;
  PastCheck past_;
  std::optional<BatchNo> beginning_;  ///< the log's, when it is being given another one
  bool missed_ = false;
  bool begun_ = false;             ///< the first segment has been looked at, or was removed before
  std::optional<LogState> state_;  ///< after the last segment, when it is good
};

}  // namespace

LogReport verify_log(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                     const LogVerifying& how) {
  io::UnmappedFiles unmapped(files);
  for (int walks = 1;; ++walks) {
    LogWalk walk(unmapped, folder, identity, how);
    LogReport report = walk.run();
    // A server that cuts a log, or gives it another beginning, takes away what was listed.
    const bool again = walk.missed() && walks < kWalks && how.in_use && how.in_use();
    if (!again) return report;
  }
}

}  // namespace keelson::log
