#include "http/problem.h"

#include <spdlog/spdlog.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "http/line_limit.h"

namespace keelson::http {

namespace {

/// What a kind of error becomes. `advice` follows the context; an error of the server's own shows
/// the advice alone.
struct Kind {
  unsigned status;
  std::string_view code;
  std::string_view title;
  std::string_view advice;
  bool context_shown = true;
  bool retry_after = false;
};

Kind kind_of(Errc code) {
  switch (code) {
    case Errc::bad_request: return {400, "bad-request", "Bad request", ""};
    case Errc::not_found: return {404, "not-found", "Not found", ""};
    case Errc::already_exists:
      return {409, "already-exists", "Already exists", "Nothing was changed."};
    case Errc::version_conflict:
      return {412, "version-conflict", "Version conflict",
              "Nothing was written. Read the stream again, decide anew and repeat with its current "
              "version."};
    case Errc::idempotency_mismatch:
      return {422, "idempotency-mismatch", "Idempotency key used for something else", ""};
    case Errc::too_large:
      return {413, "too-large", "Too large",
              "Nothing was done. Send less at a time, or ask for less."};
    case Errc::overloaded:
      return {503,          "overloaded",
              "Overloaded", "Nothing was done. Repeat after the time in Retry-After.",
              true,         true};
    case Errc::not_leader:
      return {307, "not-leader", "Another node is to be asked",
              "Nothing was done. Send the same request to the address in Location.", false};
    case Errc::not_enough_replicas:
      return {503,
              "not-enough-replicas",
              "Not enough replicas",
              "Nothing was written. Repeat later.",
              true,
              true};
    case Errc::outcome_unknown:
      return {504, "outcome-unknown", "Outcome unknown",
              "It may or may not have happened. Repeat with the same Idempotency-Key to learn and "
              "settle the outcome."};
    case Errc::disk_full:
      return {507, "disk-full", "Disk full",
              "Nothing was written: the server's disk is full. Repeat when there is room.", false};
    case Errc::beyond_end:
      return {400, "beyond-end", "Beyond the end",
              "Nothing is there yet: ask for what has been written, or again later."};
    case Errc::below_start:
      return {410, "below-start", "Removed by retention",
              "What this needs is gone for good; 'start' of the partition says what is left."};
    case Errc::not_caught_up:
      return {503,
              "not-caught-up",
              "Not caught up",
              "The read model has not reached the position yet; repeat, or raise 'wait_ms'.",
              true,
              true};
    case Errc::halted:
      return {
          503, "halted", "Halted",
          "It stopped at an event that it cannot handle; an operator has to look at its status."};
    case Errc::timeout: return {504, "timeout", "Took too long", "Ask for less, or more narrowly."};
    case Errc::corruption:
      return {500, "corruption", "Stored data is damaged",
              "Stored data fails its checksum; the server's log names the place.", false};
    case Errc::unsupported_format:
      return {500, "unsupported-format", "Unsupported format",
              "Stored data was written by another version; the server's log names it.", false};
    case Errc::locked:
      return {503, "locked", "Locked", "Another process has the data; repeat later.", false, true};
    case Errc::io_error:
      return {500, "io-error", "Input or output failed",
              "The operating system refused an operation; the server's log names it.", false};
    case Errc::closed:
      return {503,   "stopping", "Stopping", "The server is stopping and nothing was done; repeat.",
              false, true};
    case Errc::internal: break;
  }
  return {
      500, "internal", "Internal error",
      "A defect in the server; its log has more. If the request had an Idempotency-Key, repeating "
      "it is safe.",
      false};
}

std::string sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

std::string json_text(std::string_view text) {
  // Details quote what the client sent, which need not be UTF-8.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

constexpr std::size_t kErrorKinds = static_cast<std::size_t>(Errc::internal) + 1;

/// A limit for each kind of error, so that none hides another. A full disk says the same each time.
LineLimit& limit_of(Errc code) {
  static auto limits = []<std::size_t... kKinds>(std::index_sequence<kKinds...>) {
    return std::array<LineLimit, kErrorKinds>{
        LineLimit(static_cast<Errc>(kKinds) == Errc::disk_full ? 1 : kLinesASecond)...};
  }
  (std::make_index_sequence<kErrorKinds>());
  return limits.at(static_cast<std::size_t>(code));
}

Problem simple(Errc code, std::string detail) {
  return problem_of(Error{code, std::move(detail), std::nullopt});
}

}  // namespace

Problem problem_of(const Error& error) {
  const Kind kind = kind_of(error.code);
  Problem problem;
  problem.status = kind.status;
  problem.code = kind.code;
  problem.title = kind.title;
  if (kind.context_shown) problem.detail = sentence(error.context);
  if (!kind.advice.empty()) {
    if (!problem.detail.empty()) problem.detail += ' ';
    problem.detail += kind.advice;
  }
  if (kind.retry_after) problem.headers.emplace_back("Retry-After", "1");
  if (error.code == Errc::not_leader) {
    problem.headers.emplace_back("Location", "//" + error.context);
    problem.extensions.emplace_back("leader", json_text(error.context));
  }
  if (error.versions) {
    problem.extensions.emplace_back("stream", json_text(error.versions->stream));
    // A number stays a number, so that a client can compare it with `current`.
    const std::string& expected = error.versions->expected;
    const bool number =
        !expected.empty() && expected.find_first_not_of("0123456789") == std::string::npos;
    problem.extensions.emplace_back("expected", number ? expected : json_text(expected));
    problem.extensions.emplace_back("current", std::to_string(error.versions->current.value));
  }
  return problem;
}

Problem answered_problem(const Error& error) {
  Problem problem = problem_of(error);
  if (problem.status == 500 || error.code == Errc::disk_full) {
    if (const auto more = limit_of(error.code).admit()) {
      spdlog::error("answered {}: {}{}", problem.status, error.message(), *more);
    }
  }
  return problem;
}

Problem bad_request(std::string detail) { return simple(Errc::bad_request, std::move(detail)); }

Problem not_found(std::string detail) { return simple(Errc::not_found, std::move(detail)); }

Problem unsupported_media_type(std::string_view accepted) {
  Problem problem;
  problem.status = 415;
  problem.code = "unsupported-media-type";
  problem.title = "Unsupported media type";
  problem.detail = "Send the body as " + std::string(accepted) + ".";
  return problem;
}

std::string to_json(const Problem& problem) {
  std::string text =
      "{\"type\":" + json_text("urn:keelson:problem:" + problem.code) +
      ",\"title\":" + json_text(problem.title) + ",\"status\":" + std::to_string(problem.status) +
      ",\"detail\":" + json_text(problem.detail) + ",\"code\":" + json_text(problem.code);
  for (const auto& [name, value] : problem.extensions) {
    text += ',';
    text += json_text(name);
    text += ':';
    text += value;
  }
  text += '}';
  return text;
}

Response to_response(const Problem& problem) {
  Response response(problem.status);
  response.header("Content-Type", "application/problem+json");
  for (const auto& [name, value] : problem.headers) response.header(name, value);
  response.body = to_json(problem);
  return response;
}

}  // namespace keelson::http
