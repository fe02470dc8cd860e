// What command lines are checked for, beside what CLI11 knows.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

namespace keelson::http {

/// Digits, and no more than a signed number holds: CLI11 reads -1 as the largest number otherwise,
/// and -18446744073709551615 as 1.
[[nodiscard]] inline CLI::Validator whole_number() {
  return {[](std::string& text) -> std::string {
            std::int64_t number = -1;
            const char* const end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, number);
            if (error == std::errc() && stopped == end && !text.starts_with('-')) return {};
            return "'" + text + "' is not a whole number from 0 to " + std::to_string(INT64_MAX);
          },
          ""};
}

/// What is wrong with the first word of a command line; nothing when it is a subcommand or none.
[[nodiscard]] inline std::optional<std::string> unknown_subcommand(const CLI::App& parser,
                                                                   const std::string& word) {
  if (word.empty() || word.starts_with('-')) return std::nullopt;
  std::string known;
  for (const CLI::App* const subcommand : parser.get_subcommands({})) {
    if (subcommand->get_name() == word) return std::nullopt;
    known += (known.empty() ? "" : ", ") + subcommand->get_name();
  }
  return "there is no subcommand '" + word + "'; there are " + known;
}

}  // namespace keelson::http
