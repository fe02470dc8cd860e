// The transport with TLS, with certificates made for the occasion.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "engine/io/posix_file_system.h"
#include "tests/engine/transport/raw_peer.h"
#include "tests/engine/transport/test_node.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::test;

namespace {

const Member kOne = make_member(1);
const Member kTwo = make_member(2);

void run(const std::string& command) {
  REQUIRE_MESSAGE(std::system((command + " >/dev/null 2>&1").c_str()) == 0, command);
}

/// Signs certificates of nodes.
class Authority {
 public:
  explicit Authority(const std::string& name) : path_(folder_.path() + "/" + name) {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
        name + " -keyout " + path_ + ".key -out " + path_ + ".pem");
  }

  /// Of a node, for both sides of a connection; `days` may be over.
  [[nodiscard]] transport::TlsFiles issue(const std::string& node, int days = 2) const {
    const std::string path = folder_.path() + "/" + node;
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + node +
        " -keyout " + path + ".key -out " + path + ".csr");
    run("openssl x509 -req -in " + path + ".csr -CA " + path_ + ".pem -CAkey " + path_ +
        ".key -CAcreateserial -days " + std::to_string(days) + " -out " + path + ".pem");
    return {path + ".pem", path + ".key", file()};
  }
  [[nodiscard]] std::string file() const { return path_ + ".pem"; }

 private:
  const TemporaryFolder folder_;
  const std::string path_;
};

TcpTransportOptions with_tls(const Member& self, const transport::TlsFiles& files) {
  TcpTransportOptions options = make_options(self);
  options.tls = files;
  return options;
}

/// Starts both, which do not come together, until `trouble` is heard by `one` or `two`.
void check_apart(TestNode& one, TestNode& two, const std::string& of_one,
                 const std::string& of_two) {
  one.start({{NodeId(2), two.address()}});
  two.start({{NodeId(1), one.address()}});
  if (!of_one.empty()) CHECK(one.troubles.wait_part(of_one));
  if (!of_two.empty()) CHECK(two.troubles.wait_part(of_two));
  CHECK(one.heard.all().empty());
  CHECK(two.heard.all().empty());
}

}  // namespace

TEST_CASE("transport with TLS: messages and regions of files arrive, both ways") {
  const Authority authority("authority");
  TestNode one(with_tls(kOne, authority.issue("one")));
  TestNode two(with_tls(kTwo, authority.issue("two")));
  connect(one, two);
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const std::string bytes(3'000'001, 'b');
  REQUIRE(io::replace_file(files, folder.path() + "/segment", bytes).has_value());
  auto opened = files.open(folder.path() + "/segment", io::OpenMode::read);
  REQUIRE(opened.has_value());
  const std::shared_ptr<const io::File> file = *std::move(opened);
  for (int i = 0; i < 100; ++i) {
    const std::string text =
        std::to_string(i) + std::string(static_cast<std::size_t>(i) * 997, 'm');
    REQUIRE(one.transport().send(kTwo, text).has_value());
    REQUIRE(two.transport().send(kOne, text).has_value());
    if (i % 10 == 0) {
      REQUIRE(one.transport().send_file(kTwo, "file", {file, 1, 3'000'000}).has_value());
    }
  }
  REQUIRE(two.heard.wait("1.0: 99" + std::string(99 * 997, 'm')));
  REQUIRE(one.heard.wait("2.0: 99" + std::string(99 * 997, 'm')));
  CHECK(two.heard.all().size() == 111);
  CHECK(one.heard.all().size() == 101);
  CHECK(two.heard.count("1.0: file + " + bytes.substr(1)) == 10);
}

TEST_CASE("transport with TLS: a certificate of another authority is refused by both sides") {
  const Authority authority("authority");
  const Authority other("other");
  auto forged = other.issue("forged");
  SUBCASE("the dialler's") {
    forged.authority_file = authority.file();  // it would believe the other side
    TestNode one(with_tls(kOne, forged));
    TestNode two(with_tls(kTwo, authority.issue("two")));
    check_apart(one, two, "", "certificate verify failed");
  }
  SUBCASE("the acceptor's") {
    forged.authority_file = authority.file();
    TestNode one(with_tls(kOne, authority.issue("one")));
    TestNode two(with_tls(kTwo, forged));
    check_apart(one, two, "certificate verify failed", "");
  }
}

TEST_CASE("transport with TLS: the secret is asked for all the same") {
  const Authority authority("authority");
  auto options = with_tls(kOne, authority.issue("one"));
  options.secret = "another secret of theirs";
  TestNode one(options);
  TestNode two(with_tls(kTwo, authority.issue("two")));
  check_apart(one, two, "refused by the other side: node 1 has another secret",
              "node 1 has another secret");
}

TEST_CASE("transport with TLS: a side without it does not come in") {
  const Authority authority("authority");
  SUBCASE("the dialler") {
    TestNode one(kOne);
    TestNode two(with_tls(kTwo, authority.issue("two")));
    check_apart(one, two, "2 ", "TLS: wrong version number");
  }
  SUBCASE("the acceptor") {
    TestNode one(with_tls(kOne, authority.issue("one")));
    TestNode two(kTwo);
    check_apart(one, two, "TLS: ", "what came is not a frame");
  }
}

TEST_CASE("transport with TLS: without a certificate nobody comes in") {
  const Authority authority("authority");
  TestNode two(with_tls(kTwo, authority.issue("two")));
  two.start({{NodeId(1), "127.0.0.1:1"}});
  const std::string client = "timeout 20 openssl s_client -tls1_3 -connect " + two.address() +
                             " -CAfile " + authority.file() + " </dev/null >/dev/null 2>&1";
  [[maybe_unused]] const int status = std::system(client.c_str());
  CHECK(two.troubles.wait_part("peer did not return a certificate"));
  CHECK(two.heard.all().empty());
}

TEST_CASE("transport with TLS: files that cannot be used are named") {
  const Authority authority("authority");
  const auto good = authority.issue("one");
  SystemClock clock;
  SystemRandom random;
  const auto error_of = [&](const transport::TlsFiles& files) {
    const auto opened = TcpTransport::open(with_tls(kOne, files), clock, random);
    REQUIRE(!opened.has_value());
    CHECK(opened.error().code == Errc::bad_request);
    return opened.error().context;
  };
  auto files = good;
  files.certificate_file = "/nowhere/a.pem";
  CHECK(error_of(files).starts_with("cannot use the TLS certificate '/nowhere/a.pem'"));
  files = good;
  files.key_file = authority.issue("two").key_file;  // another's
  CHECK(error_of(files).starts_with("cannot use the TLS key '"));
  files = good;
  files.authority_file = "/nowhere/b.pem";
  CHECK(error_of(files).starts_with("cannot use the TLS authority '/nowhere/b.pem'"));
}
