// Applying events with history beside the same upserts in bare SQLite; queries as of the past
// beside live ones. Every figure is of a bank: 4,500 accounts, balances and statements. The one
// that is queried has owners besides, and an account with a quarter of all events.
#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/io/posix_file_system.h"
#include "projections/projection.h"
#include "projections/projection_host.h"
#include "tests/bench/report.h"
#include "tests/projections/support/memory_topic.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;
using projections::Projection;
using projections::ProjectionHost;

namespace {

constexpr int kAccounts = 4'500;

/// Its owner is not the one whose accounts are asked about.
constexpr int kHotAccount = 77;

constexpr const char* kSchema = R"sql(
  CREATE TABLE balances (
    account_id TEXT PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL,
    version INTEGER NOT NULL, updated_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX balances_by_owner ON balances (owner);
  CREATE TABLE statements (
    account_id TEXT, version INTEGER, amount INTEGER NOT NULL, balance_after INTEGER NOT NULL,
    booked_at TEXT NOT NULL,
    PRIMARY KEY (account_id, version)
  ) STRICT, WITHOUT ROWID;
)sql";

constexpr const char* kDeposit = R"sql(
  INSERT INTO balances
    VALUES (@stream_id, 'owner ' || substr(@stream_id, 1, 2), :amount, @version, @time)
    ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, version = excluded.version,
                              updated_at = excluded.updated_at;
  INSERT INTO statements SELECT account_id, version, :amount, balance, updated_at
    FROM balances WHERE account_id = @stream_id;
)sql";

/// For joins: a row changes with each event of any account of the owner.
constexpr const char* kOwnersSchema = R"sql(
  CREATE TABLE owners (
    owner TEXT PRIMARY KEY, deposits INTEGER NOT NULL, total INTEGER NOT NULL
  ) STRICT;
)sql";

constexpr const char* kOwnersDeposit = R"sql(
  INSERT INTO owners VALUES ('owner ' || substr(@stream_id, 1, 2), 1, :amount)
    ON CONFLICT DO UPDATE SET deposits = deposits + 1, total = total + excluded.total;
)sql";

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

enum class Accounts {
  alike,    ///< any account at random
  one_hot,  ///< the same, and after each third event one of `kHotAccount`
};

/// @param events  besides those of the hot account.
std::unique_ptr<test::MemoryTopic> make_topic(int events, Accounts accounts) {
  auto topic = std::make_unique<test::MemoryTopic>();
  std::mt19937 random(7);
  const auto deposit = [&](int account) {
    const std::string amount = std::to_string(random() % 100'000);
    topic->append("account-" + std::to_string(account), "deposited",
                  R"({"amount":)" + amount + R"(,"reference":"standing order"})");
  };
  for (int i = 0; i < events; ++i) {
    deposit(i < kAccounts ? i : static_cast<int>(random() % kAccounts));
    if (accounts == Accounts::one_hot && i % 3 == 2) deposit(kHotAccount);
  }
  return topic;
}

enum class Tables { balances_and_statements, owners_too };

/// A host that has applied everything.
class Bank {
 public:
  Bank(test::MemoryTopic& topic, Tables tables) {
    const bool owners = tables == Tables::owners_too;
    Projection bank("bank", 1);
    bank.schema(std::string(kSchema) + (owners ? kOwnersSchema : ""));
    bank.on("account", "deposited", std::string(kDeposit) + (owners ? kOwnersDeposit : ""));
    auto registry = std::make_shared<projections::ProjectionRegistry>();
    registry->add(std::move(bank));
    projections::HostOptions options;
    options.folder = folder_.path();
    auto opened =
        ProjectionHost::open({files_, clock_, random_, scheduler_}, topic, registry, options);
    if (!opened) give_up(opened.error().message());
    host_ = std::move(*opened);
    host_->start();
    scheduler_.run();
  }

  /// The rows, as JSON; there is one at least.
  std::string query(const std::string& sql, const nlohmann::json& params,
                    const std::optional<Position>& at) {
    auto result = host_->query("bank", sql, params, at, {});
    if (!result) give_up(result.error().message());
    if (result->row_count == 0) give_up("no rows: " + sql);
    return std::move(result->rows_json);
  }

  /// Of the read model's files.
  [[nodiscard]] std::uintmax_t bytes() const {
    std::uintmax_t bytes = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (file.is_regular_file()) bytes += file.file_size();
    }
    return bytes;
  }

 private:
  test::TemporaryFolder folder_;
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  test::ManualScheduler scheduler_;
  std::unique_ptr<ProjectionHost> host_;
};

void check(sqlite3* database, int code) {
  if (code != SQLITE_OK && code != SQLITE_DONE) give_up(sqlite3_errmsg(database));
}

