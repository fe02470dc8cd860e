// The coordinator of a cluster: records in etcd.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "engine/replication/coordinator.h"

namespace keelson::http {

/// Speaks etcd's v3 interface as JSON over HTTP, from a thread of its own.
///
/// While etcd is away `get` fails with `io_error` within a second or so, a compare-and-set that may
/// have arrived with `outcome_unknown`; watches and presences go on when it is back. Answers come
/// on its thread. Who waits for one when it is destroyed gets none, and its presences end when
/// their time to live is over.
class EtcdCoordinator final : public replication::Coordinator {
 public:
  /// @param endpoints  `http://host:port`, several with commas between: of one cluster.
  /// @error bad_request  one is not like that. That etcd answers is not waited for.
  [[nodiscard]] static Result<std::unique_ptr<EtcdCoordinator>> open(const std::string& endpoints);
  ~EtcdCoordinator() override;

  void get(std::string key, Read done) override;
  void compare_and_set(std::string key, replication::Revision expected, std::string value,
                       Swap done) override;
  [[nodiscard]] std::unique_ptr<Watch> watch(std::string prefix,
                                             std::function<void(const Change&)> changed) override;
  [[nodiscard]] std::unique_ptr<Presence> appear(
      std::string key, std::string value, std::chrono::seconds time_to_live,
      replication::Revision replaces = replication::Revision(0)) override;

 private:
  struct Running;
  class Present;

  explicit EtcdCoordinator(std::shared_ptr<Running> running);

  const std::shared_ptr<Running> running_;
};

}  // namespace keelson::http
