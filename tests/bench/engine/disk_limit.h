// What the disk can do, measured with bare system calls.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/bench/report.h"

namespace keelson::bench {

/// A file in `folder`, pre-zeroed for `bytes`, gone at the end.
class RawFile {
 public:
  RawFile(const std::string& folder, std::size_t bytes) : path_(folder + "/raw.limit") {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    const std::string zeros(1u << 20, '\0');
    for (std::size_t done = 0; done < bytes; done += zeros.size()) write(done, zeros);
    ::fsync(fd_);
  }
  ~RawFile() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  void write(std::size_t position, const std::string& bytes) const {
    if (::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position)) < 0) std::abort();
  }
  [[nodiscard]] int descriptor() const { return fd_; }
  void sync() const {
    if (::fdatasync(fd_) != 0) std::abort();
  }

 private:
  std::string path_;
  int fd_ = -1;
};

/// pwrite of `bytes` and fdatasync, one after another into a pre-zeroed file: rounds per second.
inline double fdatasync_rate(const std::string& folder, std::size_t bytes, int rounds) {
  const RawFile file(folder, bytes * static_cast<std::size_t>(rounds));
  const std::string payload(bytes, 'x');
  return rounds / seconds([&] {
           for (int i = 0; i < rounds; ++i) {
             file.write(bytes * static_cast<std::size_t>(i), payload);
             file.sync();
           }
         });
}

/// The time that `share` of such rounds did not exceed, in microseconds.
inline double fdatasync_quantile_us(const std::string& folder, std::size_t bytes, int rounds,
                                    double share) {
  const RawFile file(folder, bytes * static_cast<std::size_t>(rounds));
  const std::string payload(bytes, 'x');
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    times.push_back(1e6 * seconds([&] {
                      file.write(bytes * static_cast<std::size_t>(i), payload);
                      file.sync();
                    }));
  }
  std::ranges::sort(times);
  return times.at(static_cast<std::size_t>(share * rounds));
}

/// Bytes per second written in order, fdatasync each MiB, into a pre-zeroed file.
inline double sequential_write_rate(const std::string& folder, int mebibytes) {
  return fdatasync_rate(folder, 1u << 20, mebibytes) * (1u << 20);
}

}  // namespace keelson::bench
