// The log of one partition on disk: a folder of segments and their indexes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"
#include "engine/log/codec.h"
#include "engine/log/cut_copies.h"
#include "engine/log/log_state.h"
#include "engine/log/log_tail.h"
#include "engine/log/record.h"
#include "engine/log/retention.h"

namespace keelson::log {

class OpenSegments;
struct IncomingBatches;
/// Batches of another replica that have been verified: see `PartitionLog::verify_batches`.
using Incoming = std::shared_ptr<const IncomingBatches>;

/// What becomes of the batches that opening finds in the segments that are not sealed.
enum class FoundTail {
  published,  ///< this log is alone: whatever is whole counts
  held,       ///< one of several replicas: it counts when `publish` says that it is committed
};

/// What opening expects to find.
enum class Opening {
  make_if_missing,  ///< nothing yet, or a log
  existing,         ///< a log: to find none of it means that it was lost
};

struct LogOptions {
  /// Allocated as a whole, so that there is room for what is acknowledged; a batch that does not
  /// fit gets a segment of its own size. 64 KiB…1 GiB. A log grows into it from smaller ones.
  std::uint64_t segment_bytes = 64u << 20;
  Opening opening = Opening::make_if_missing;
  FoundTail found_tail = FoundTail::published;
  Retention retention = {};
  /// Of batches, where it makes them smaller.
  Codec codec = Codec::none;
  /// Of sealed segments but the newest two, each compressed as a whole, in the background.
  Codec sealed_codec = Codec::none;
  /// Bounds the sealed segments that are open at a time; shared by the partitions of a store.
  /// Nullptr: one of its own, of the default size.
  std::shared_ptr<OpenSegments> open_segments = nullptr;
};

/// A batch gathered by the partition, ready to be numbered, hashed and written.
struct BatchDraft {
  BatchKind kind = BatchKind::events;
  Epoch epoch;
  Offset base_offset;  ///< must be the end of the batch before
  TimeUs time;         ///< must not be before the batch before
  BatchBody body;      ///< as `BodyWriter` made it; empty in a control batch
};

/// A commit found by its command id.
struct FoundCommit {
  CommitHeader header;  ///< views are valid as long as `pin`
  std::vector<FoundEvent> events;
  TimeUs time;
  /// Of the first event; for a commit without events, the end of the log when it was made.
  Offset first;
  std::shared_ptr<const void> pin;
};

/// What opening cut from the end: a batch that was not written whole, so never acknowledged, or one
/// that has rotted since. Which of them cannot be known.
struct TornTail {
  std::string file;
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  BatchNo batch;        ///< the one that would begin there
  std::string copy;     ///< the file that has what was cut; empty: none has
  std::string no_copy;  ///< why not
};

/// Events of one stream: versions [first, end) that lie at offsets below `before`.
struct StreamSlice {
  std::string_view stream;
  Version first{1};
  Version end{UINT64_MAX};
  Offset before{UINT64_MAX};
  bool backward = false;
  /// Whether the ids of the events' commands are wanted, or left empty. An id lies apart from the
  /// event, in its commit, so it takes time.
  bool command_ids = true;
};

/// Reads committed events in order, verifying each batch as it is entered. Pins its segment.
class LogCursor {
 public:
  virtual ~LogCursor() = default;
  /// nullptr at the published end. The event is valid until the next call.
  [[nodiscard]] virtual Result<const FoundEvent*> next() = 0;
  [[nodiscard]] virtual Offset offset() const = 0;
};

/// Owns the partition's folder.
///
/// Threads: `append`, `sync` by one writer; `publish` by one thread at a time, which may be
/// another; everything else from any thread at any time, without blocking the writer. Readers see
/// what is published and nothing else. `append` runs ahead of `sync`, `sync` ahead of `publish`.
///
/// Crash: whatever was synced is there after `open`; of what was appended later any prefix of whole
/// batches may be; the rest is cut as a torn tail and reported. What `open` returns as published
/// has been synced by it.
class PartitionLog {
 public:
  using Visitor = std::function<bool(const FoundEvent&)>;

  /// Opens the log in `folder`, or makes it. Scans the last segment only; rebuilds a sealed
  /// segment's index when it is missing or damaged.
  /// @error corruption  a batch before the tail fails its checksum, or a file of the log is gone;
  ///                    context has file and byte. No segment has been changed.
  /// @error unsupported_format
  [[nodiscard]] static Result<std::unique_ptr<PartitionLog>> open(io::FileSystem& files,
                                                                  std::string folder,
                                                                  const Uuid& identity,
                                                                  LogOptions options);
  virtual ~PartitionLog() = default;