/// The same statements, prepared once, in transactions of 10,000 events; no history, and parsing
/// the same JSON, because that is part of applying an event.
double apply_bare(test::MemoryTopic& topic) {
  const test::TemporaryFolder folder;
  sqlite3* database = nullptr;
  check(database, sqlite3_open((folder.path() + "/bare.db").c_str(), &database));
  const auto run = [&](const char* sql) {
    check(database, sqlite3_exec(database, sql, nullptr, nullptr, nullptr));
  };
  run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384");
  run(kSchema);
  sqlite3_stmt* statements[2] = {};
  const char* sql = kDeposit;
  for (auto& statement : statements) {
    check(database, sqlite3_prepare_v2(database, sql, -1, &statement, &sql));
  }
  const double taken = seconds([&] {
    run("BEGIN");
    auto cursor = *topic.memory().read(Offset(0));
    for (int i = 1;; ++i) {
      const auto event = *cursor->next();
      if (!event) break;
      const auto amount = nlohmann::json::parse(event->data)["amount"].get<std::int64_t>();
      for (sqlite3_stmt* statement : statements) {
        const auto index = [&](const char* name) {
          return sqlite3_bind_parameter_index(statement, name);
        };
        const std::string_view id = event->stream.substr(8);
        sqlite3_bind_text(statement, index("@stream_id"), id.data(), int(id.size()),
                          SQLITE_TRANSIENT);
        sqlite3_bind_int64(statement, index(":amount"), amount);
        sqlite3_bind_int64(statement, index("@version"), std::int64_t(event->version.value));
        sqlite3_bind_text(statement, index("@time"), "2023-11-14T22:13:20.000000Z", 27,
                          SQLITE_STATIC);
        check(database, sqlite3_step(statement));
        sqlite3_reset(statement);
      }
      if (i % 10'000 == 0) run("COMMIT; BEGIN");
    }
    run("COMMIT");
  });
  for (sqlite3_stmt* statement : statements) sqlite3_finalize(statement);
  sqlite3_close(database);
  return taken;
}

double apply_with_history(test::MemoryTopic& topic) {
  return seconds([&] { const Bank bank(topic, Tables::balances_and_statements); });
}

void measure_apply(int events, int runs) {
  auto topic = make_topic(events, Accounts::alike);
  const auto [value, limit] = paired(
      runs, [&] { return events / apply_with_history(*topic); },
      [&] { return events / apply_bare(*topic); });
  report("projection.history", value, "events/s", limit,
         "two upserts an event with history; limit: the same SQL in bare SQLite without");
}

/// A query: `SELECT what FROM from`.
struct Question {
  std::string what;
  std::string from;
  std::vector<std::string> keys;  ///< for its parameter, one a query; none: it has no parameter
};

/// Steps through lists of 4,500 and of 50, so that neighbours are not asked for in turn: each is
/// prime to both.
constexpr int kKeyStep = 7;
constexpr int kMomentStep = 19;
constexpr int kMoments = 50;

/// A bank of `events` and those of the hot account, asked about its past and its present.
class History {
 public:
  explicit History(int events)
      : topic_(make_topic(events, Accounts::one_hot)), bank_(*topic_, Tables::owners_too) {
    half_ = moment(1, 2);
    for (int i = 0; i < kMoments; ++i) {
      moments_.push_back(moment(i * kMomentStep % kMoments + 1, kMoments + 1));
    }
  }

  /// Queries a second as of half the log.
  double past(const Question& question, int times) { return rate(question, times, {half_}); }

  /// As of moments all over the log, each far from the one before.
  double past_all_over(const Question& question, int times) {
    return rate(question, times, moments_);
  }

  double present(const Question& question, int times) {
    return rate(question, times, {std::nullopt});
  }

  /// Ends the program if a query finds more rows now than at half of the log, or fewer: its times
  /// could not be compared.
  void check_rows(const Question& question) {
    const std::string sql = "SELECT count(*) FROM " + question.from;
    for (std::size_t i = 0; i < std::max<std::size_t>(question.keys.size(), 1); ++i) {
      const nlohmann::json params = parameters(question, i);
      const std::string then = bank_.query(sql, params, half_);
      const std::string now = bank_.query(sql, params, std::nullopt);
      if (then != now || now == "[[0]]") {
        give_up("rows at half of the log: " + then + ", now: " + now + ", of " + question.from +
                " with " + params.dump());
      }
    }
  }

  [[nodiscard]] std::uint64_t events() const { return topic_->memory().end().value; }
  [[nodiscard]] std::uintmax_t bytes() const { return bank_.bytes(); }

 private:
  using Moment = std::optional<Position>;

  [[nodiscard]] Moment moment(int part, int parts) const {
    Position position(1);
    position.set_next(PartitionId(0), Offset(events() * static_cast<std::uint64_t>(part) /
                                             static_cast<std::uint64_t>(parts)));
    return position;
  }

  static nlohmann::json parameters(const Question& question, std::size_t query) {
    if (question.keys.empty()) return {};
    return nlohmann::json::array({question.keys[query * kKeyStep % question.keys.size()]});
  }

  double rate(const Question& question, int times, const std::vector<Moment>& at) {
    const std::string sql = "SELECT " + question.what + " FROM " + question.from;
    const auto queries = static_cast<std::size_t>(times);
    return times / seconds([&] {
             for (std::size_t i = 0; i < queries; ++i) {
               bank_.query(sql, parameters(question, i), at[i % at.size()]);
             }
           });
  }

  std::unique_ptr<test::MemoryTopic> topic_;
  Bank bank_;
  Moment half_;
  std::vector<Moment> moments_;
};

void measure_queries(History& history, const Arguments& arguments) {
  const auto compare = [&](const std::string& name, const Question& question, int times,
                           const std::string& notes) {
    if (!arguments.wants(name)) return;
    history.check_rows(question);
    const auto [value, limit] = paired(
        arguments.runs(), [&] { return history.past(question, times); },
        [&] { return history.present(question, times); });
    report(name, value, "queries/s", limit, notes + " as of half the log; limit: the same now");
  };
  std::vector<std::string> accounts;
  for (int i = 0; i < kAccounts; ++i) accounts.push_back(std::to_string(i));

  const std::string by_key = "balances WHERE account_id = ?";
  compare("asof.point", {"balance", by_key, accounts}, 5'000, "one balance by its key");
  compare("asof.point.hot", {"balance", by_key, {std::to_string(kHotAccount)}}, 5'000,
          "the balance of an account with a quarter of all events");
  compare("asof.table", {"*", "balances", {}}, 20, "all 4,500 balances");
  compare("asof.index", {"count(*)", "balances WHERE owner = 'owner 12'", {}}, 500,
          "111 balances by an index");
  compare("asof.join.key",
          {"b.balance, o.total",
           "balances b JOIN owners o ON o.owner = b.owner WHERE b.account_id = ?", accounts},
          5'000, "an account's balance and its owner's total, both by key");
  compare("asof.join.index",
          {"sum(b.balance), max(o.total)",
           "owners o JOIN balances b ON b.owner = o.owner WHERE o.owner = 'owner 12'",
           {}},
          500, "an owner by key with 111 accounts by an index");
}

double us_a_key(double queries_a_second) { return 1e6 / queries_a_second / kAccounts; }

std::string text(double us) { return std::to_string(us).substr(0, 4); }

const Question kSum{"sum(balance)", "balances", {}};

void measure_scan(History& history, int events, int runs) {
  History shorter(events / 10);
  const auto [value, brief] = paired(
      runs, [&] { return us_a_key(history.past(kSum, kMoments)); },
      [&] { return us_a_key(shorter.past(kSum, kMoments)); });
  const double now = median(runs, [&] { return us_a_key(history.present(kSum, kMoments)); });
  report("asof.scan", value, "us/key", 3,
         "the sum of all 4,500 balances as of half of " + std::to_string(history.events()) +
             " events; now " + text(now) + ", of a tenth of the history " + text(brief) +
             "; limit: what is asked");
}

/// Of a history larger than the page cache of whoever reads it (32 MiB, `projections/reader.cpp`):
/// pages that a moment needs are gone from there when it is asked about again.
void measure_long_scan(int events, int runs) {
  History history(events);
  const auto [value, cached] = paired(
      runs, [&] { return us_a_key(history.past_all_over(kSum, kMoments)); },
      [&] { return us_a_key(history.past(kSum, kMoments)); });
  report("asof.scan.long", value, "us/key", 3,
         "the sum of all 4,500 balances as of 50 moments of " + std::to_string(history.events()) +
             " events, a file of " + std::to_string(history.bytes() >> 20) +
             " MiB read through a cache of 32; as of one moment, from the cache, " + text(cached) +
             "; limit: what is asked");
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  const int events = arguments.quick() ? 50'000 : 200'000;
  if (arguments.wants("projection.history")) measure_apply(events, arguments.runs());
  {
    History history(events);
    measure_queries(history, arguments);
    if (arguments.wants("asof.scan")) measure_scan(history, events, arguments.runs());
  }
  if (arguments.wants("asof.scan.long") && !arguments.quick()) {
    measure_long_scan(5 * events, arguments.runs());
  }
  return 0;
}
