"""A day's mixture for the bank at a bounded rate: commands, repeats, transfers, reads, questions
about the past, bulk, and notes that are soon removed."""

import json
import random
import threading
import time
from collections import defaultdict

from http_client import Client

ACCOUNTS = 200
SNAPSHOT_EVERY = 1000  # events of an account: a read folds up to so many
KEPT_OUTCOMES = 500  # of a thread, to repeat
REQUESTS_PER_CONNECTION = 300
NOTES = "notes"  # a topic with retention
NOTE_BYTES, NOTES_SEGMENT_BYTES = 10_000, 64 << 10


class Latencies:
    """Seconds by kind of request, since they were last taken."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seconds = defaultdict(list)

    def add(self, kind, seconds):
        with self._lock:
            self._seconds[kind].append(seconds)

    def take(self):
        with self._lock:
            taken, self._seconds = self._seconds, defaultdict(list)
        return taken


class SoakWorker(threading.Thread):
    """One client with `rate` requests a second, of which it measures each and checks each. It keeps
    what it needs to repeat the last commands, and the sum of the money that it has brought."""

    def __init__(self, port, number, rate, latencies, stopping):
        super().__init__(daemon=True)
        self._port = port
        self._number = number
        self._interval = 1 / rate
        self._latencies = latencies
        self._stopping = stopping
        self._dice = random.Random(number)
        self._outcomes = []
        self._commands = 0
        self._client = None
        self.money = 0
        self.transfers = 0
        self.requests = 0
        self.failure = None

    def run(self):
        # One thing in so many hundred.
        deeds = [(self._deposit_or_withdraw, 52), (self._repeat, 12), (self._transfer, 2),
                 (self._read_account, 12), (self._read_page, 6), (self._query_now, 6),
                 (self._query_past, 8), (self._bulk, 2), (self._note, 2)]
        due = time.monotonic()
        try:
            while not self._stopping.is_set():
                if self.requests % REQUESTS_PER_CONNECTION == 0:
                    self._connect()
                deed, = self._dice.choices([d for d, _ in deeds], [w for _, w in deeds])
                self.requests += 1
                deed()
                # What was late is not caught up with: the rate is a bound.
                due = max(due + self._interval, time.monotonic())
                self._stopping.wait(due - time.monotonic())
        except Exception as error:  # told by the program, in its own thread
            self.failure = repr(error)
        self._client.close()

    def _connect(self):
        if self._client is not None:
            self._client.close()
        self._client = Client(self._port)

    def _measured(self, kind, ask, *arguments, **named):
        started = time.monotonic()
        answer = ask(*arguments, **named)
        self._latencies.add(kind, time.monotonic() - started)
        return answer

    def _account(self):
        return f"a{self._dice.randrange(ACCOUNTS)}"

    def _key(self):
        self._commands += 1
        return f"{self._number}-{self._commands}"

    def _deposit_or_withdraw(self):
        account, amount = self._account(), self._dice.randint(1, 1000)
        name, sign = self._dice.choice([("deposit", 1), ("withdraw", -1)])
        command = ("account", account, name, {"amount": amount}, self._key())
        answer = self._measured("command", self._client.command, *command)
        assert answer.status == 200 and not answer.replayed, answer
        self.money += sign * amount
        self._outcomes.append((command, answer.body))
        if len(self._outcomes) > KEPT_OUTCOMES:
            self._outcomes.pop(0)

    def _repeat(self):
        if not self._outcomes:
            return
        command, first = self._dice.choice(self._outcomes)
        answer = self._measured("repeat", self._client.command, *command)
        assert answer.status == 200 and answer.replayed and answer.body == first, answer

    def _transfer(self):
        source, target = (f"a{i}" for i in self._dice.sample(range(ACCOUNTS), 2))
        key = self._key()
        answer = self._measured("command", self._client.command, "transfer", f"t{key}", "request",
                                {"from": source, "to": target, "amount": 1}, key)
        assert answer.status == 200, answer
        self.transfers += 1

    def _read_account(self):
        answer = self._measured("read", self._client.get,
                                f"/v1/aggregates/account/{self._account()}")
        assert answer.status == 200, answer

    def _read_page(self):
        """Somewhere in history."""
        ends = self._client.ends()
        partition = self._dice.choice(sorted(ends))
        answer = self._measured(
            "read", self._client.get, f"/v1/topics/bank/partitions/{partition}/events",
            **{"from": self._dice.randint(0, ends[partition]), "limit": 50})
        assert answer.status == 200, answer

    def _query_now(self):
        answer = self._measured("query", self._client.query, "bank",
                                "SELECT count(*), sum(balance) FROM balances")
        assert answer["rows"][0][0] == ACCOUNTS, answer

    def _query_past(self):
        """One account at two moments: what was true then is true now."""
        at = ",".join(f"{partition}:{self._dice.randint(ACCOUNTS * 2, end - 1)}"
                      for partition, end in sorted(self._client.ends().items())
                      if end > ACCOUNTS * 2)
        if not at:
            return
        sql = "SELECT balance, version FROM balances WHERE account_id = ?"
        account = self._account()
        answers = []
        for _ in range(2):
            started = time.monotonic()
            # The read model may be behind: waited for, and that is not what is measured.
            while True:
                answer = self._client.request("POST", "/v1/projections/bank/query",
                                              {"sql": sql, "params": [account], "at": at})
                if answer.status != 503:
                    break
                time.sleep(0.02)
                started = time.monotonic()
            self._latencies.add("past", time.monotonic() - started)
            assert answer.status == 200, answer
            answers.append(answer.json()["rows"])
        assert answers[0] == answers[1], (at, answers)

    def _bulk(self):
        commands = [{"type": "account", "id": self._account(), "command": "deposit",
                     "data": {"amount": 1}, "key": self._key()} for _ in range(50)]
        answer = self._measured("bulk", self._client.request, "POST", "/v1/commands", commands)
        outcomes = json.loads(answer.body)
        assert {outcome["status"] for outcome in outcomes} == {200}, outcomes
        self.money += len(commands)


    def _note(self):
        answer = self._client.request("POST", f"/v1/topics/{NOTES}/streams/note-{self._number}",
                                      [{"type": "noted", "data": {"text": "x" * NOTE_BYTES}}])
        assert answer.status == 200, answer


def make_notes(port):
    client = Client(port)
    made = client.request("PUT", f"/v1/topics/{NOTES}", {
        "segment_bytes": NOTES_SEGMENT_BYTES, "retention_bytes": 2 * NOTES_SEGMENT_BYTES})
    assert made.status == 201, made.body
    client.close()


def open_accounts(port):
    """As after long use: each account is somewhere between two snapshots, so that reading one takes
    as long on average at the beginning as at the end. Returns the money that is in them."""
    client, dice, money = Client(port), random.Random(0), 0
    for i in range(ACCOUNTS):
        # In debt as they please, so that nothing is refused.
        answer = client.command("account", f"a{i}", "open",
                                {"owner": f"Owner {i}", "currency": "EUR", "overdraft_limit": None})
        assert answer.status == 200, answer
        age = dice.randrange(SNAPSHOT_EVERY)
        answer = client.request("POST", "/v1/commands", [
            {"type": "account", "id": f"a{i}", "command": "deposit", "data": {"amount": 1}}
            for _ in range(age)])
        assert {outcome["status"] for outcome in answer.json()} <= {200}
        money += age
    client.close()
    return money
