// Stands for a partition whose log cannot be trusted.
#pragma once

#include "engine/store/node_partition.h"

namespace keelson {

/// Answers everything with the error that opening gave, naming file and byte, so that one damaged
/// partition stops itself and nothing else; in a cluster with the node to ask instead. Nothing in
/// its folder is changed.
class CorruptPartition final : public NodePartition {
 public:
  CorruptPartition(PartitionId id, Error error) : id_(id), error_(std::move(error)) {}

  [[nodiscard]] PartitionId id() const override { return id_; }
  [[nodiscard]] Result<void> health() const override { return std::unexpected(error_); }
  [[nodiscard]] Result<void> readable() const override { return std::unexpected(reason()); }
  [[nodiscard]] bool may_lag() const override { return !whereabouts().others.empty(); }
  [[nodiscard]] std::optional<std::string> leader() const override {
    const Whereabouts is = whereabouts();
    if (is.others.empty()) return std::nullopt;
    return is.others.front();
  }
  [[nodiscard]] Offset start() const override { return Offset(0); }
  [[nodiscard]] Offset end() const override { return Offset(0); }
  void execute(std::optional<CommandStamp>, Decide, Completion completion) override {
    completion(std::unexpected(reason()));
  }
  [[nodiscard]] Result<std::optional<CommitOutcome>> find_outcome(
      const CommandStamp&) const override {
    return std::unexpected(reason());
  }
  void set_discard_listener(std::function<void()>) override {}
  [[nodiscard]] Result<std::unique_ptr<Cursor>> read(Offset) const override {
    return std::unexpected(error_);
  }
  [[nodiscard]] Result<void> read_stream(std::string_view, const StreamRange&,
                                         const EventVisitor&) const override {
    return std::unexpected(reason());
  }
  [[nodiscard]] Result<Version> stream_version(std::string_view, Offset) const override {
    return std::unexpected(reason());
  }
  [[nodiscard]] Result<Offset> end_at(TimeUs) const override { return std::unexpected(reason()); }
  [[nodiscard]] std::unique_ptr<Registration> when_past(Offset, Task) const override {
    return std::make_unique<Registration>();  // never: there is no end to move
  }
  void linearize(Linearized done) const override { done(std::unexpected(reason())); }
  void commit_group_offset(std::string, Offset, Completion completion) override {
    completion(std::unexpected(reason()));
  }
  [[nodiscard]] Result<std::optional<Offset>> group_offset(std::string_view) const override {
    return std::unexpected(reason());
  }
  void keep_for(const std::string&, Offset) override {}  // nothing is removed here

 private:
  [[nodiscard]] bool damaged() const override { return true; }
  void on_moved_away() override {}
  /// Who asks is sent elsewhere if there is one; who reads here for this node is told.
  [[nodiscard]] Error reason() const {
    const auto good = check_here({this});
    return good ? error_ : good.error();
  }

  PartitionId id_;
  Error error_;
};

}  // namespace keelson
