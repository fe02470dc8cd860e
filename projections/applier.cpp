#include "projections/applier.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "engine/base/check.h"

namespace keelson::projections {

namespace {

constexpr std::chrono::seconds kRetryDelay{1};
constexpr Offset kNoBound{UINT64_MAX};
constexpr Offset kNothing{UINT64_MAX};

/// Errors that say nothing of the event or of the read model, and may go away.
bool is_passing(Errc code) {
  return code == Errc::disk_full || code == Errc::io_error || code == Errc::overloaded;
}

}  // namespace

Applier::Applier(ReadModel::Source source, ApplierOptions options, const Clock& clock,
                 Progress& progress, Strand& worker)
    : source_(std::move(source)),
      partition_(*source_.partition),
      options_(options),
      clock_(clock),
      progress_(progress),
      worker_(worker) {}

Result<std::shared_ptr<Applier>> Applier::open(ReadModel::Source source, ApplierOptions options,
                                               const Clock& clock, Progress& progress,
                                               Strand& worker) {
  std::shared_ptr<Applier> applier(
      new Applier(std::move(source), options, clock, progress, worker));
  auto opened = ReadModel::open(applier->source_);
  if (!opened && !is_passing(opened.error().code)) {
    return std::unexpected(std::move(opened).error());
  }
  (void)applier->begin_with(std::move(opened));  // what is next is looked for when it starts
  return applier;
}

void Applier::start() {
  if (!state().halted_at) post_pump();
}

void Applier::stop() {
  stopping_ = true;
  std::unique_ptr<Registration> dropped;
  {
    const std::lock_guard lock(mutex_);
    dropped = std::move(wake_up_);
  }
}

Applier::State Applier::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Applier::set_state(State state) {
  const std::lock_guard lock(mutex_);
  state_ = std::move(state);
}

void Applier::set_running() {
  if (!state().error.empty()) spdlog::info("projection goes on: {}", source_.path);
  set_state({});
}

void Applier::keep(Offset next) { partition_.keep_for("projection " + source_.path, next); }

void Applier::post_pump() {
  worker_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
}

void Applier::wake_when_more() {
  auto wake_up = partition_.when_past(model_->checkpoint().next, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->post_pump();
  });
  // Swapped, so that whichever is dropped is dropped outside of the mutex.
  const std::lock_guard lock(mutex_);
  if (!stopping_) std::swap(wake_up_, wake_up);
}

void Applier::pump() {
  if (stopping_) return;
  switch (step()) {
    case Next::more: post_pump(); break;
    case Next::wait: wake_when_more(); break;
    case Next::halt: break;
    case Next::retry:
      worker_.post_after(kRetryDelay, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->pump();
      });
      break;
  }
}

Applier::Next Applier::begin_with(Result<ReadModel::Opened> opened) {
  if (!opened) return troubled(opened.error());
  if (opened->log_damage) {
    progress_.advance(partition_.id(), opened->applied);
    return troubled(*opened->log_damage);
  }
  model_ = std::move(opened->model);
  unchecked_ = opened->unchecked;
  floor_ = model_->checkpoint().floor.value;
  keep(model_->checkpoint().next);
  set_running();
  // After the state: who waited for this asks at once.
  progress_.advance(partition_.id(), model_->checkpoint().next);
  return Next::more;
}

Applier::Next Applier::step() {
  if (unchecked_) {
    if (!partition_.readable()) return Next::retry;
    model_.reset();
  }
  if (!model_) return begin_with(ReadModel::open(source_));
  auto applied = apply(kNoBound);
  if (!applied && applied.error().code == Errc::below_start) {
    if (model_->empty()) return begin_later();
    Error gone = applied.error();
    gone.context +=
        "; this read model had not applied them: stop the node, remove 'read-models' in its data "
        "folder and start it, to make its read models anew of what there is";
    return troubled(gone);
  }
  if (!applied) return troubled(applied.error());
  if (applied->failure) return halt_before(std::move(*applied->failure));
  set_running();
  return applied->caught_up ? Next::wait : Next::more;
}

/// It was made before the log had its beginning, as at a replica that has come with an empty disk:
/// as good as made now.
Applier::Next Applier::begin_later() {
  cursor_.reset();
  if (auto begun = model_->begin_at(partition_.start()); !begun) return troubled(begun.error());
  floor_ = model_->checkpoint().floor.value;
  keep(model_->checkpoint().next);
  progress_.advance(partition_.id(), model_->checkpoint().next);
  return Next::more;
}

Result<Applier::Applied> Applier::apply(Offset before) {
  const Offset from = model_->checkpoint().next;
  if (!cursor_ || cursor_->offset() != from) {
    KEELSON_TRY_ASSIGN(cursor_, partition_.read(from));
  }
  KEELSON_TRY(model_->begin());
  auto applied = fill_transaction(before);
  if (model_->checkpoint().next == from) model_->rollback();
  if (model_->checkpoint().next != from) {
    progress_.advance(partition_.id(), model_->checkpoint().next);
    keep(model_->checkpoint().next);
    model_->checkpoint_wal();
  }
  return applied;
}

Result<Applier::Applied> Applier::fill_transaction(Offset before) {
  const auto deadline = clock_.monotonic() + options_.transaction_time_max;
  Applied applied;
  AppliedEvent last;
  std::uint32_t count = 0;
  while (count < options_.transaction_events_max && !stopping_ && cursor_->offset() < before) {
    KEELSON_TRY_ASSIGN(const auto event, cursor_->next());
    if (!event) {
      applied.caught_up = true;
      break;
    }
    if (auto done = model_->apply(*event); !done) {
      if (is_passing(done.error().code)) return std::unexpected(std::move(done).error());
      applied.failure = Failure{event->offset, std::move(done).error()};
      return applied;
    }
    last.stream = event->stream;
    last.version = event->version;
    last.time = event->time;
    ++count;
    if (clock_.monotonic() >= deadline) break;
  }
  if (count > 0) KEELSON_TRY(model_->commit(cursor_->offset(), std::move(last)));
  return applied;
}

Applier::Next Applier::halt_before(Failure failure) {
  // A handler that is not as deterministic as it must be may fail earlier the next time; the bound
  // goes down each time, so this ends.
  while (model_->checkpoint().next < failure.offset && !stopping_) {
    auto applied = apply(failure.offset);
    if (!applied) return troubled(applied.error());
    if (applied->failure) failure = std::move(*applied->failure);
  }
  spdlog::error("projection halted: {} at offset {}: {}", source_.path, failure.offset.value,
                failure.error.context);
  set_state({failure.offset, failure.error.context, std::nullopt});
  keep(kNothing);
  return Next::halt;
}

Applier::Next Applier::troubled(const Error& error) {
  const bool passing = is_passing(error.code);
  const Offset next = progress_.applied().next(partition_.id());
  State trouble;
  if (!passing) {
    trouble.halted_at = next;
    keep(kNothing);
  }
  trouble.error = error.message();
  if (!model_) trouble.unreadable = error;
  // Said once, and not at every attempt: the log may lie on the disk that is full.
  if (trouble.error != state().error) {
    const std::string where =
        model_ ? "after offset " + std::to_string(next.value) : "cannot be opened";
    spdlog::error("projection {}: {} {}: {}", passing ? "delayed" : "halted", source_.path, where,
                  trouble.error);
  }
  set_state(std::move(trouble));
  cursor_.reset();
  return passing ? Next::retry : Next::halt;
}

}  // namespace keelson::projections
