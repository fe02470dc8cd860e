#include "http/auth.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::http;

namespace {

// SHA-256 of `secret-one` and `secret-two`.
constexpr const char* kOne = "ea77193cc4e6f18656f3130e296203880c4b9b3772afc855211b82fdd46e9185";
constexpr const char* kTwo = "cebdf378f2d2bd60d3e3693349e8f20f329daf11a276f849996f0a6377e2155b";

std::string tokens() {
  return std::string("# who may do what\n\n") + kOne + " teller read,write\r\n" + kTwo +
         "\tauditor  read";
}

}  // namespace

TEST_CASE("auth: without tokens everyone is anonymous and may do everything") {
  const Authenticator authenticator;
  CHECK_FALSE(authenticator.required());
  const auto principal = authenticator.authenticate(std::nullopt);
  REQUIRE(principal);
  CHECK(principal->name.empty());
  for (const Role role : {Role::read, Role::write, Role::admin}) {
    CHECK_FALSE(check_role(*principal, role));
  }
}

TEST_CASE("auth: a token gives its principal and its roles, no others") {
  const auto authenticator = Authenticator::parse(tokens());
  REQUIRE(authenticator);
  CHECK(authenticator->required());
  const auto teller = authenticator->authenticate("Bearer secret-one");
  REQUIRE(teller);
  CHECK(teller->name == "teller");
  CHECK_FALSE(check_role(*teller, Role::write));
  CHECK(check_role(*teller, Role::admin)->status == 403);
  const auto auditor = authenticator->authenticate("bearer secret-two");
  REQUIRE(auditor);
  CHECK(auditor->name == "auditor");
  CHECK(check_role(*auditor, Role::write)->code == "forbidden");
}

TEST_CASE("auth: no token, a wrong one and another scheme are 401") {
  const auto authenticator = Authenticator::parse(tokens());
  REQUIRE(authenticator);
  const std::optional<std::string_view> kinds[] = {std::nullopt,
                                                   "",
                                                   "Bearer",
                                                   "Bearer ",
                                                   "Bearer secret-three",
                                                   "Bearer secret-one ",
                                                   "Basic secret-one",
                                                   "secret-one",
                                                   kOne};
  for (const auto& authorization : kinds) {
    CAPTURE(authorization.value_or("none"));
    const auto principal = authenticator->authenticate(authorization);
    REQUIRE_FALSE(principal);
    CHECK(principal.error().status == 401);
    CHECK(principal.error().headers.front().first == "WWW-Authenticate");
  }
}

TEST_CASE("auth: a malformed tokens file is refused by line number, without showing the line") {
  const std::string good = std::string(kOne) + " teller read\n";
  for (const std::string& bad :
       {std::string("secret-one teller read"), std::string(kOne) + " teller",
        std::string(kOne) + " teller read extra", std::string(kOne) + " teller reed",
        std::string(kOne) + " teller read,", std::string(kOne).substr(1) + " teller read",
        std::string(kOne) + " t\xc3\xbcller read", std::string(kOne) + " $reaction/pay write",
        std::string(kOne) + " $group read"}) {
    CAPTURE(bad);
    const auto parsed = Authenticator::parse(good + bad);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().context.starts_with("line 2: "));
    CHECK(parsed.error().context.find("secret-one") == std::string::npos);
  }
  CHECK_FALSE(Authenticator::parse("# only a comment\n"));
}

TEST_CASE("auth: a tokens file is read, a missing one is named") {
  const keelson::test::TemporaryFolder folder;
  const std::string path = folder.path() + "/tokens";
  const auto missing = Authenticator::from_file(path);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::not_found);
  CHECK(missing.error().context.find(path) != std::string::npos);
  std::ofstream(path) << tokens();
  CHECK(Authenticator::from_file(path)->authenticate("Bearer secret-one"));
}
