#include "engine/log/log_finding.h"

#include <algorithm>
#include <utility>

#include "engine/io/checked_text.h"

namespace keelson::log {

using Kind = LogFinding::Kind;

namespace {

LogVerdict verdict_of_kind(Kind kind) {
  switch (kind) {
    case Kind::lost:
    case Kind::unreadable:
    case Kind::unsupported: return LogVerdict::damaged;
    case Kind::undecided: return LogVerdict::undecided;
    case Kind::unfinished:
    case Kind::derived:
    case Kind::unknown: return LogVerdict::intact;
  }
  return LogVerdict::damaged;
}

}  // namespace

LogVerdict worse(LogVerdict one, LogVerdict other) { return std::max(one, other); }

LogVerdict verdict_of(std::span<const LogFinding> findings) {
  LogVerdict verdict = LogVerdict::intact;
  for (const LogFinding& finding : findings)
    verdict = worse(verdict, verdict_of_kind(finding.kind));
  return verdict;
}

Kind kind_of(const Error& error, Kind damaged) {
  if (damaged == Kind::derived || error.code == Errc::corruption) return damaged;
  return error.code == Errc::unsupported_format ? Kind::unsupported : Kind::unreadable;
}

LogFinding finding_of(const Error& error, Kind damaged, std::string file,
                      std::optional<std::uint64_t> position) {
  std::string what = error.context;
  if (what.starts_with(file + ": ")) what.erase(0, file.size() + 2);
  return {kind_of(error, damaged), std::move(file), std::move(what), position};
}

LogFinding finding_of_text(const Error& error, const Result<std::string>& text, std::string file) {
  LogFinding finding = finding_of(error, Kind::lost, std::move(file));
  const bool whole = text && io::without_checksum(*text);
  if (finding.kind == Kind::unsupported && !whole) finding.kind = Kind::lost;
  return finding;
}

}  // namespace keelson::log
