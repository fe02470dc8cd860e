#include "engine/store/partition_upkeep.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/clock.h"

namespace keelson {

namespace {

/// Between two steps of maintenance, so that what they write leaves most of the disk's time to the
/// log.
constexpr std::chrono::milliseconds kMaintenancePause{1};
/// How often retention by age is looked at when nothing is written.
constexpr std::chrono::nanoseconds kRetentionCheckMin = std::chrono::milliseconds(250);
constexpr std::chrono::nanoseconds kRetentionCheckMax = std::chrono::minutes(1);
/// After retention has failed: to find out may have taken reading a segment.
constexpr std::chrono::microseconds kRetentionRetry = std::chrono::minutes(1);

}  // namespace

PartitionUpkeep::PartitionUpkeep(Clock& clock, std::shared_ptr<log::PartitionLog> log,
                                 std::shared_ptr<LogHealth> health, log::Retention retention,
                                 Workers workers, MaintenanceHealth::Changed changed)
    : clock_(clock),
      log_(std::move(log)),
      health_(std::move(health)),
      retention_(retention),
      workers_(std::move(workers)),
      tries_(std::move(changed)) {}

void PartitionUpkeep::start() {
  workers_.strand->dispatch([self = shared_from_this()] {
    self->look();
    self->wait_for_age();
  });
}

bool PartitionUpkeep::retention_due(TimeUs now) const {
  return retaining_ && now >= retention_not_before_ && log_->retention_due(now);
}

void PartitionUpkeep::look() {
  compress();
  if (stopped_ || maintaining_) return;
  const TimeUs now = clock_.now();
  const bool retain = retention_due(now);
  if (!retain && !log_->maintenance_due()) return;
  maintaining_ = true;
  workers_.maintenance->post([self = shared_from_this(), now, retain] {
    // What fails here is tried again after a later batch, or by the append that needs it.
    // Retention first: it makes room for the rest.
    const bool retained = !retain || self->retain(now);
    const bool done = self->maintain_segments();
    self->workers_.strand->dispatch([self, done, retained, now] {
      if (!retained) self->retention_not_before_ = now + kRetentionRetry.count();
      self->on_maintained(done);
    });
  });
}

bool PartitionUpkeep::retain(TimeUs now) {
  return tries_.note(Maintenance::retention, health_->noted(log_->retain(now)));
}

bool PartitionUpkeep::maintain_segments() {
  const Result<void> done = log_->maintain();
  // It goes in steps, of which the one that fails may come after others that do not.
  if (done && log_->maintenance_due()) return true;
  return tries_.note(Maintenance::segments, done);
}

void PartitionUpkeep::on_maintained(bool done) {
  const bool more = log_->maintenance_due() || retention_due(clock_.now());
  if (!done || stopped_ || !more) {
    maintaining_ = false;
    compress();
    return;
  }
  workers_.strand->post_after(kMaintenancePause, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->maintaining_ = false;
    self->look();
  });
}

void PartitionUpkeep::compress() {
  if (stopped_ || compressing_ || !workers_.compression || !log_->compression_due()) return;
  compressing_ = true;
  workers_.compression->post([self = shared_from_this()] {
    // What fails is tried again when the next segment is full: it only takes more room.
    const bool done =
        self->tries_.note(Maintenance::compression, self->health_->noted(self->log_->compress()));
    self->workers_.strand->dispatch([self, done] {
      self->compressing_ = false;
      if (done) self->compress();
    });
  });
}

/// Events grow old although nothing is written.
void PartitionUpkeep::wait_for_age() {
  const std::chrono::seconds age = retention_.age;
  if (stopped_ || waiting_for_age_ || age.count() == 0) return;
  waiting_for_age_ = true;
  const auto wait =
      std::clamp<std::chrono::nanoseconds>(age / 4, kRetentionCheckMin, kRetentionCheckMax);
  workers_.strand->post_after(wait, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->waiting_for_age_ = false;
    self->look();
    self->wait_for_age();
  });
}

void PartitionUpkeep::set_retention(const log::Retention& retention) {
  workers_.strand->dispatch([self = shared_from_this(), retention] {
    self->retention_ = retention;
    self->log_->set_retention(retention);
    self->look_at_retention_again();
    self->look();
    self->wait_for_age();
  });
}

/// What failed may have nothing to do any more.
void PartitionUpkeep::look_at_retention_again() {
  if (stopped_ || !status(Maintenance::retention).failing) return;
  retention_not_before_ = TimeUs(0);
  workers_.maintenance->post([self = shared_from_this(), now = clock_.now()] {
    if (!self->log_->retention_due(now)) {
      self->tries_.note(Maintenance::retention, {});
    }
  });
}

void PartitionUpkeep::start_retention() {
  workers_.strand->dispatch([self = shared_from_this()] {
    self->retaining_ = true;
    self->look();
  });
}

void PartitionUpkeep::keep_for(const std::string& reader, Offset next) {
  {
    const std::lock_guard lock(readers_mutex_);
    readers_[reader] = next;
    const auto place_of = [](const auto& known) { return known.second; };
    log_->keep_from(std::ranges::min_element(readers_, {}, place_of)->second);
  }
  // What has waited for this goes now: there may be no next batch.
  if (!log_->retention_due(clock_.now())) return;
  workers_.strand->dispatch([self = shared_from_this()] { self->look(); });
}

void PartitionUpkeep::when_idle(Task done) {
  Task last = std::move(done);
  if (workers_.compression) {
    last = [compression = workers_.compression, done = std::move(last)]() mutable {
      compression->post(std::move(done));
    };
  }
  workers_.maintenance->post(std::move(last));
}

}  // namespace keelson
