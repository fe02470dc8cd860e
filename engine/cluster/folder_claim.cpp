#include "engine/cluster/folder_claim.h"

#include <algorithm>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/cluster/cluster_records.h"
#include "engine/io/checked_text.h"
#include "engine/io/file_system.h"
#include "engine/replication/record_text.h"

namespace keelson::cluster {

using replication::Coordinator;
using replication::Incarnation;
using replication::Record;
using replication::Revision;
using replication::take_line;
using replication::text_of;

namespace {

constexpr std::string_view kTitle = "keelson starts 1\n";
constexpr std::string_view kFile = "keelson.starts";
constexpr std::uint64_t kBytesMax = 16u << 10;
constexpr std::size_t kPlaceBytesMax = 255;
/// Each start that succeeds forgets the others; this many would have to fail in a moment each.
constexpr std::size_t kKnownMax = 64;

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "starts of a data folder: " + std::string(what));
}

bool good_place(std::string_view place) {
  return place.size() <= kPlaceBytesMax &&
         std::ranges::all_of(place, [](char c) { return c > ' ' && c < '\x7f'; });
}

/// Asks the coordinator and waits for its answer.
Result<std::optional<Record>> get(Coordinator& coordinator, const std::string& key) {
  const auto answer = std::make_shared<std::promise<Result<std::optional<Record>>>>();
  auto answered = answer->get_future();
  coordinator.get(key, [answer](auto record) { answer->set_value(std::move(record)); });
  return answered.get();
}

Result<Coordinator::Swapped> swap(Coordinator& coordinator, const std::string& key,
                                  std::optional<Record> expected, std::string value) {
  const auto answer = std::make_shared<std::promise<Result<Coordinator::Swapped>>>();
  auto answered = answer->get_future();
  coordinator.compare_and_set(key, std::move(expected), std::move(value),
                              [answer](auto result) { answer->set_value(std::move(result)); });
  return answered.get();
}

/// One process's try.
class Claim {
 public:
  Claim(Environment environment, Coordinator& coordinator, const ClusterKeys& keys,
        const ClaimOptions& options)
      : environment_(environment),
        coordinator_(coordinator),
        options_(options),
        folder_key_(keys.of(FolderKey{options.member.data})),
        node_key_(keys.of(NodeKey{options.member.node})),
        path_(options.folder + "/" + std::string(kFile)) {}

  Result<FolderClaimed> run() {
    KEELSON_TRY(load());
    while (!options_.give_up()) {
      const auto record = get(coordinator_, folder_key_);
      const auto node = get(coordinator_, node_key_);
      if (record && node) {
        KEELSON_TRY_ASSIGN(const auto last, read(*record));
        if (tried_ && last == tried_) return claimed();
        KEELSON_TRY(check(last));
        KEELSON_TRY_ASSIGN(const bool free, is_free(*node));
        if (free) {
          KEELSON_TRY_ASSIGN(const bool swapped, ask(last, *record));
          if (swapped) return claimed();
        }
      } else {
        quiet_since_.reset();
        say("nobody can tell whether another process uses this data folder before the coordinator "
            "answers: " +
            (record ? node : record).error().message());
      }
      options_.pause(options_.retry);
    }
    return fail(Errc::closed, "stopped while starting");
  }

 private:
  Result<void> load() {
    KEELSON_TRY_ASSIGN(const bool there, environment_.files.exists(path_));
    if (!there) return {};
    auto text = io::read_file(environment_.files, path_, kBytesMax);
    if (!text && text.error().code == Errc::too_large) {
      return fail(Errc::corruption, path_ + ": longer than any list of starts");
    }
    if (!text) return std::unexpected(std::move(text).error());
    auto starts = decode_folder_starts(*text);
    if (!starts) return fail(starts.error().code, path_ + ": " + starts.error().context);
    starts_ = *std::move(starts);
    // What is read may be in the page cache alone.
    return environment_.files.sync_folder(options_.folder);
  }

  /// A full disk is waited for, as the coordinator is.
  Result<void> save() {
    starts_.place = options_.place;
    for (;;) {
      auto saved = io::replace_file(environment_.files, path_, encode_folder_starts(starts_));
      if (saved || saved.error().code != Errc::disk_full || options_.give_up()) return saved;
      say("what tells this start from others cannot be kept: " + saved.error().message());
      options_.pause(options_.retry);
    }
  }

  [[nodiscard]] bool knows(const Incarnation& incarnation) const {
    return std::ranges::find(starts_.known, incarnation) != starts_.known.end();
  }

  Result<std::optional<Incarnation>> read(const std::optional<Record>& record) const {
    if (!record) return std::nullopt;
    auto folder = decode_folder_record(record->value);
    if (!folder) return fail(folder.error().code, folder_key_ + ": " + folder.error().context);
    if (folder->member != options_.member) {
      return fail(Errc::corruption, folder_key_ + ": record of another folder than its key says");
    }
    return folder->incarnation;
  }

