#include "engine/cluster/node_identity.h"

#include "engine/cluster/cluster_keys.h"
#include "engine/io/checked_text.h"
#include "engine/replication/record_text.h"
#include "engine/store/store.h"

namespace keelson::cluster {

using replication::NodeId;
using replication::number_from;
using replication::take_line;

namespace {

constexpr std::string_view kTitle = "keelson node 1\n";

constexpr std::uint64_t kBytesMax = 4096;

std::string path_in(const std::string& folder) { return folder + "/" + std::string(kNodeFile); }

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "identity of a node: " + std::string(what));
}

Result<void> check_node(NodeId node) {
  if (node.value != 0) return {};
  return fail(Errc::bad_request, "the number of a node is 1 or more");
}

Result<NodeIdentity> load(io::FileSystem& files, const std::string& path) {
  auto text = io::read_file(files, path, kBytesMax);
  if (!text && text.error().code == Errc::too_large) {
    return fail(Errc::corruption, path + ": longer than any identity of a node");
  }
  if (!text) return std::unexpected(std::move(text).error());
  auto identity = decode_node_identity(*text);
  if (!identity) return fail(identity.error().code, path + ": " + identity.error().context);
  return identity;
}

}  // namespace

std::string encode_node_identity(const NodeIdentity& identity) {
  return io::with_checksum(std::string(kTitle) + "data " + to_hex(identity.data) + "\nnode " +
                           std::to_string(identity.node.value) + "\ncluster " + identity.cluster +
                           "\n");
}

Result<NodeIdentity> decode_node_identity(std::string_view text) {
  if (!text.starts_with("keelson node ")) return damaged("not one");
  if (!text.starts_with(kTitle)) {
    return fail(Errc::unsupported_format, "identity of a node of another version of Keelson: " +
                                              std::string(text.substr(0, text.find('\n'))));
  }
  const auto lines = io::without_checksum(text);
  if (!lines) return damaged(lines.error().context);
  std::string_view rest = lines->substr(kTitle.size());
  const auto data_text = take_line(rest, "data");
  const auto data = data_text ? uuid_from_hex(*data_text) : std::nullopt;
  if (!data) return damaged("data");
  const auto node_text = take_line(rest, "node");
  const auto node = node_text ? number_from<NodeId::rep>(*node_text) : std::nullopt;
  if (!node || !check_node(NodeId(*node))) return damaged("node");
  const auto cluster = take_line(rest, "cluster");
  if (!cluster || !check_cluster_name(*cluster)) return damaged("cluster");
  if (!rest.empty()) return damaged("more lines");
  return NodeIdentity{*data, NodeId(*node), std::string(*cluster)};
}

Result<NodeIdentity> load_node_identity(io::FileSystem& files, const std::string& folder) {
  return load(files, path_in(folder));
}

Result<bool> has_node_identity(const io::FileSystem& files, const std::string& folder) {
  return files.exists(path_in(folder));
}

Result<NodeIdentity> open_node_identity(io::FileSystem& files, Random& random,
                                        const std::string& folder, const NodeName& name) {
  KEELSON_TRY(check_node(name.node));
  KEELSON_TRY(check_cluster_name(name.cluster));
  const std::string path = path_in(folder);
  KEELSON_TRY_ASSIGN(const bool there, files.exists(path));
  if (!there) {
    const NodeIdentity made{make_uuid(random), name.node, name.cluster};
    KEELSON_TRY(io::replace_file(files, path, encode_node_identity(made)));
    return made;
  }
  KEELSON_TRY_ASSIGN(NodeIdentity found, load(files, path));
  if (found.node != name.node || found.cluster != name.cluster) {
    return fail(Errc::bad_request, folder + " belongs to node " + std::to_string(found.node.value) +
                                       " of cluster " + found.cluster + ", and is opened as node " +
                                       std::to_string(name.node.value) + " of cluster " +
                                       name.cluster);
  }
  // A process that was killed may have left names in the page cache alone.
  KEELSON_TRY(files.sync_folder(folder));
  return found;
}

}  // namespace keelson::cluster
