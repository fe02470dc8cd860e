// The coordinator in front of an etcd with TLS, certificates and passwords.
#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "http/etcd/etcd_client.h"
#include "http/etcd/etcd_coordinator.h"
#include "tests/http/coordinator_calls.h"
#include "tests/support/etcd.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::replication;
using namespace std::chrono_literals;
using nlohmann::json;
using test::await_etcd;
using test::Seen;
using test::swap;

namespace {

constexpr const char* kThisMachine = "IP:127.0.0.1,DNS:localhost";

std::vector<std::string> serving(const test::Authority::Certificate& certificate) {
  return {"--cert-file=" + certificate.file, "--key-file=" + certificate.key_file};
}

/// Why etcd does not let a client with these options in; empty: it does. Waits for etcd.
std::string refusal(const EtcdOptions& options) {
  const auto coordinator = EtcdCoordinator::open(options).value();
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (true) {
    const auto checked = coordinator->check("k/1");
    if (checked) return "";
    if (checked.error().code != Errc::io_error) return checked.error().context;
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end, checked.error().context);
    std::this_thread::sleep_for(20ms);
  }
}

bool contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

/// Asks etcd for something outside the coordinator's port.
Result<json> call(const EtcdOptions& options, const std::string& path, const json& body) {
  boost::asio::io_context io{1};
  const auto client = EtcdClient::open(options).value();
  auto answer = boost::asio::co_spawn(io, client->call(path, body, EtcdClient::Repeat::harmless),
                                      boost::asio::use_future);
  io.run();
  return answer.get();
}

/// Users `root` and `bank`, whose password is its name backwards; `bank` may use keys of `k/`.
void ask_for_passwords(const EtcdOptions& options) {
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (!call(options, "/v3/auth/user/add", {{"name", "root"}, {"password", "toor"}})) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(20ms);
  }
  REQUIRE(call(options, "/v3/auth/user/grant", {{"user", "root"}, {"role", "root"}}));
  REQUIRE(call(options, "/v3/auth/user/add", {{"name", "bank"}, {"password", "knab"}}));
  REQUIRE(call(options, "/v3/auth/role/add", {{"name", "keys"}}));
  const json range{
      {"permType", "READWRITE"}, {"key", to_base64("k/")}, {"range_end", to_base64("k0")}};
  REQUIRE(call(options, "/v3/auth/role/grant", {{"name", "keys"}, {"perm", range}}));
  REQUIRE(call(options, "/v3/auth/user/grant", {{"user", "bank"}, {"role", "keys"}}));
  REQUIRE(call(options, "/v3/auth/enable", json::object()));
}

EtcdOptions as(EtcdOptions options, const std::string& user, const std::string& password) {
  options.user = user;
  options.password = password;
  return options;
}

/// Plays etcd: answers one connection after the other as it was told, and writes down what it was
/// asked.
class Script {
 public:
  struct Answer {
    unsigned status = 200;
    std::string body;  ///< empty: none, the connection ends
  };
  struct Asked {
    std::string path;
    std::string token;
  };
  explicit Script(std::vector<Answer> answers)
      : acceptor_(io_, {boost::asio::ip::make_address("127.0.0.1"), 0}),
        url_("http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port())),
        answers_(std::move(answers)),
        thread_([this] { play(); }) {}
  ~Script() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] const std::string& url() const { return url_; }
  std::vector<Asked> asked() {
    thread_.join();
    return asked_;
  }

 private:
  void play() {
    namespace beast = boost::beast;
    for (const Answer& answer : answers_) {
      auto socket = acceptor_.accept();
      beast::flat_buffer buffer;
      beast::http::request<beast::http::string_body> request;
      beast::http::read(socket, buffer, request);
      asked_.push_back(
          {std::string(request.target()), std::string(request[beast::http::field::authorization])});
      if (answer.body.empty()) continue;
      beast::http::response<beast::http::string_body> response(
          static_cast<beast::http::status>(answer.status), 11, answer.body);
      response.prepare_payload();
      beast::http::write(socket, response);
    }
    acceptor_.close();
  }

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  const std::string url_;
  const std::vector<Answer> answers_;
  std::vector<Asked> asked_;
  std::thread thread_;
};

