#include "http/serve_options.h"

#include <doctest/doctest.h>

#include "http/app.h"

using namespace keelson;
using namespace keelson::http;

namespace {

Result<ServeOptions> listening(const std::string& listen, bool tls = false, bool tokens = false,
                               bool insecure = false) {
  ServeOptions options;
  options.listen = listen;
  if (tls) options.server.tls_certificate = options.server.tls_key = "file";
  if (tokens) options.tokens_file = "file";
  options.insecure = insecure;
  KEELSON_TRY(complete(options));
  return options;
}

int run(std::vector<std::string> arguments) {
  App app("shop");
  app.add_command("count", "Counts", [](const std::vector<std::string>& rest) {
    return static_cast<int>(rest.size());
  });
  arguments.insert(arguments.begin(), "shop");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return app.run(static_cast<int>(argv.size()), argv.data());
}

}  // namespace

TEST_CASE("serve options: an address and a port are taken apart") {
  CHECK(listening("127.0.0.1:8080")->server.port == 8080);
  CHECK(listening("127.0.0.1:0")->server.address == "127.0.0.1");
  CHECK(listening("[::1]:65535")->server.address == "::1");
  for (const char* bad : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                          "127.0.0.1:-1", "localhost:80", ":8080", "8080", "127.0.0.1:80 "}) {
    CAPTURE(bad);
    const auto options = listening(bad);
    REQUIRE_FALSE(options);
    CHECK(options.error().code == Errc::bad_request);
  }
}

TEST_CASE("serve options: bounds of memory that are none are refused") {
  for (const auto& [name, value] : {std::pair{"--pending-bytes-max", "1048575"},
                                    {"--pending-bytes-max", "-1"},
                                    {"--open-segments-max", "0"},
                                    {"--decompressed-bytes-max", "1e9x"},
                                    {"--state-cache-bytes-max", "-1"}}) {
    CAPTURE(name);
    CAPTURE(value);
    // A folder that cannot be made: whoever takes the value fails otherwise.
    CHECK(run({"serve", "--data", "/dev/null/data", name, value}) == 2);
    CHECK(run({"serve", "--data", "/dev/null/data", name, "1048576"}) == 1);
  }
}

TEST_CASE("serve options: what others can reach needs TLS and tokens, or a plain word") {
  CHECK(listening("127.8.9.10:80"));
  for (const char* reachable : {"0.0.0.0:80", "192.168.1.1:80", "[::]:80", "[2001:db8::1]:80"}) {
    CAPTURE(reachable);
    CHECK_FALSE(listening(reachable));
    CHECK_FALSE(listening(reachable, true, false));
    CHECK_FALSE(listening(reachable, false, true));
    CHECK(listening(reachable, true, true));
    CHECK(listening(reachable, false, false, true));
  }
}

TEST_CASE("app: a wrong command line is status 2, help is 0, an added command gets its arguments") {
  CHECK(run({}) == 2);
  CHECK(run({"nonsense"}) == 2);
  CHECK(run({"serve"}) == 2);
  CHECK(run({"serve", "--data", "x", "--partitions", "0"}) == 2);
  CHECK(run({"serve", "--data", "x", "--partitions", "-1"}) == 2);
  CHECK(run({"serve", "--data", "x", "--nonsense"}) == 2);
  CHECK(run({"serve", "--data", "x", "--listen", "0.0.0.0:80"}) == 2);
  CHECK(run({"serve", "--data", "x", "--tls-cert", "x"}) == 2);
  CHECK(run({"serve", "--data", "x", "--durability", "never"}) == 2);
  CHECK(run({"serve", "--help"}) == 0);
  CHECK(run({"--help"}) == 0);
  CHECK(run({"count"}) == 0);
  CHECK(run({"count", "a", "--flag", "-x", "--help"}) == 4);
}
