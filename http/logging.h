// How the process writes its log.
#pragma once

#include <string>

namespace keelson::http {

enum class LogFormat { text, json };

/// Sends the process's log to stderr. @param level  `trace` … `error`, `off`.
void set_up_logging(LogFormat format, const std::string& level);

}  // namespace keelson::http
