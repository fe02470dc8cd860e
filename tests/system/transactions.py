"""What the tests feed the bank: the real transactions beside the checkout, or generated ones."""

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bank_server import BINARY, ROOT

REAL_FILE = ROOT.parent / "shared/data/berka/transactions.csv.zst"
REAL_SUM = 3_929_672_010  # of all final balances, from the file's own description
GENERATED_ROWS = 40_000


@dataclass
class Row:
    date: str
    account: str
    id: str
    delta: int
    balance_after: int

    @property
    def command(self):
        return "deposit" if self.delta > 0 else "withdraw"

    @property
    def body(self):
        return {"amount": abs(self.delta), "booked_at": self.date, "reference": self.id}


class Transactions:
    """Rows in the file's order; balances of one account chain from 0."""

    def __init__(self, file, rows):
        self.file = file
        self.rows = rows
        self.accounts = sorted({row.account for row in rows})

    @classmethod
    def load(cls, folder):
        """The whole file, unpacked or generated into `folder`."""
        file = Path(folder) / "transactions.csv"
        if REAL_FILE.exists():
            subprocess.run(["zstd", "-dqf", REAL_FILE, "-o", file], check=True)
        else:
            print(f"{REAL_FILE} is not there: {GENERATED_ROWS} generated rows instead")
            subprocess.run([BINARY, "generate", "--rows", str(GENERATED_ROWS), "--accounts", "1000",
                            "--seed", "1", "--out", file], check=True)
        with open(file, newline="") as lines:
            rows = [Row(row["date"], row["account_id"], row["trans_id"], int(row["delta"]),
                        int(row["balance_after"])) for row in csv.DictReader(lines)]
        transactions = cls(file, rows)
        if REAL_FILE.exists():
            assert len(rows) == 46_997 and transactions.total() == REAL_SUM
        return transactions

    def first(self, count):
        """The beginning of it, as rows only."""
        return Transactions(None, self.rows[:count])

    def part(self, first, end):
        """Rows in [first, end), as rows only."""
        return Transactions(None, self.rows[first:end])

    def balances(self):
        """Final balance by account."""
        return {row.account: row.balance_after for row in self.rows}

    def total(self):
        return sum(self.balances().values())

    def of(self, account):
        return [row for row in self.rows if row.account == account]

    def by_account(self):
        grouped = {account: [] for account in self.accounts}
        for row in self.rows:
            grouped[row.account].append(row)
        return grouped
