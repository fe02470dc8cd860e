// What the tools' commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace keelson::tools {

inline constexpr int kGood = 0;
inline constexpr int kBad = 1;    ///< it could not be done, or what was checked is bad
inline constexpr int kUsage = 2;  ///< a wrong command line

/// Prints one line on stderr. @return `status`.
int complain(std::string what, int status = kBad);

/// Parses the arguments behind a command's name. @return the status to end with, or nothing.
[[nodiscard]] std::optional<int> parse(CLI::App& parser, const std::vector<std::string>& arguments);

/// Where a server with this `--data` keeps its store.
[[nodiscard]] std::string store_folder(const std::string& data);

[[nodiscard]] std::string hex(std::span<const std::byte> bytes);

}  // namespace keelson::tools
