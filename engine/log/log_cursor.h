// Reading the published log in order.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/log/partition_log.h"
#include "engine/log/published_log.h"
#include "engine/log/record.h"
#include "engine/log/segment.h"

namespace keelson::log {

/// Goes through batches by their headers, segment by segment, and decodes as it goes. Holds the
/// file it reads. Verifies each batch's checksum as it enters it, and that nothing is missing
/// between batches. After an error it gives the same error for ever.
class DiskCursor final : public LogCursor {
 public:
  /// @param from  not past the end; found when the first event is asked for.
  DiskCursor(const PublishedLog& log, Offset from) : log_(log), next_(from) {}

  [[nodiscard]] Result<const FoundEvent*> next() override;
  [[nodiscard]] Offset offset() const override { return next_; }

 private:
  [[nodiscard]] Result<void> locate();
  [[nodiscard]] Result<void> enter_batch();
  [[nodiscard]] Result<void> next_segment();
  [[nodiscard]] Result<const FoundEvent*> read_event();
  [[nodiscard]] std::unexpected<Error> failed(Error error) const;
  [[nodiscard]] Result<void> check_read() const;

  const PublishedLog& log_;
  Offset next_;
  std::shared_ptr<Segment> segment_;  ///< none before the first event is found
  std::shared_ptr<const OpenSegment> open_;
  std::uint64_t position_ = 0;  ///< of the current batch, or of the next one when there is none
  LogPoint point_;              ///< what the next batch must continue from
  std::optional<BatchHeader> batch_;                 ///< the current one
  std::shared_ptr<const std::string> decompressed_;  ///< its body, if it is compressed
  std::optional<BodyReader> body_;
  const DecodedCommit* commit_ = nullptr;
  Offset event_offset_;           ///< of the next event in the batch
  std::uint64_t beginnings_ = 0;  ///< of the log, when `segment_` was found
  FoundEvent event_;              ///< the last one handed out; shows the two that follow
  std::string copy_;              ///< of its fields
  std::string command_id_;        ///< of the current commit
  std::optional<Error> failed_;
};

}  // namespace keelson::log
