// A store for a benchmark, on the disk of the current folder or of TMPDIR.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/io/posix_file_system.h"
#include "engine/store/store.h"
#include "tests/support/temporary_folder.h"

namespace keelson::bench {

class BenchStore {
 public:
  BenchStore() {
    StoreOptions options;
    options.folder = folder_.path() + "/data";
    store_ = Store::open({files_, clock_, random_, scheduler_}, options).value();
    topic_ = store_->create_topic("bench", {}).value();
  }

  [[nodiscard]] Partition& partition() { return topic_->partition(PartitionId(0)); }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadScheduler scheduler_{2};
  std::unique_ptr<Store> store_;
  Topic* topic_ = nullptr;
};

}  // namespace keelson::bench
