#include "samples/bank/import_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "samples/bank/progress_bar.h"

namespace bank {

namespace {

std::string with_one_decimal(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

double rows_per_second(const ImportReport& report) {
  return report.elapsed.count() > 0 ? static_cast<double>(report.rows) / report.elapsed.count() : 0;
}

std::string balances_line(const ImportReport& report) {
  const std::string met = with_commas(report.balances_met);
  if (report.balances_met == report.rows) return "all " + met + " as in the file";
  return met + " of " + with_commas(report.rows) + " as in the file";
}

}  // namespace

void ImportReport::add_problem(ImportProblem problem) {
  ++problem_count;
  if (problems.size() < kProblemsMax) problems.push_back(std::move(problem));
}

std::string to_table(const ImportReport& report, const std::string& file) {
  std::string table;
  const auto line = [&table](std::string name, const std::string& value) {
    name.resize(12, ' ');
    table += "  " + name + value + "\n";
  };
  line("file", file);
  line("rows", with_commas(report.rows) + "  (" + with_commas(report.applied) + " applied, " +
                   with_commas(report.replayed) + " replayed, " + with_commas(report.failed) +
                   " failed)");
  line("accounts",
       with_commas(report.accounts) + "  (" + with_commas(report.accounts_opened) + " opened now)");
  line("balances", balances_line(report));
  if (report.repeats > 0) line("sent again", with_commas(report.repeats) + " commands");
  line("time", with_one_decimal(report.elapsed.count()) + " s, " +
                   with_commas(static_cast<std::uint64_t>(rows_per_second(report))) + " rows/s");
  if (report.interrupted) line("interrupted", "run it again to go on: nothing is done twice");
  if (report.problem_count > 0) {
    line("problems", with_commas(report.problem_count));
    for (const ImportProblem& problem : report.problems)
      table += "    line " + std::to_string(problem.line) + ", account " + problem.account_id +
               ", " + problem.key + ": " + problem.what + "\n";
    if (report.problem_count > report.problems.size())
      table +=
          "    … and " + with_commas(report.problem_count - report.problems.size()) + " more\n";
  }
  return table;
}

std::string to_json(const ImportReport& report, const std::string& file) {
  nlohmann::ordered_json json = {{"file", file},
                                 {"rows", report.rows},
                                 {"applied", report.applied},
                                 {"replayed", report.replayed},
                                 {"failed", report.failed},
                                 {"balances_met", report.balances_met},
                                 {"accounts", report.accounts},
                                 {"accounts_opened", report.accounts_opened},
                                 {"repeats", report.repeats},
                                 {"seconds", report.elapsed.count()},
                                 {"rows_per_second", rows_per_second(report)},
                                 {"interrupted", report.interrupted},
                                 {"problem_count", report.problem_count}};
  json["problems"] = nlohmann::ordered_json::array();
  for (const ImportProblem& problem : report.problems)
    json["problems"].push_back({{"line", problem.line},
                                {"account_id", problem.account_id},
                                {"key", problem.key},
                                {"what", problem.what}});
  json["error"] = nullptr;
  if (report.stopped) json["error"] = report.stopped->context;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace bank
