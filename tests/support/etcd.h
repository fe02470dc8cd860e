// A real etcd of one node, on free ports of this machine.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temporary_folder.h"

extern char** environ;

namespace keelson::test {

/// Below the ports that the kernel gives to clients: one of those could be taken, by a client that
/// keeps asking for this very port even, before etcd is there.
inline std::uint16_t free_port() {
  std::random_device random;
  std::uniform_int_distribution<std::uint16_t> ports(16'384, 32'767);
  while (true) {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(ports(random));
    const bool is_free =
        ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(listener);
    if (is_free) return ntohs(address.sin_port);
  }
}

/// An authority, and certificates that it has signed; made by the program `openssl`.
class Authority {
 public:
  Authority() {
    run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority "
        "-keyout " +
        folder_.path() + "/ca.key -out " + file());
  }
  [[nodiscard]] std::string file() const { return folder_.path() + "/ca.pem"; }

  struct Certificate {
    std::string file;
    std::string key_file;
  };
  /// @param names  as in `IP:127.0.0.1,DNS:localhost`.
  Certificate sign(const std::string& name, const std::string& names) {
    const std::string at = folder_.path() + "/" + name;
    std::ofstream(at + ".ext") << "subjectAltName=" << names
                               << "\nextendedKeyUsage=serverAuth,clientAuth\n";
    run("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name + " -keyout " +
        at + ".key -out " + at + ".csr");
    run("x509 -req -days 2 -CAcreateserial -CA " + file() + " -CAkey " + folder_.path() +
        "/ca.key -in " + at + ".csr -extfile " + at + ".ext -out " + at + ".pem");
    return {at + ".pem", at + ".key"};
  }

 private:
  static void run(const std::string& arguments) {
    const std::string command = "openssl " + arguments + " 2>/dev/null";
    REQUIRE_MESSAGE(std::system(command.c_str()) == 0, command);
  }
  TemporaryFolder folder_;
};

class Etcd {
 public:
  /// @param scheme     of what clients are served; `https` needs more arguments.
  /// @param arguments  beside those that every etcd here has.
  explicit Etcd(const std::string& scheme = "http", std::vector<std::string> arguments = {})
      : arguments_(std::move(arguments)), port_(free_port()), client_(url(scheme, "127.0.0.1")) {
    start();
  }
  ~Etcd() { stop(); }
  Etcd(const Etcd&) = delete;
  Etcd& operator=(const Etcd&) = delete;

  [[nodiscard]] std::string url() const { return client_; }
  [[nodiscard]] std::string url(const std::string& scheme, const std::string& host) const {
    return scheme + "://" + host + ":" + std::to_string(port_);
  }

  void start() {
    std::vector<std::string> arguments{"etcd",
                                       "--name=one",
                                       "--data-dir=" + folder_.path() + "/etcd",
                                       "--listen-client-urls=" + client_,
                                       "--advertise-client-urls=" + client_,
                                       "--listen-peer-urls=" + peer_,
                                       "--initial-advertise-peer-urls=" + peer_,
                                       "--initial-cluster=one=" + peer_,
                                       "--unsafe-no-fsync",
                                       "--logger=zap"};
    arguments.insert(arguments.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> pointers;
    for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = folder_.path() + "/log";
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int failed = ::posix_spawnp(&pid_, "etcd", &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE_MESSAGE(failed == 0, "etcd is not installed");
  }

  /// Its data too.
  void wipe() {
    stop();
    std::filesystem::remove_all(folder_.path() + "/etcd");
  }

  void stop() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  TemporaryFolder folder_;
  const std::vector<std::string> arguments_;
  const std::uint16_t port_;
  const std::string client_;
  const std::string peer_ = "http://127.0.0.1:" + std::to_string(free_port());
  pid_t pid_ = 0;
};

}  // namespace keelson::test