  [[nodiscard]] virtual const std::optional<TornTail>& torn_tail() const = 0;
  /// Indexes that opening found missing or damaged and made again.
  [[nodiscard]] virtual std::uint32_t rebuilt_indexes() const = 0;

  // --- writer ---
  /// Numbers the batch, adds its events to the Merkle tree, and writes it (not yet durable), making
  /// the next segment first when it does not fit.
  /// @error disk_full, io_error  nothing changed; a later append may succeed, unless it was a sync
  ///                             that failed: then `sync` fails as well, and the process must end.
  /// @error outcome_unknown      the same, but until an append succeeds, what a failed one left
  ///                             stays: if the process ends, that batch, this one or one before
  ///                             it, may be found in the log.
  [[nodiscard]] virtual Result<BatchNo> append(const BatchDraft& draft) = 0;
  /// Makes all appended batches durable (fdatasync). A failure must end the process; it is
  /// remembered, and every later call fails with it.
  [[nodiscard]] virtual Result<void> sync() = 0;
  /// Makes batches up to and with `through` visible to readers and look-ups.
  virtual void publish(BatchNo through) = 0;

  // --- writer of a replica: batches that another node has made ---
  /// Verifies all of each of these whole batches, as `read_batches` of another replica gave them:
  /// that it follows, its checksums, its frames and its Merkle root.
  /// @param before  what they follow; it may be being appended meanwhile. nullptr: what has been
  ///                appended; then while the writer rests.
  /// @error corruption, unsupported_format  they are not what a replica of this log has: context
  ///                                        names the first that is not.
  [[nodiscard]] virtual Result<Incoming> verify_batches(std::string batches,
                                                        const IncomingBatches* before) const = 0;
  /// Appends what was verified, in order; the first of it follows what has been appended. Where
  /// each batch lies is a function of the batches before it alone, so that replicas have equal
  /// files. Durable on return, each or none: a crash before leaves none of them, or some from the
  /// first on.
  /// @error disk_full, io_error  as `append`; some from the first on may be there, and durable:
  ///                             `appended` tells.
  [[nodiscard]] virtual Result<void> append_batches(std::span<const Incoming> batches) = 0;
  /// Both. When they are not verified nothing has been appended.
  [[nodiscard]] Result<void> append_batches(std::string_view batches);
  /// Removes all batches from `to` on, which are not published, after copying them aside: see
  /// cut_copies.h. Durable on return. Crash: all of them are there, or none. While nothing is being
  /// published.
  /// @error io_error, disk_full  they are there or not, as `appended` tells. What is left of the
  ///                             work is done before anything else is written.
  [[nodiscard]] virtual Result<void> cut(BatchNo to) = 0;
  /// Where the last cut has put what it removed. By the writer, or while it rests.
  [[nodiscard]] virtual const std::optional<CutCopy>& last_cut() const = 0;
  /// Takes what is left of a segment that other replicas have removed: see `beginning` and
  /// `install_place`. Until `begin_at` the log stays what it is.
  /// @error corruption           it is not what belongs there; that file is to be sent anew.
  /// @error disk_full, io_error  to be sent again.
  [[nodiscard]] virtual Result<void> take_removed(const RemovedPiece& piece) = 0;
  /// What `take_removed` waits for. By the writer, or while it rests.
  [[nodiscard]] virtual InstallPlace install_place() const = 0;
  /// Gives the log another beginning, after all that `take_removed` has got: whatever it held goes
  /// (what is not published is copied aside, as by `cut`), and there are no events before batches
  /// are appended. Durable on return. Crash: the log is the one or the other. While nothing is
  /// being published, or read as batches.
  /// @param header  of the segment with which another replica's log begins or goes on there, whose
  ///                first batch is not below what is published here.
  /// @error corruption           it does not follow on what has come; nothing has changed.
  /// @error disk_full, io_error  the same, or every later call fails: then the process must end.
  [[nodiscard]] virtual Result<void> begin_at(std::string_view header) = 0;
  /// After the last appended batch. By the writer, or while it rests.
  [[nodiscard]] virtual LogPoint appended() const = 0;

