// The servers that an import sends commands to.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "samples/bank/url.h"

namespace bank {

/// The nodes of a cluster, and which of them the commands of an account go to: the one that was
/// named last for it, or for any other account while none was. A server that is alone is a
/// cluster of one. Memory: a number for each account that was sent elsewhere. Not thread-safe.
class ImportNodes {
 public:
  using Node = std::size_t;

  explicit ImportNodes(Url first) : nodes_{std::move(first)} {}

  [[nodiscard]] const Url& url(Node node) const { return nodes_[node]; }
  [[nodiscard]] Node for_account(const std::string& account) const;

  /// `HOST:PORT` of a node.
  /// @return whether it is known now: it may be no address, or one too many.
  bool add(std::string_view address);
  /// The commands of `account` are for the node at `leader`.
  /// @return whether that is known.
  bool lead(const std::string& account, std::string_view leader);
  /// `node` did not answer what it was sent for `account`, or cannot do it now: another one knows
  /// who leads. Nothing changes when the account's commands go to another already.
  void avoid(const std::string& account, Node node);

 private:
  [[nodiscard]] Node next(Node node) const { return (node + 1) % nodes_.size(); }

  std::vector<Url> nodes_;
  Node any_ = 0;
  std::unordered_map<std::string, Node> leaders_;
};

}  // namespace bank
