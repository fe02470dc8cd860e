#include "tests/bench/http/child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace keelson::bench {

namespace {

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace

Child::Child(const std::vector<std::string>& command) {
  int input[2];
  int output[2];
  if (::pipe(input) != 0 || ::pipe(output) != 0) give_up("pipe failed");
  pid_ = ::fork();
  if (pid_ < 0) give_up("fork failed");
  if (pid_ == 0) {
    ::dup2(input[0], STDIN_FILENO);
    ::dup2(output[1], STDOUT_FILENO);
    for (const int fd : {input[0], input[1], output[0], output[1]}) ::close(fd);
    std::vector<char*> arguments;
    for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(input[0]);
  ::close(output[1]);
  stdin_ = input[1];
  stdout_ = output[0];
  static constexpr std::string_view kMark = "http://127.0.0.1:";
  std::string seen;
  char byte = 0;
  while (::read(stdout_, &byte, 1) == 1) {
    seen += byte;
    const auto mark = seen.find(kMark);
    if (byte == '\n' && mark != std::string::npos) {
      port_ = static_cast<unsigned short>(std::atoi(seen.c_str() + mark + kMark.size()));
      return;
    }
  }
  give_up(command[0] + " did not start");
}

Child::~Child() {
  ::kill(pid_, SIGTERM);
  ::close(stdin_);
  ::waitpid(pid_, nullptr, 0);
  ::close(stdout_);
}

}  // namespace keelson::bench
