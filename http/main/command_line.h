// What the tools' commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace keelson::tools {

inline constexpr int kGood = 0;
inline constexpr int kBad = 1;    ///< it could not be done, or what was checked is bad
inline constexpr int kUsage = 2;  ///< a wrong command line

/// Of `verify` and `inspect`: docs/decisions/0074.
inline constexpr int kFound = 1;      ///< something is damaged, missing or cannot be read
inline constexpr int kCannot = 2;     ///< what was asked for could not be done
inline constexpr int kUndecided = 3;  ///< nothing is known to be lost, but a log's end is undecided

/// Prints one line on stderr. @return `status`.
int complain(std::string what, int status = kBad);
/// The same; for programs, who have asked for JSON, `{"error":{"code","message"}}` on stdout too.
int refuse(const Error& error, bool json, int status = kCannot);
/// At the end of a command: `status`, unless what it has printed could not be written.
[[nodiscard]] int finish(int status);

/// Parses the arguments behind a command's name. @return the status to end with, or nothing.
/// @param json  the command knows `--json`, and says in JSON what is wrong with the rest.
[[nodiscard]] std::optional<int> parse(CLI::App& parser, const std::vector<std::string>& arguments,
                                       bool json = false);

/// Where a server with this `--data` keeps its store.
[[nodiscard]] std::string store_folder(const std::string& data);

[[nodiscard]] std::string hex(std::span<const std::byte> bytes);

}  // namespace keelson::tools