constexpr const char* kInvalidToken = R"({"error":"etcdserver: invalid auth token","code":16})";
constexpr const char* kSwapped = R"({"header":{"revision":"7"},"succeeded":true})";

std::string token(const std::string& text) { return R"({"token":")" + text + R"("})"; }

}  // namespace

TEST_CASE("etcd by TLS: an authority that is trusted and the name that is asked for, or nothing") {
  test::Authority authority;
  test::Authority stranger;
  test::Etcd etcd("https", serving(authority.sign("server", kThisMachine)));
  const auto of = [&](const std::string& url, const test::Authority& believed) {
    return EtcdOptions{.endpoints = url, .authority_file = believed.file()};
  };
  CHECK(refusal(of(etcd.url(), authority)) == "");
  CHECK(refusal(of(etcd.url("https", "localhost"), authority)) == "");
  contains(refusal(of(etcd.url(), stranger)), "certificate verify failed");
  contains(refusal({.endpoints = etcd.url()}), "certificate verify failed");

  test::Etcd elsewhere("https", serving(authority.sign("else", "IP:127.0.0.9,DNS:etcd.example")));
  contains(refusal(of(elsewhere.url(), authority)), "IP address mismatch");
  contains(refusal(of(elsewhere.url("https", "localhost"), authority)), "ostname mismatch");

  // Who speaks to it works as without TLS, and goes on after etcd was away.
  const auto coordinator = EtcdCoordinator::open(of(etcd.url(), authority)).value();
  Seen seen;
  const auto watch = coordinator->watch("k/", seen.listener());
  REQUIRE(swap(*coordinator, "k/1", std::nullopt, "a").value().swapped);
  CHECK(seen.becomes({{"k/1", "a"}}));
  etcd.stop();
  etcd.start();
  await_etcd(*coordinator);
  REQUIRE(swap(*coordinator, "k/2", std::nullopt, "b").value().swapped);
  CHECK(seen.becomes({{"k/1", "a"}, {"k/2", "b"}}));
}

TEST_CASE("etcd by TLS: where certificates are asked for, only one of its authority is let in") {
  test::Authority authority;
  test::Authority stranger;
  auto arguments = serving(authority.sign("server", kThisMachine));
  arguments.push_back("--client-cert-auth");
  arguments.push_back("--trusted-ca-file=" + authority.file());
  test::Etcd etcd("https", arguments);
  EtcdOptions options{.endpoints = etcd.url(), .authority_file = authority.file()};
  const auto shown = [&](const test::Authority::Certificate& certificate) {
    EtcdOptions with = options;
    with.certificate_file = certificate.file;
    with.key_file = certificate.key_file;
    return with;
  };
  CHECK(refusal(shown(authority.sign("node", kThisMachine))) == "");
  contains(refusal(options), "alert");
  contains(refusal(shown(stranger.sign("node", kThisMachine))), "alert");
}

