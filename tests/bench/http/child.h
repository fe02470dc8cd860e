// A server run as a child process for the length of a benchmark.
#pragma once

#include <sys/types.h>
#include <string>
#include <vector>

namespace keelson::bench {

/// Starts `command` and waits for its line "listening on http://127.0.0.1:PORT"; ends it by SIGTERM
/// and waits for it. Aborts when it does not come up.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] unsigned short port() const { return port_; }

 private:
  pid_t pid_ = -1;
  int stdin_ = -1;
  int stdout_ = -1;
  unsigned short port_ = 0;
};

}  // namespace keelson::bench
