// Who a data folder is: `keelson.node`, a small text file, written once.
#pragma once

#include <string>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/replication/member.h"

namespace keelson::cluster {

/// Fixed when the folder is first used by a node of a cluster. `data` is made at random then, so
/// that a folder that was wiped or put back from elsewhere is seen to be another one: what it had
/// promised and stored is gone.
struct NodeIdentity {
  Uuid data;
  replication::NodeId node;
  std::string cluster;

  bool operator==(const NodeIdentity&) const = default;
  [[nodiscard]] replication::Member member() const { return {node, data}; }
};

struct NodeName {
  replication::NodeId node;  ///< from 1
  std::string cluster;
};

/// The identity of `folder`, which must exist and be locked; made when it has none. Durable on
/// return: nothing may be promised in its name before. A crash leaves the file or none.
/// @error bad_request         `name` is malformed, or the folder belongs to another node or
///                            cluster: context says to which.
/// @error corruption          the file is damaged: context has its name. It stays as it is, since a
///                            new identity would be a new member.
/// @error unsupported_format  the file is of another version.
[[nodiscard]] Result<NodeIdentity> open_node_identity(io::FileSystem& files, Random& random,
                                                      const std::string& folder,
                                                      const NodeName& name);

/// The identity that `folder` has. @error not_found, corruption, unsupported_format
[[nodiscard]] Result<NodeIdentity> load_node_identity(io::FileSystem& files,
                                                      const std::string& folder);

/// Whether `folder`, which must exist, has been used by a node of a cluster.
[[nodiscard]] Result<bool> has_node_identity(const io::FileSystem& files,
                                             const std::string& folder);

/// Lines of `key value`, the last one a checksum; docs/replication.md.
[[nodiscard]] std::string encode_node_identity(const NodeIdentity& identity);
/// Accepts what `encode_node_identity` writes and nothing else.
/// @error corruption, unsupported_format
[[nodiscard]] Result<NodeIdentity> decode_node_identity(std::string_view text);

}  // namespace keelson::cluster
