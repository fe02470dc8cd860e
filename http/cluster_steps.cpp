#include "http/cluster_steps.h"

#include <string>
#include <utility>

#include "engine/cluster/leader_requests.h"

namespace keelson::http {

namespace {

class ClusterSteps final : public aggregates::StepCarrier {
 public:
  ClusterSteps(cluster::LeaderRequests& requests, const Uuid& topic)
      : requests_(requests), topic_(topic) {}

  void carry(PartitionId target, std::string step, Answer answer) override {
    requests_.ask({topic_, target}, step, std::move(answer));
  }

  void serve(Take take) override {
    if (take == nullptr) return requests_.set_answering(nullptr);
    requests_.set_answering(
        [take = std::move(take), topic = topic_](const cluster::PartitionKey& partition,
                                                 std::string step, Answer answer) {
          if (partition.topic != topic) {
            return answer(fail(Errc::not_found, "the topic of the step is not this node's"));
          }
          take(std::move(step), std::move(answer));
        });
  }

  void give_up() override { requests_.give_up(); }

 private:
  cluster::LeaderRequests& requests_;
  const Uuid topic_;
};

}  // namespace

std::shared_ptr<aggregates::StepCarrier> make_step_carrier(cluster::LeaderRequests& requests,
                                                           const Uuid& topic) {
  return std::make_shared<ClusterSteps>(requests, topic);
}

}  // namespace keelson::http
