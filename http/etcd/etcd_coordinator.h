// The coordinator of a cluster: records in etcd.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "engine/replication/coordinator.h"
#include "http/etcd/etcd_options.h"

namespace keelson::http {

/// Speaks etcd's v3 interface as JSON over HTTP or HTTPS, from a thread of its own.
///
/// While etcd is away `get` fails with `io_error` within a second or so, a compare-and-set that may
/// have arrived with `outcome_unknown`; watches and presences go on when it is back. Answers come
/// on its thread. Who waits for one when it is destroyed gets none. Its presences that were dropped
/// before are taken away first, for which it waits a second at most; others end when their time to
/// live is over.
class EtcdCoordinator final : public replication::Coordinator {
 public:
  /// That etcd answers is not waited for.
  /// @error bad_request  an endpoint is none, or a file cannot be used: context says which.
  [[nodiscard]] static Result<std::unique_ptr<EtcdCoordinator>> open(EtcdOptions options);
  ~EtcdCoordinator() override;

  /// Asks once whether etcd lets this process read and write `key`, which stays as it is. Blocks
  /// for a few seconds at most.
  /// @error bad_request  it does not: a certificate, the password or the user's rights are wrong.
  /// @error io_error     nobody answers.
  [[nodiscard]] Result<void> check(const std::string& key);

  void get(std::string key, Read done) override;
  void compare_and_set(std::string key, std::optional<replication::Record> expected,
                       std::string value, Swap done) override;
  [[nodiscard]] std::unique_ptr<Watch> watch(std::string prefix,
                                             std::function<void(const Change&)> changed) override;
  [[nodiscard]] std::unique_ptr<Presence> appear(
      std::string key, std::string value, std::chrono::seconds time_to_live,
      std::optional<replication::Record> replaces = std::nullopt) override;

 private:
  struct Running;
  class Present;

  explicit EtcdCoordinator(std::shared_ptr<Running> running);

  const std::shared_ptr<Running> running_;
};

}  // namespace keelson::http
