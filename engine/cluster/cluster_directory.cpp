#include "engine/cluster/cluster_directory.h"

#include <map>
#include <mutex>
#include <utility>
#include <variant>

#include "engine/base/check.h"

namespace keelson::cluster {

using replication::Coordinator;
using replication::NodeId;
using replication::Record;
using replication::Revision;

namespace {

constexpr std::size_t kCreationsMax = 64;

}  // namespace

/// Outlives the directory for as long as somebody has yet to answer it, and does nothing then.
class ClusterDirectory::Core final : public CreationPorts,
                                     public std::enable_shared_from_this<Core> {
 public:
  Core(DirectoryPorts ports, ClusterKeys keys, DirectoryListener& listener,
       DirectoryOptions options)
      : ports_(ports),
        listener_(listener),
        options_(options),
        strand_(ports.scheduler.make_strand("cluster directory")),
        view_(std::move(keys)) {}

  /// Runs `task` on the strand, unless the directory is gone by then.
  void post(Task task) { strand_->post(guarded(std::move(task))); }

  /// Nothing runs any more when it returns, unless it is called by what runs.
  void close() {
    {
      const std::lock_guard lock(running_);
      closed_ = true;
      completions_.clear();
    }
    std::vector<std::shared_ptr<TopicCreation>> creations;
    {
      const std::lock_guard lock(creations_mutex_);
      creations = std::exchange(creations_, {});
    }
    for (const auto& creation : creations) creation->abandon();
  }

  void on_change(const Coordinator::Change& change) {
    std::vector<ClusterView::Notice> notices;
    {
      const std::lock_guard lock(mutex_);
      notices = view_.adopt(change);
    }
    for (const auto& notice : notices) {
      if (!closed_) notice(listener_);
    }
    if (!closed_) complete_later(change.key);
  }

  void create_topic(TopicRequest request, Created done) {
    std::shared_ptr<TopicCreation> creation;
    {
      const std::lock_guard lock(creations_mutex_);
      if (creations_.size() < kCreationsMax) {
        creation = std::make_shared<TopicCreation>(
            *this, std::move(request), TopicCreation::Times{options_.patience, options_.retry},
            std::move(done));
        creations_.push_back(creation);
      }
    }
    if (!creation) {
      return post([done = std::move(done)]() mutable {
        done(fail(Errc::overloaded, std::to_string(kCreationsMax) + " topics are being made"));
      });
    }
    post([creation] { creation->start(); });
  }

  // --- for creations ---
  void get(const std::string& key, Read done) override {
    if (closed_) return;
    ports_.coordinator.get(key, [weak = weak_from_this(), done = std::move(done)](
                                    Result<std::optional<Record>> record) mutable {
      const auto self = weak.lock();
      if (!self) return;
      self->post([done = std::move(done), record = std::move(record)]() mutable {
        done(std::move(record));
      });
    });
  }
  void swap(const std::string& key, std::optional<Record> expected, std::string value,
            Swap done) override {
    if (closed_) return;
    ports_.coordinator.compare_and_set(
        key, std::move(expected), std::move(value),
        [weak = weak_from_this(),
         done = std::move(done)](Result<Coordinator::Swapped> result) mutable {
          const auto self = weak.lock();
          if (!self) return;
          self->post([done = std::move(done), result = std::move(result)]() mutable {
            done(std::move(result));
          });
        });
  }
  void after(std::chrono::nanoseconds delay, Task task) override {
    strand_->post_after(delay, guarded(std::move(task)));
  }
  void adopt(const std::string& key, const Record& record) override { on_change({key, record}); }
  void on_over(const TopicCreation& creation) override {
    const std::lock_guard lock(creations_mutex_);
    std::erase_if(creations_, [&](const auto& each) { return each.get() == &creation; });
  }
  /// Only this strand changes it, so that it may be read there without the mutex.
  [[nodiscard]] const ClusterView& view() const override { return view_; }
  [[nodiscard]] Uuid make_uuid() override { return keelson::make_uuid(ports_.random); }

  [[nodiscard]] std::unique_ptr<Coordinator::Presence> appear(const NodeRecord& node,
                                                              std::optional<Record> replaces) {
    return ports_.coordinator.appear(view_.keys().of(NodeKey{node.member.node}),
                                     encode_node_record(node), options_.time_to_live,
                                     std::move(replaces));
  }

  template <class Look>
  [[nodiscard]] auto look(Look read) const {
    const std::lock_guard lock(mutex_);
    return read(view_);
  }

 private:
  [[nodiscard]] Task guarded(Task task) {
    return [weak = weak_from_this(), task = std::move(task)]() mutable {
      const auto self = weak.lock();
      if (!self) return;
      const std::lock_guard lock(self->running_);
      if (!self->closed_) task();
    };
  }

  /// A topic that is seen for the first time is looked after once.
  void complete_later(const std::string& key) {
    const auto parsed = view_.keys().parse(key);
    const auto* const name = parsed ? std::get_if<TopicKey>(&*parsed) : nullptr;
    const KnownTopic* const topic = name ? view_.topic(name->name) : nullptr;
    if (topic == nullptr || !completions_.emplace(name->name, nullptr).second) return;
    after(options_.completion, [this, key, name = name->name, placement = topic->placement] {
      const auto completion = std::make_shared<PartitionsCompletion>(
          *this, placement, options_.retry, [this, key, name](const Result<void>& result) {
            if (!result) listener_.on_bad_record(key, result.error());
            completions_[name] = nullptr;
          });
      completions_[name] = completion;
      completion->start();
    });
  }

  const DirectoryPorts ports_;
  DirectoryListener& listener_;
  const DirectoryOptions options_;
  const std::shared_ptr<Strand> strand_;

  std::recursive_mutex running_;  ///< held by what runs on the strand
  bool closed_ = false;
  /// By the name of each topic that was seen; those that are over are empty.
  std::map<std::string, std::shared_ptr<PartitionsCompletion>> completions_;

  std::mutex creations_mutex_;
  std::vector<std::shared_ptr<TopicCreation>> creations_;  ///< those that are not over

  mutable std::mutex mutex_;  ///< guards `view_` against readers on other threads
  ClusterView view_;
};

ClusterDirectory::ClusterDirectory(DirectoryPorts ports, ClusterKeys keys,
                                   DirectoryListener& listener, DirectoryOptions options)
    : core_(std::make_shared<Core>(ports, keys, listener, options)) {
  // Told under the coordinator's locks: there nothing but a task is made.
  watch_ = ports.coordinator.watch(
      keys.prefix(), [core = std::weak_ptr(core_)](const Coordinator::Change& change) {
        if (const auto to = core.lock())
          to->post([to = to.get(), change] { to->on_change(change); });
      });
}

ClusterDirectory::~ClusterDirectory() {
  presence_.reset();
  watch_.reset();
  core_->close();
}

Result<void> ClusterDirectory::announce(const NodeRecord& node, std::optional<Record> replaces) {
  KEELSON_ASSERT(!presence_);
  KEELSON_TRY(check_node_record(node));
  presence_ = core_->appear(node, std::move(replaces));
  return {};
}

void ClusterDirectory::create_topic(TopicRequest request, Created done) {
  core_->create_topic(std::move(request), std::move(done));
}

ClusterView ClusterDirectory::view() const {
  return core_->look([](const ClusterView& view) { return view; });
}

std::optional<NodeRecord> ClusterDirectory::node(NodeId id) const {
  return core_->look([&](const ClusterView& view) {
    const auto found = view.nodes().find(id);
    return found == view.nodes().end() ? std::nullopt : std::optional(found->second);
  });
}

std::optional<KnownTopic> ClusterDirectory::topic(const std::string& name) const {
  return core_->look([&](const ClusterView& view) {
    const KnownTopic* const found = view.topic(name);
    return found == nullptr ? std::nullopt : std::optional(*found);
  });
}

std::optional<KnownPartition> ClusterDirectory::partition(const PartitionKey& partition) const {
  return core_->look([&](const ClusterView& view) {
    const KnownPartition* const found = view.partition(partition);
    return found == nullptr ? std::nullopt : std::optional(*found);
  });
}

}  // namespace keelson::cluster