TEST_CASE("etcd options: files that cannot be used are named, and half of a pair is refused") {
  test::Authority authority;
  const auto one = authority.sign("one", kThisMachine);
  const auto two = authority.sign("two", kThisMachine);
  const test::TemporaryFolder folder;
  const std::string rubbish = folder.path() + "/rubbish";
  std::ofstream(rubbish) << "no certificate\n";
  const auto failure = [](EtcdOptions options) {
    const auto coordinator = EtcdCoordinator::open(std::move(options));
    return coordinator ? "" : coordinator.error().context;
  };
  EtcdOptions good{.endpoints = "https://127.0.0.1:1", .authority_file = authority.file()};
  CHECK(failure(good) == "");
  for (const std::string& bad : {rubbish, folder.path() + "/none"}) {
    EtcdOptions options = good;
    options.authority_file = bad;
    contains(failure(options), "--etcd-ca '" + bad + "'");
    options = good;
    options.certificate_file = bad;
    options.key_file = one.key_file;
    contains(failure(options), "--etcd-cert '" + bad + "'");
  }
  EtcdOptions options = good;
  options.certificate_file = one.file;
  options.key_file = two.key_file;
  contains(failure(options), "--etcd-key '" + two.key_file + "'");

  const auto completed = [](EtcdOptions given, bool insecure = false) {
    const auto result = complete(given, insecure);
    return result ? "password " + given.password : result.error().context;
  };
  contains(completed({.endpoints = "https://e:1", .certificate_file = "c"}), "--etcd-key");
  contains(completed({.endpoints = "https://e:1", .key_file = "k"}), "--etcd-cert");
  contains(completed({.endpoints = "http://e:1", .authority_file = "a"}), "for https://");
  contains(completed({.endpoints = "https://e:1", .user = "u"}), "--etcd-password-file");
  contains(completed({.endpoints = "https://e:1", .password_file = "p"}), "--etcd-user");
  const std::string password = folder.path() + "/password";
  std::ofstream(password) << "open sesame\n";
  EtcdOptions user{.endpoints = "http://e:1", .user = "u", .password_file = password};
  contains(completed(user), "would cross a network");
  CHECK(completed(user, true) == "password open sesame");
  user.endpoints = "http://127.0.0.1:1,http://localhost:2,http://[::1]:3";
  CHECK(completed(user) == "password open sesame");
  user.password_file = folder.path() + "/none";
  contains(completed(user), "cannot be read");
  std::ofstream(folder.path() + "/empty") << "\n";
  user.password_file = folder.path() + "/empty";
  contains(completed(user), "1 to");
}

TEST_CASE("etcd by TLS: certificates are read again when their files have changed") {
  test::Authority authority;
  test::Authority stranger;
  test::Etcd etcd("https", serving(authority.sign("server", kThisMachine)));
  test::TemporaryFolder folder;
  EtcdOptions options{.endpoints = etcd.url(), .authority_file = folder.path() + "/ca.pem"};
  const auto put = [&](const std::string& file) {
    std::filesystem::copy_file(file, options.authority_file,
                               std::filesystem::copy_options::overwrite_existing);
  };
  put(authority.file());
  await_etcd(*EtcdCoordinator::open(options).value());
  put(stranger.file());
  const auto coordinator = EtcdCoordinator::open(options).value();
  contains(coordinator->check("any").error().context, "certificate verify failed");
  std::ofstream(options.authority_file) << "half of one";
  contains(coordinator->check("any").error().context, "certificate verify failed");
  put(authority.file());
  await_etcd(*coordinator);
}

TEST_CASE("etcd by TLS: a file that cannot be used is told each time, and that it can be again") {
  test::Authority authority;
  test::Etcd etcd("https", serving(authority.sign("server", kThisMachine)));
  test::TemporaryFolder folder;
  std::vector<std::string> told;
  EtcdOptions options{.endpoints = etcd.url(), .authority_file = folder.path() + "/ca.pem"};
  options.report = [&](const std::string& what) {
    if (what.find("etcd: ") == 0) told.push_back(what);  // of files
  };
  const auto put = [&](const std::string& file) {
    std::filesystem::copy_file(file, options.authority_file,
                               std::filesystem::copy_options::overwrite_existing);
  };
  put(authority.file());
  await_etcd(*EtcdCoordinator::open(options).value());
  told.clear();
  boost::asio::io_context io{1};
  const auto client = EtcdClient::open(options).value();
  const auto ask = [&] {
    auto answer = boost::asio::co_spawn(
        io, client->call("/v3/kv/range", {{"key", to_base64("any")}}, EtcdClient::Repeat::harmless),
        boost::asio::use_future);
    io.restart();
    io.run();
    CHECK(answer.get());
  };
  for (int i = 0; i < 2; ++i) {
    std::ofstream(options.authority_file) << "half of one";
    ask();
    ask();
    REQUIRE(told.size() == 1);
    contains(told.front(), "goes on with what it was before");
    put(authority.file());
    ask();
    ask();
    REQUIRE(told.size() == 2);
    contains(told.back(), "is used again");
    told.clear();
  }
  // Of the same moment as the last one, to the clock of the disk.
  const auto moment = std::filesystem::last_write_time(options.authority_file);
  std::ofstream(options.authority_file) << "half of one";
  std::filesystem::last_write_time(options.authority_file, moment);
  ask();
  CHECK(told.size() == 1);
}

