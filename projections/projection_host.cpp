#include "projections/projection_host.h"

#include <algorithm>
#include <utility>

#include "projections/hosted_projection.h"

namespace keelson::projections {

namespace {

/// Owns the projections of a topic and the threads that apply events to them: a few for all
/// projections and partitions together, each applier always on the same one.
class Host final : public ProjectionHost {
 public:
  explicit Host(Topic& topic) : topic_(topic) {}
  ~Host() override { shut_down(); }

  Result<void> open(const Environment& environment, const ProjectionRegistry& registry,
                    const HostOptions& options) {
    const std::size_t appliers = registry.projections().size() * topic_.partition_count();
    const std::size_t threads =
        std::clamp<std::size_t>(options.apply_threads_max, 1, std::max<std::size_t>(appliers, 1));
    for (std::size_t i = 0; i < threads; ++i) {
      workers_.push_back(
          environment.scheduler.make_background_worker("projector-" + std::to_string(i)));
    }
    for (const Projection& projection : registry.projections()) {
      if (find_hosted(projection.name()) != nullptr) {
        return fail(Errc::bad_request, "two projections are named " + projection.name());
      }
      KEELSON_TRY_ASSIGN(
          auto hosted, HostedProjection::open(environment, topic_, projection, options, workers_));
      infos_.push_back(hosted->info());
      hosted_.push_back(std::move(hosted));
      // So that one partition of several projections is spread over the threads.
      std::rotate(workers_.begin(), workers_.begin() + 1, workers_.end());
    }
    return {};
  }

  void start() override {
    for (const auto& hosted : hosted_) hosted->start();
  }

  void stop() override { shut_down(); }

  [[nodiscard]] Topic& topic() const override { return topic_; }

  [[nodiscard]] const std::vector<ProjectionInfo>& projections() const override { return infos_; }

  [[nodiscard]] const ProjectionInfo* find(std::string_view name) const override {
    const auto found = std::ranges::find(infos_, name, &ProjectionInfo::name);
    return found == infos_.end() ? nullptr : &*found;
  }

  [[nodiscard]] Result<ProjectionStatus> status(std::string_view name) const override {
    KEELSON_TRY_ASSIGN(const HostedProjection* const hosted, named(name));
    return hosted->status();
  }

  [[nodiscard]] Result<Position> floor(std::string_view name) const override {
    KEELSON_TRY_ASSIGN(const HostedProjection* const hosted, named(name));
    return hosted->floor();
  }

  [[nodiscard]] Result<QueryResult> query(std::string_view name, const std::string& sql,
                                          const nlohmann::json& params,
                                          const std::optional<Position>& at,
                                          const QueryLimits& limits,
                                          const Partitions& partitions) const override {
    KEELSON_TRY_ASSIGN(HostedProjection* const hosted, named(name));
    return hosted->query(sql, params, at, limits, partitions);
  }

  [[nodiscard]] Result<RowsResult> rows(std::string_view name,
                                        const RowsRequest& request) const override {
    KEELSON_TRY_ASSIGN(HostedProjection* const hosted, named(name));
    return hosted->rows(request);
  }

  [[nodiscard]] Result<RowsResult> history(std::string_view name,
                                           const RowsRequest& request) const override {
    KEELSON_TRY_ASSIGN(HostedProjection* const hosted, named(name));
    return hosted->history(request);
  }

  [[nodiscard]] Result<std::unique_ptr<Registration>> when_applied(std::string_view name,
                                                                   const Position& position,
                                                                   Task task) const override {
    KEELSON_TRY_ASSIGN(HostedProjection* const hosted, named(name));
    return hosted->when_applied(position, std::move(task));
  }

 private:
  [[nodiscard]] HostedProjection* find_hosted(std::string_view name) const {
    for (const auto& hosted : hosted_) {
      if (hosted->info().name == name) return hosted.get();
    }
    return nullptr;
  }

  [[nodiscard]] Result<HostedProjection*> named(std::string_view name) const {
    if (HostedProjection* const hosted = find_hosted(name)) return hosted;
    return fail(Errc::not_found, "there is no projection '" + std::string(name) + "'");
  }

  void shut_down() {
    for (const auto& hosted : hosted_) hosted->stop();
    workers_.clear();  // each ends after its tasks, and they touch nothing once stopped
  }

  Topic& topic_;
  std::vector<std::unique_ptr<HostedProjection>> hosted_;
  std::vector<ProjectionInfo> infos_;
  std::vector<std::shared_ptr<Strand>> workers_;
};

}  // namespace

Result<std::unique_ptr<ProjectionHost>> ProjectionHost::open(
    Environment environment, Topic& topic, std::shared_ptr<const ProjectionRegistry> registry,
    HostOptions options) {
  auto host = std::make_unique<Host>(topic);
  KEELSON_TRY(host->open(environment, *registry, options));
  return host;
}

}  // namespace keelson::projections
