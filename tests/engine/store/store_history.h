// A history of a store, made up from a seed, with crashes; and whether the store remembers it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/engine/store/simulated_store.h"
#include "tests/engine/store/stored_commits.h"

namespace keelson::test {

/// What goes wrong with the disk, once.
struct Trouble {
  enum class Kind {
    none,
    halt,     ///< the process ends in the middle of call `number`
    fail,     ///< calls fail with `code`; a sync that fails ends the process
    no_room,  ///< allocations find no room
  };
  Kind kind = Kind::none;
  std::uint64_t number = 1;  ///< the first of them
  std::uint64_t times = 1;   ///< how many in a row
  Errc code = Errc::io_error;
};

enum class Ending { shutdown, kill, power_cut };

struct HistoryOptions {
  Durability durability = Durability::fsync;
  std::size_t bytes_max = 800;  ///< of an event's data
  log::Codec codec = log::Codec::none;
  log::Codec sealed_codec = log::Codec::none;
  std::uint64_t retention_bytes = 0;  ///< 0: all is kept
};

/// Clients ask for commits of all kinds and remember what they were told. Nothing is asked of the
/// store's inside: whatever a client can see must agree with what clients know.
///
/// - What was accepted or refused for good is there, with the offsets that were told; what was
///   answered with an error is not. Of what was never answered all is there or nothing.
/// - Each commit is there once, its events together; offsets and versions have no gaps.
/// - A command id has one outcome. Whoever repeats it gets that one, and no second effect. So it is
///   after retention has removed it: then who repeats it is told so.
/// - All ways to ask agree (`check_answers`), and the verifier finds nothing: checksums, tree_root,
///   and each index as one made anew.
/// - After a crash, before the store is opened, the verifier calls nothing lost.
class StoreHistory {
 public:
  StoreHistory(std::uint64_t seed, const HistoryOptions& options);
  ~StoreHistory();
  StoreHistory(const StoreHistory&) = delete;
  StoreHistory& operator=(const StoreHistory&) = delete;

  /// Clients ask `steps` times. Batches gather and overlap meanwhile.
  /// @return whether the trouble came.
  bool live(int steps, const Trouble& trouble);
  /// Ends the process, starts it again, and checks all of the above.
  /// @param crashes_again  whether starting may crash as well.
  void restart(Ending ending, bool crashes_again);

  [[nodiscard]] std::uint64_t random(std::uint64_t below) { return random_() % below; }
  [[nodiscard]] SimulatedStore& store() { return store_; }
  [[nodiscard]] std::size_t torn() const { return torn_; }
  /// Whether the partition has a file of this kind.
  [[nodiscard]] bool has_file(const std::string& suffix) const;

 private:
  /// What clients know of something that was asked for.
  struct Knowledge {
    int waiting = 0;       ///< clients that have no answer yet
    bool maybe = false;    ///< one never got an answer: it may have happened
    bool done = false;     ///< it has happened, as a client was told, or as the log says
    bool settled = false;  ///< it was there at a start, so that durability `os` keeps it as well
  };
  struct AskedCommit {
    StoredCommit stored;  ///< with the outcome when it is done, or was once
    Knowledge known;
    bool removed = false;  ///< by retention
  };
  struct AskedOffset {
    Offset next;
    Knowledge known;
  };
  struct AskedTopic {
    bool made = false;
    std::uint64_t settled = 0;  ///< events that must be there
    std::uint64_t events = 0;   ///< and that may be
  };

  // What clients do.
  void step();
  void ask(std::size_t number);
  void answered(std::size_t number, Result<CommitOutcome> outcome);
  void ask_for_other(std::size_t number);
  void ask_group_offset();
  void ask_topic();
  [[nodiscard]] Commit make_commit(std::size_t number);
  void set_trouble(const Trouble& trouble);
  [[nodiscard]] bool gone() const { return store_.environment.disk.halted(); }

  // What a crash leaves them with.
  void end(Ending ending);
  void crash_in_start();
  void forget_answers(Ending ending);
  template <class Each>
  void each_known(Each each);

  // Whether the store agrees.
  void check();
  void check_commits();
  void take_found(std::size_t number, const std::vector<Event>& events);
  /// Whether retention has removed the commit, of which no event was found.
  [[nodiscard]] bool take_removed(AskedCommit& asked, std::size_t number);
  /// Where all ways to ask need the events that are gone.
  void check_streams(const std::vector<Event>& kept);
  void check_groups();
  void check_topics();
  void check_verified(bool crashed);

  std::mt19937_64 random_;
  HistoryOptions options_;
  SimulatedStore store_;
  bool open_ = false;
  std::vector<AskedCommit> commits_;
  std::map<std::string, std::vector<AskedOffset>> groups_;
  std::map<std::string, AskedTopic> topics_;
  bool trouble_came_ = false;
  std::string wrong_;        ///< an answer that cannot be; a task must not throw
  std::int64_t latest_ = 0;  ///< the highest time the clock has shown
  std::size_t torn_ = 0;     ///< torn tails that starts have cut
};

}  // namespace keelson::test
