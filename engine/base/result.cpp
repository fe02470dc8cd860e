#include "engine/base/result.h"

namespace keelson {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::bad_request: return "bad_request";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::version_conflict: return "version_conflict";
    case Errc::idempotency_mismatch: return "idempotency_mismatch";
    case Errc::too_large: return "too_large";
    case Errc::overloaded: return "overloaded";
    case Errc::not_leader: return "not_leader";
    case Errc::not_enough_replicas: return "not_enough_replicas";
    case Errc::outcome_unknown: return "outcome_unknown";
    case Errc::disk_full: return "disk_full";
    case Errc::beyond_end: return "beyond_end";
    case Errc::below_start: return "below_start";
    case Errc::not_caught_up: return "not_caught_up";
    case Errc::halted: return "halted";
    case Errc::timeout: return "timeout";
    case Errc::corruption: return "corruption";
    case Errc::unsupported_format: return "unsupported_format";
    case Errc::locked: return "locked";
    case Errc::io_error: return "io_error";
    case Errc::closed: return "closed";
    case Errc::internal: return "internal";
  }
  return "internal";
}

std::string Error::message() const {
  std::string text(to_string(code));
  text += ": ";
  text += context;
  return text;
}

}  // namespace keelson
