// What an import did, for people and for programs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace bank {

/// A row whose answer is not what the file says.
struct ImportProblem {
  std::uint64_t line = 0;
  std::string account_id;
  std::string key;  ///< command id
  std::string what;
};

struct ImportReport {
  static constexpr std::size_t kProblemsMax = 20;

  std::uint64_t rows = 0;             ///< answered: `applied + replayed + failed`
  std::uint64_t applied = 0;          ///< took effect now
  std::uint64_t replayed = 0;         ///< had taken effect before (or before a lost answer)
  std::uint64_t failed = 0;           ///< refused for ever
  std::uint64_t balances_met = 0;     ///< accepted rows whose balance is the file's
  std::uint64_t accounts = 0;         ///< seen in the file
  std::uint64_t accounts_opened = 0;  ///< now
  std::uint64_t repeats = 0;          ///< commands sent again
  std::uint64_t problem_count = 0;
  std::vector<ImportProblem> problems;  ///< the first `kProblemsMax`
  std::optional<double> fraction;       ///< of the file, done; nothing when its size is not known
  std::chrono::duration<double> elapsed{0};
  bool interrupted = false;               ///< by a signal
  std::optional<keelson::Error> stopped;  ///< why it ended early

  [[nodiscard]] bool good() const { return problem_count == 0 && !stopped && !interrupted; }
  void add_problem(ImportProblem problem);
};

/// A table of a few lines, and the problems.
[[nodiscard]] std::string to_table(const ImportReport& report, const std::string& file);
/// One JSON object on one line.
[[nodiscard]] std::string to_json(const ImportReport& report, const std::string& file);

}  // namespace bank
