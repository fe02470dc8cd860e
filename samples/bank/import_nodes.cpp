#include "samples/bank/import_nodes.h"

#include <algorithm>

namespace bank {

namespace {

/// A cluster has fewer; a server that names new ones for ever does not make memory grow.
constexpr std::size_t kNodesMax = 64;

}  // namespace

ImportNodes::Node ImportNodes::for_account(const std::string& account) const {
  const auto found = leaders_.find(account);
  return found == leaders_.end() ? any_ : found->second;
}

bool ImportNodes::add(std::string_view address) {
  const auto url = Url::parse("http://" + std::string(address));
  if (!url) return false;
  const auto same = [&](const Url& known) { return known.authority() == url->authority(); };
  if (std::ranges::any_of(nodes_, same)) return true;
  if (nodes_.size() == kNodesMax) return false;
  nodes_.push_back(*url);
  return true;
}

bool ImportNodes::lead(const std::string& account, std::string_view leader) {
  if (!add(leader)) return false;
  const auto url = Url::parse("http://" + std::string(leader));
  const auto found = std::ranges::find(nodes_, url->authority(),
                                       [](const Url& known) { return known.authority(); });
  any_ = static_cast<Node>(found - nodes_.begin());
  leaders_[account] = any_;
  return true;
}

void ImportNodes::avoid(const std::string& account, Node node) {
  const auto found = leaders_.find(account);
  if (found != leaders_.end() && found->second == node) leaders_.erase(found);
  if (any_ == node) any_ = next(node);
}

}  // namespace bank
