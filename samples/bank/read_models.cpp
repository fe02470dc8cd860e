#include "samples/bank/read_models.h"

#include <string>

namespace bank {

namespace {

/// What is changed again and again is one tree, by its key; what is mostly added to is one in the
/// order it comes and a small index, so that an insert does not move large rows.
constexpr auto kSchema = R"sql(
  CREATE TABLE balances (
    account_id TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    currency   TEXT NOT NULL,
    balance    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE statements (
    account_id    TEXT NOT NULL,
    version       INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    amount        INTEGER NOT NULL,
    balance_after INTEGER NOT NULL,
    booked_at     TEXT NOT NULL,
    reference     TEXT,
    PRIMARY KEY (account_id, version)
  ) STRICT;

  CREATE TABLE daily_totals (
    day     TEXT PRIMARY KEY,
    credits INTEGER NOT NULL,
    debits  INTEGER NOT NULL,
    count   INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE transfers (
    transfer_id  TEXT PRIMARY KEY,
    from_account TEXT NOT NULL,
    to_account   TEXT NOT NULL,
    amount       INTEGER NOT NULL,
    reference    TEXT,
    status       TEXT NOT NULL,
    reason       TEXT,
    requested_at TEXT NOT NULL,
    updated_at   TEXT NOT NULL
  ) STRICT;

  CREATE TABLE held (
    account_id  TEXT NOT NULL,
    transfer_id TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    PRIMARY KEY (account_id, transfer_id)
  ) STRICT, WITHOUT ROWID;
)sql";

/// What a movement does to every table that counts it. `sums` is `credits` or `debits`. Two days'
/// worth of the largest amounts do not fit 64 bits: a day's sum stays at the largest number then,
/// rather than halt the projection for one client's nonsense.
std::string movement(const std::string& kind, const std::string& sums,
                     const std::string& reference) {
  const std::string credit = sums == "credits" ? ":amount" : "0";
  const std::string debit = sums == "debits" ? ":amount" : "0";
  return R"sql(
    UPDATE balances SET balance = :balance_after, version = @version, updated_at = @time
     WHERE account_id = @stream_id;
    INSERT INTO statements VALUES (@stream_id, @version, ')sql" +
         kind + R"sql(', :amount,
                                   :balance_after, :booked_at, )sql" +
         reference + R"sql();
    INSERT INTO daily_totals VALUES (:booked_at, )sql" +
         credit + ", " + debit + R"sql(, 1)
      ON CONFLICT (day) DO UPDATE SET count = count + 1,
        )sql" +
         sums + " = " + sums + " + min(:amount, 9223372036854775807 - " + sums + ");";
}

constexpr auto kTouchBalance = R"sql(
    UPDATE balances SET version = @version, updated_at = @time WHERE account_id = @stream_id;
)sql";

constexpr auto kNoLongerHeld = R"sql(
    DELETE FROM held WHERE account_id = @stream_id AND transfer_id = :transfer;
)sql";

/// How a transfer ended; `reason` as SQL.
std::string ended(const std::string& status, const std::string& reason) {
  return "UPDATE transfers SET status = '" + status + "', reason = " + reason +
         ", updated_at = @time WHERE transfer_id = @stream_id";
}

}  // namespace

keelson::projections::Projection bank_read_models() {
  keelson::projections::Projection bank("bank", 1);
  bank.summary("Balances, statements, daily totals and transfers").schema(kSchema);

  bank.on("account", "opened", R"sql(
    INSERT INTO balances VALUES (@stream_id, :owner, :currency, 0, @version, @time)
  )sql");
  bank.on("account", "deposited", movement("deposit", "credits", "$reference"));
  bank.on("account", "withdrawn", movement("withdrawal", "debits", "$reference"));
  bank.on("account", "closed", "DELETE FROM balances WHERE account_id = @stream_id");

  bank.on("account", "transfer_sent", movement("transfer_out", "debits", "$reference"));
  bank.on("account", "transfer_sent", "INSERT INTO held VALUES (@stream_id, :transfer, :amount)");
  bank.on("account", "transfer_received", movement("transfer_in", "credits", "$reference"));
  bank.on("account", "transfer_settled", std::string(kTouchBalance) + kNoLongerHeld);
  bank.on("account", "transfer_returned",
          movement("transfer_returned", "credits", "$reason") + kNoLongerHeld);

  bank.on("transfer", "requested", R"sql(
    INSERT INTO transfers VALUES (@stream_id, :from, :to, :amount, $reference, 'requested', NULL,
                                  @time, @time)
  )sql");
  bank.on("transfer", "completed", ended("completed", "NULL"));
  bank.on("transfer", "failed", ended("failed", ":reason"));
  bank.on("transfer", "refunded", ended("refunded", ":reason"));
  return bank;
}

}  // namespace bank
