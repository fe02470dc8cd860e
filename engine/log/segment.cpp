#include "engine/log/segment.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/log/log_format.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {
namespace {

/// Of a file that belongs to the log: that it is gone is damage like any other.
Error damage_if_gone(Error error) {
  if (error.code == Errc::not_found) {
    error.code = Errc::corruption;
    error.context += ": the file is gone";
  }
  return error;
}

}  // namespace

Segment::Segment(const SegmentContext& context, LogPoint start,
                 std::shared_ptr<const SegmentFile> file)
    : context_(context),
      start_(start),
      path_(file->path),
      used_end_(kStillWritten),
      tail_index_(std::make_shared<TailIndex>(file->bytes.size())),
      held_(std::make_shared<OpenSegment>(file, tail_index_,
                                          file->bytes.size() / kBatchHeaderBytes)) {}

Segment::Segment(const SegmentContext& context, LogPoint start, std::string path,
                 std::uint64_t used_end, SegmentForm form)
    : context_(context), start_(start), path_(std::move(path)), used_end_(used_end), form_(form) {}

std::shared_ptr<TailIndex> Segment::tail_index() const {
  const std::lock_guard lock(mutex_);
  return tail_index_;
}

Result<std::shared_ptr<const OpenSegment>> Segment::open() const {
  const std::lock_guard lock(mutex_);
  if (retired_) return fail(Errc::below_start, path_ + " has been removed");
  if (held_) return held_;
  if (auto open = opened_.lock()) {
    context_.open->touch(*open);
    return open;
  }
  const bool whole = form_ != SegmentForm::removed;
  std::shared_ptr<const SegmentFile> file;
  if (whole) {
    auto opened = SegmentFile::open_form(context_.files, path_, form_, context_.open);
    if (!opened) return std::unexpected(damage_if_gone(std::move(opened).error()));
    file = *std::move(opened);
    if (file->bytes.size() < used_end()) {
      return fail(Errc::corruption, file->path + " ends at byte " +
                                        std::to_string(file->bytes.size()) + ", its batches at " +
                                        std::to_string(used_end()));
    }
  }
  const std::string index_file = whole ? index_path(path_) : past_path(path_);
  auto loaded = load_index(context_.files, index_file, id());
  if (!loaded) {
    Error error = damage_if_gone(std::move(loaded).error());
    index_damaged_ = is_damage(error.code);
    return std::unexpected(std::move(error));
  }
  auto index = *std::move(loaded);
  const std::uint32_t batches = index->batch_count();
  auto open = std::make_shared<const OpenSegment>(std::move(file), std::move(index), batches);
  opened_ = open;
  context_.open->keep(open);
  return open;
}

void Segment::seal() {
  const std::lock_guard lock(mutex_);
  tail_index_.reset();
  index_damaged_ = false;
  forget_open();
}

SegmentForm Segment::form() const {
  const std::lock_guard lock(mutex_);
  return form_;
}

std::string Segment::index_file() const { return removed() ? past_path(path_) : index_path(path_); }

Result<void> Segment::change(SegmentForm form, const std::function<Result<void>()>& on_disk) {
  const std::lock_guard lock(mutex_);
  KEELSON_ASSERT(tail_index_ == nullptr);
  KEELSON_TRY(on_disk());
  form_ = form;
  forget_open();
  return {};
}

void Segment::retire() {
  const std::lock_guard lock(mutex_);
  retired_ = true;
  forget_open();
}

void Segment::forget_open() {
  held_.reset();
  if (const auto open = opened_.lock()) context_.open->drop(*open);
  opened_.reset();
}

bool Segment::index_damaged() const {
  const std::lock_guard lock(mutex_);
  if (held_) return false;
  const auto open = opened_.lock();
  return index_damaged_ || (open && open->index().damaged());
}

void Segment::hold(std::shared_ptr<const OpenSegment> open) {
  const std::lock_guard lock(mutex_);
  held_ = std::move(open);
}

std::shared_ptr<const SegmentList::Segments> SegmentList::all() const {
  const std::lock_guard lock(mutex_);
  return segments_;
}

void SegmentList::add(std::shared_ptr<Segment> segment) {
  const std::lock_guard lock(mutex_);
  auto changed = std::make_shared<Segments>(*segments_);
  if (!changed->empty() && changed->back()->start().next_batch == segment->start().next_batch) {
    changed->pop_back();
  }
  changed->push_back(std::move(segment));
  segments_ = std::move(changed);
}

void SegmentList::keep(std::size_t count) {
  const std::lock_guard lock(mutex_);
  auto changed = std::make_shared<Segments>(*segments_);
  changed->resize(count);
  segments_ = std::move(changed);
}

std::shared_ptr<const SegmentList::Segments> SegmentList::replace(Segments segments) {
  const std::lock_guard lock(mutex_);
  return std::exchange(segments_, std::make_shared<const Segments>(std::move(segments)));
}

const std::shared_ptr<Segment>& segment_of(const SegmentList::Segments& segments, Offset offset) {
  // The last one that starts at or before it: those before with the same start hold no events.
  const auto after = std::upper_bound(
      segments.begin(), segments.end(), offset,
      [](Offset o, const std::shared_ptr<Segment>& segment) { return o < segment->start().end; });
  KEELSON_ASSERT(after != segments.begin());
  return *std::prev(after);
}

std::shared_ptr<Segment> segment_starting_at(const SegmentList::Segments& segments, BatchNo batch) {
  const auto at = std::lower_bound(segments.begin(), segments.end(), batch,
                                   [](const std::shared_ptr<Segment>& segment, BatchNo b) {
                                     return segment->start().next_batch < b;
                                   });
  const bool found = at != segments.end() && (*at)->start().next_batch == batch;
  return found ? *at : nullptr;
}

}  // namespace keelson::log