TEST_CASE("etcd with passwords: who is not let in is told why") {
  test::Etcd etcd;
  const EtcdOptions nobody{.endpoints = etcd.url()};
  await_etcd(*EtcdCoordinator::open(nobody).value());
  contains(refusal(as(nobody, "bank", "knab")), "authentication is not enabled");
  ask_for_passwords(nobody);
  CHECK(refusal(as(nobody, "bank", "knab")) == "");
  contains(refusal(as(nobody, "bank", "bank")), "refuses the user 'bank': authentication failed");
  contains(refusal(nobody), "user name is empty");
  const auto other = EtcdCoordinator::open(as(nobody, "bank", "knab")).value();
  const auto denied = other->check("other/1");
  REQUIRE_FALSE(denied);
  CHECK(denied.error().code == Errc::bad_request);
  contains(denied.error().context, "permission denied");
}

TEST_CASE("etcd with passwords: one that is changed in its file and in etcd is used from then on") {
  test::Etcd etcd;
  const EtcdOptions nobody{.endpoints = etcd.url()};
  await_etcd(*EtcdCoordinator::open(nobody).value());
  ask_for_passwords(nobody);
  test::TemporaryFolder folder;
  EtcdOptions bank = as(nobody, "bank", "knab");
  bank.password_file = folder.path() + "/password";
  std::ofstream(bank.password_file) << "knab\n";
  const auto coordinator = EtcdCoordinator::open(bank).value();
  const auto first = swap(*coordinator, "k/1", std::nullopt, "a");
  REQUIRE((first && first->swapped));
  std::ofstream(bank.password_file) << "another\n";
  REQUIRE(call(as(nobody, "root", "toor"), "/v3/auth/user/changepw",
               {{"name", "bank"}, {"password", "another"}}));
  const auto second = swap(*coordinator, "k/1", first->current, "b");
  REQUIRE_MESSAGE(second, (second ? "" : second.error().context));
  CHECK(second->swapped);
}

TEST_CASE("etcd with passwords: while the file cannot be read the last that was in it is used") {
  test::Etcd etcd;
  const EtcdOptions nobody{.endpoints = etcd.url()};
  await_etcd(*EtcdCoordinator::open(nobody).value());
  ask_for_passwords(nobody);
  test::TemporaryFolder folder;
  std::vector<std::string> told;
  EtcdOptions bank = as(nobody, "bank", "knab");
  bank.password_file = folder.path() + "/password";
  bank.report = [&](const std::string& what) { told.push_back(what); };
  boost::asio::io_context io{1};
  const auto client = EtcdClient::open(bank).value();
  const auto ask = [&] {
    auto answer = boost::asio::co_spawn(
        io, client->call("/v3/kv/range", {{"key", to_base64("k/1")}}, EtcdClient::Repeat::harmless),
        boost::asio::use_future);
    io.restart();
    io.run();
    const auto got = answer.get();
    CHECK_MESSAGE(got, (got ? "" : got.error().context));
  };
  const auto change = [&](const std::string& password) {  // tokens end with it
    REQUIRE(call(as(nobody, "root", "toor"), "/v3/auth/user/changepw",
                 {{"name", "bank"}, {"password", password}}));
  };
  std::ofstream(bank.password_file) << "another\n";
  change("another");
  ask();
  CHECK(told.empty());
  for (int i = 0; i < 2; ++i) {
    std::filesystem::remove(bank.password_file);
    change("another");
    ask();
    REQUIRE(told.size() == 1);
    contains(told.front(), "goes on with what it was before");
    std::ofstream(bank.password_file) << "another\n";
    change("another");
    ask();
    REQUIRE(told.size() == 2);
    contains(told.back(), "is used again");
    told.clear();
  }
}