  // --- readers of a replica: batches, published or not ---
  /// The first batch that retention has kept. While no other beginning is given to the log.
  [[nodiscard]] virtual BatchNo first_batch() const = 0;
  /// What a log that is to begin with what this one has got, or has removed, needs next: a piece of
  /// what is left of the removed segment that begins with batch `segment`, `bytes_max` at most, as
  /// a part of a file; or where that is not removed, its header. Neither when none begins there.
  /// Threads and errors as `read_batches`.
  [[nodiscard]] virtual Result<Beginning> beginning(BatchNo segment, std::uint64_t position,
                                                    std::uint64_t bytes_max) const = 0;
  /// How many bytes the full segments have that hold batches from `batch` on.
  [[nodiscard]] virtual std::uint64_t bytes_from(BatchNo batch) const = 0;
  /// End of the published batches. From any thread.
  [[nodiscard]] virtual BatchNo published() const = 0;
  /// Batches from `from` on, as many as fit `bytes_max`, but one at least, and none from `end` on.
  /// Their checksums are not verified: who appends them does. By one thread at a time, while
  /// nothing below `end` is being cut.
  /// @param from  below `end`; `end` at most what has been appended.
  /// @error below_start  retention has removed them. @error io_error, corruption
  [[nodiscard]] virtual Result<EncodedBatches> read_batches(BatchNo from, BatchNo end,
                                                            std::uint64_t bytes_max) const = 0;
  /// The same as a part of a file, where they lie in a sealed segment that is not compressed, and
  /// as many as fit `bytes_max` make one; nothing elsewhere. Any error: `read_batches` has it as
  /// well.
  [[nodiscard]] virtual std::optional<BatchRegion> region_of(BatchNo from, BatchNo end,
                                                             std::uint64_t bytes_max) const = 0;
  /// The epochs of batches [from, end). Takes a look at each segment that is concerned, and walks
  /// those in which an epoch begins. Threads and errors as `read_batches`.
  [[nodiscard]] virtual Result<LogTail> tail(BatchNo from, BatchNo end) const = 0;
  /// Offset of the first event of `batch`, or of the next one if it has none.
  /// @param batch  has been appended. Threads and errors as `read_batches`.
  [[nodiscard]] virtual Result<Offset> offset_of(BatchNo batch) const = 0;

  // --- housekeeping ---
  /// Whether `maintain` has something to do. Cheap; from any thread.
  [[nodiscard]] virtual bool maintenance_due() const = 0;
  /// Does beside the writer what would otherwise make an append wait: seals full segments (index,
  /// unused rest), and makes filters over groups of them. To be called until `maintenance_due` is
  /// false, with pauses, as the writer shares the disk with it.
  /// @error disk_full, io_error  nothing is lost; append tries again itself when it must.
  [[nodiscard]] virtual Result<void> maintain() = 0;
  /// Whether `compress` has something to do. Cheap; from any thread.
  [[nodiscard]] virtual bool compression_due() const = 0;
  /// Compresses one full segment, if the options say so: about 3 ms of a processor for each MiB.
  /// For a thread that nobody waits for; beside everything else.
  /// @error disk_full, io_error  nothing is lost; tried again after the next segment is full.
  [[nodiscard]] virtual Result<void> compress() = 0;
  /// From any thread; takes effect with the next `retain`.
  virtual void set_retention(Retention retention) = 0;
  /// Retention removes neither the event before `offset` nor any after it, whatever it says
  /// otherwise: for readers that have come so far. From any thread; for the next `retain`.
  virtual void keep_from(Offset offset) = 0;
  /// Whether `retain` has something to do. Cheap; from any thread.
  [[nodiscard]] virtual bool retention_due(TimeUs now) const = 0;
  /// Removes the oldest segments as the options say. What is read at that moment is read to the end
  /// of its segment. Takes no room on the disk, and may run beside everything else.
  /// @error io_error, corruption  nothing is lost that was to be kept; to be tried again.
  [[nodiscard]] virtual Result<void> retain(TimeUs now) = 0;

  // --- readers: the published log ---
  /// Of the oldest event that retention has kept. What was before is not readable, yet known to
  /// have been: streams go on with their next version, and a command from there is not decided
  /// again. Whatever needs its events or its outcome fails as `below_start`.
  [[nodiscard]] virtual Offset start() const = 0;
  [[nodiscard]] virtual Offset end() const = 0;
  /// Of the last appended batch; what the next one must continue from.
  [[nodiscard]] virtual TimeUs last_time() const = 0;
  [[nodiscard]] virtual Epoch last_epoch() const = 0;

  [[nodiscard]] virtual Result<std::unique_ptr<LogCursor>> read(Offset from) const = 0;
  /// Visits the events of the slice until `visit` returns false. What was visited counts only if no
  /// error comes back: what the disk cannot read may have shown as zeros.
  [[nodiscard]] virtual Result<void> read_stream(const StreamSlice& slice,
                                                 const Visitor& visit) const = 0;
  /// Version of `stream` as of offsets < before; 0 when there is none.
  [[nodiscard]] virtual Result<Version> stream_version(std::string_view stream,
                                                       Offset before) const = 0;
  /// The newest commit with this command key.
  [[nodiscard]] virtual Result<std::optional<FoundCommit>> find_command(
      const CommandKey& key) const = 0;
  /// First offset committed after `time`.
  [[nodiscard]] virtual Result<Offset> end_at(TimeUs time) const = 0;
};

}  // namespace keelson::log