  /// Whether the folder is as the last process left it that the coordinator has seen.
  Result<void> check(const std::optional<Incarnation>& last) {
    if (!last || knows(*last)) return {};
    if (!starts_.known.empty() && last->number < starts_.known.front().number) {
      say("the coordinator knows of start " + std::to_string(last->number) +
          " of this data folder, which has seen start " +
          std::to_string(starts_.known.front().number) + ": it has been put back");
      return {};
    }
    return fail(Errc::locked,
                options_.folder + ", of node " + std::to_string(options_.member.node.value) +
                    ", is a copy, or there is one that has been used, or it was put back from a "
                    "backup: start " +
                    std::to_string(last->number) +
                    " was not here, and what the node has promised and acknowledged since is "
                    "missing; start it with an empty folder");
  }

  /// Whether nobody else is this node, as far as signs of life tell.
  Result<bool> is_free(const std::optional<Record>& node) {
    replaces_.reset();
    const bool ended =
        starts_.known.empty() || (!options_.place.empty() && starts_.place == options_.place);
    const auto now = environment_.clock.monotonic();
    if (!node) {
      if (!quiet_since_) quiet_since_ = now;
      return ended || now - *quiet_since_ >= options_.quiet;
    }
    quiet_since_.reset();
    const auto alive = decode_node_record(node->value);
    const bool ours = alive && alive->member == options_.member && knows(alive->incarnation);
    if (ours && ended) {
      replaces_ = node;
      return true;
    }
    if (!until_) {
      until_ = now + options_.patience;
      say("node " + std::to_string(options_.member.node.value) +
          " has shown a sign of life from elsewhere a moment ago: waits until there is none");
    }
    if (now < *until_) return false;
    const std::string where = alive ? " at " + alive->peer_address : std::string();
    return fail(
        Errc::locked,
        "node " + std::to_string(options_.member.node.value) + " runs already" + where + ", with " +
            (ours ? "this data folder or one of which this is a copy" : "another data folder") +
            "; it must run once");
  }

  /// @return whether this process has it; if not, it is to be looked at again.
  Result<bool> ask(const std::optional<Incarnation>& last, const std::optional<Record>& expected) {
    if (!tried_ || tried_at_ != expected) {
      // Not the same again: what was asked for before may still arrive, and is then to be known.
      std::uint64_t number = last ? last->number : 0;
      for (const Incarnation& known : starts_.known) number = std::max(number, known.number);
      tried_ = Incarnation{number + 1, make_uuid(environment_.random)};
      tried_at_ = expected;
      if (starts_.known.size() == kKnownMax) starts_.known.erase(starts_.known.begin() + 1);
      starts_.known.push_back(*tried_);
      KEELSON_TRY(save());
    }
    const auto answer =
        swap(coordinator_, folder_key_, expected, encode_folder_record({options_.member, *tried_}));
    return answer && answer->swapped;
  }

  Result<FolderClaimed> claimed() {
    starts_.known = {*tried_};
    KEELSON_TRY(save());
    return FolderClaimed{*tried_, replaces_};
  }

  /// Once, until there is something else to be said.
  void say(const std::string& what) {
    if (std::exchange(said_, what) != what) options_.report(what);
  }

  Environment environment_;
  Coordinator& coordinator_;
  const ClaimOptions& options_;
  const std::string folder_key_;
  const std::string node_key_;
  const std::string path_;
  FolderStarts starts_;
  std::optional<Incarnation> tried_;
  std::optional<Record> tried_at_;
  std::optional<Record> replaces_;
  std::optional<std::chrono::nanoseconds> until_;
  std::optional<std::chrono::nanoseconds> quiet_since_;  ///< nobody has been seen
  std::string said_;
};

}  // namespace

std::string encode_folder_starts(const FolderStarts& starts) {
  KEELSON_ASSERT(good_place(starts.place));
  std::string text = std::string(kTitle) + "place " + starts.place + "\n";
  for (const Incarnation& known : starts.known) text += "incarnation " + text_of(known) + "\n";
  return io::with_checksum(std::move(text));
}

Result<FolderStarts> decode_folder_starts(std::string_view text) {
  if (!text.starts_with("keelson starts ")) return damaged("not one");
  if (!text.starts_with(kTitle)) {
    return fail(Errc::unsupported_format, "starts of a data folder, of another version of Keelson");
  }
  const auto lines = io::without_checksum(text);
  if (!lines) return damaged(lines.error().context);
  std::string_view rest = lines->substr(kTitle.size());
  FolderStarts starts;
  const auto place = take_line(rest, "place");
  if (!place || !good_place(*place)) return damaged("place");
  starts.place = *place;
  while (const auto line = take_line(rest, "incarnation")) {
    const auto known = replication::incarnation_from(*line);
    if (!known || starts.known.size() == kKnownMax) return damaged("incarnation");
    starts.known.push_back(*known);
  }
  if (!rest.empty()) return damaged("more lines");
  return starts;
}

Result<FolderClaimed> claim_folder(Environment environment, Coordinator& coordinator,
                                   const ClusterKeys& keys, const ClaimOptions& options) {
  return Claim(environment, coordinator, keys, options).run();
}

}  // namespace keelson::cluster
