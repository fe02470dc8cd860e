// A topic's folder: made, found whole, half made, or damaged.
//
//   topic.making   there while the topic is made, before any of the rest: all of it is debris
//   topic.meta     the record, written when all partitions are there: without it none may be
//   P/             the log of partition P
#pragma once

#include <optional>
#include <string>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/store/topic_record.h"

namespace keelson {

/// Tells a topic that a crash left half made, which is made anew, from one whose record was lost,
/// of which nothing may be removed: by a marker that is durable before the first partition is
/// there, and gone before the first event is.
class TopicFolder {
 public:
  TopicFolder(io::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const { return path_; }

  /// The record, or nothing when the topic was never wholly made. The folder must exist. Changes
  /// nothing.
  /// @error corruption          the record is damaged, or gone and its topic is not.
  /// @error unsupported_format  the record is of another version.
  [[nodiscard]] Result<std::optional<TopicRecord>> read() const;
  /// The same, and ends the making of a topic that a crash cut short.
  [[nodiscard]] Result<std::optional<TopicRecord>> load() const;

  /// Empties the folder but for the marker. Only after `load` has found nothing.
  [[nodiscard]] Result<void> begin() const;
  /// All partitions are there: writes the record, then removes the marker. Durable on return.
  [[nodiscard]] Result<void> finish(const TopicRecord& record) const;

 private:
  [[nodiscard]] std::string marker_path() const { return path_ + "/topic.making"; }
  [[nodiscard]] std::string record_path() const { return path_ + "/topic.meta"; }
  [[nodiscard]] Result<std::optional<TopicRecord>> read_without_record() const;
  [[nodiscard]] Result<void> remove_marker() const;

  io::FileSystem& files_;
  std::string path_;
};

}  // namespace keelson
