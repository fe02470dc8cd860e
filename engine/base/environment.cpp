#include "engine/base/environment.h"

#include <cstdio>
#include <cstdlib>

namespace keelson {

void end_this_process(const Error& error) {
  const char* const what = error.code == Errc::locked ? "" : "cannot make the log durable, ";
  std::fprintf(stderr, "keelson: %sending the process: %s\n", what, error.message().c_str());
  std::fflush(stderr);
  std::_Exit(70);  // EX_SOFTWARE
}

}  // namespace keelson
