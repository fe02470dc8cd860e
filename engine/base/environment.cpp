#include "engine/base/environment.h"

#include <cstdio>
#include <cstdlib>

namespace keelson {

void end_this_process(const Error& error) {
  std::fprintf(stderr, "keelson: cannot make the log durable, ending the process: %s\n",
               error.message().c_str());
  std::fflush(stderr);
  std::_Exit(70);  // EX_SOFTWARE
}

}  // namespace keelson