TEST_CASE("etcd with passwords: a token that has run out, was lost or is stale is renewed") {
  test::Authority authority;
  auto arguments = serving(authority.sign("server", kThisMachine));
  arguments.push_back("--auth-token-ttl=1");
  test::Etcd etcd("https", arguments);
  const EtcdOptions nobody{.endpoints = etcd.url(), .authority_file = authority.file()};
  ask_for_passwords(nobody);
  const EtcdOptions bank = as(nobody, "bank", "knab");
  const auto coordinator = EtcdCoordinator::open(bank).value();
  // Others look on, with tokens of their own.
  const auto onlooker = EtcdCoordinator::open(bank).value();
  Seen seen;
  const auto watch = onlooker->watch("k/", seen.listener());
  const auto here = coordinator->appear("k/here", "here", 2s);
  auto first = swap(*coordinator, "k/1", std::nullopt, "a").value();
  REQUIRE(first.swapped);
  CHECK(seen.becomes({{"k/1", "a"}, {"k/here", "here"}}));

  std::this_thread::sleep_for(3s);  // etcd forgets what was not shown for a second
  first = swap(*coordinator, "k/1", first.current, "b").value();
  CHECK(first.swapped);
  CHECK(seen.becomes({{"k/1", "b"}, {"k/here", "here"}}));

  // Users have changed: tokens of before are not believed for what is changed.
  REQUIRE(call(as(nobody, "root", "toor"), "/v3/auth/role/add", {{"name", "more"}}));
  first = swap(*coordinator, "k/1", first.current, "c").value();
  CHECK(first.swapped);
  CHECK(seen.becomes({{"k/1", "c"}, {"k/here", "here"}}));

  for (const std::string value : {"d", "e"}) {
    etcd.stop();
    etcd.start();
    await_etcd(*coordinator, "k/1");
    first = swap(*coordinator, "k/1", first.current, value).value();
    CHECK(first.swapped);
    CHECK(seen.becomes({{"k/1", value}, {"k/here", "here"}}));
  }
}

TEST_CASE("etcd with passwords: what a token was refused for is sent once more, with another") {
  Script etcd({{200, token("one")}, {401, kInvalidToken}, {200, token("two")}, {200, kSwapped}});
  const auto coordinator =
      EtcdCoordinator::open(as({.endpoints = etcd.url()}, "bank", "knab")).value();
  const auto swapped = swap(*coordinator, "k/1", Record{"", Revision(3)}, "a");
  REQUIRE(swapped);
  CHECK(swapped->swapped);
  CHECK(swapped->current->revision == Revision(7));
  const auto asked = etcd.asked();
  CHECK(asked[1].path == "/v3/kv/txn");
  CHECK(asked[1].token == "one");
  CHECK(asked[3].path == "/v3/kv/txn");
  CHECK(asked[3].token == "two");
}

TEST_CASE("etcd with passwords: a swap whose answer is lost is not sent again, and is unknown") {
  Script etcd({{200, token("one")}, {401, kInvalidToken}, {200, token("two")}, {200, ""}});
  const auto coordinator =
      EtcdCoordinator::open(as({.endpoints = etcd.url()}, "bank", "knab")).value();
  const auto swapped = swap(*coordinator, "k/1", Record{"", Revision(3)}, "a");
  REQUIRE_FALSE(swapped);
  CHECK(swapped.error().code == Errc::outcome_unknown);
  CHECK(etcd.asked().size() == 4);
}

TEST_CASE("etcd with passwords: a swap that no token helps has not been done") {
  Script etcd(
      {{200, token("one")}, {401, kInvalidToken}, {200, token("two")}, {401, kInvalidToken}});
  const auto coordinator =
      EtcdCoordinator::open(as({.endpoints = etcd.url()}, "bank", "knab")).value();
  const auto swapped = swap(*coordinator, "k/1", Record{"", Revision(3)}, "a");
  REQUIRE_FALSE(swapped);
  CHECK(swapped.error().code == Errc::io_error);
}
