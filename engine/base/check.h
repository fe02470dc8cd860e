// Programmers' errors end the process, in every build. Never used on bytes from disk, network or a
// user: those are `Result`s.
#pragma once

namespace keelson {

/// Prints the failed condition with its place and aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace keelson

#define KEELSON_ASSERT(condition)                                  \
  do {                                                             \
    if (!(condition)) [[unlikely]]                                 \
      ::keelson::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
