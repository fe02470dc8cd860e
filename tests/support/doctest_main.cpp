#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <iostream>

#include "tests/support/seeds.h"

namespace keelson::test {

namespace {

/// An assertion that fails prints what was logged; a process that ends in the middle does not.
struct SeedOfCrash final : doctest::IReporter {
  explicit SeedOfCrash(const doctest::ContextOptions&) {}

  void test_case_exception(const doctest::TestCaseException& exception) override {
    if (!exception.is_crash || running_seed == 0) return;
    std::cerr << "to run this seed again: " << replay_command(running_seed) << std::endl;
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("seed", 1, SeedOfCrash);

}  // namespace

}  // namespace keelson::test
