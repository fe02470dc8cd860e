"""Clients that post transactions and remember every acknowledgement, through crashes."""

import threading
import time
from collections import Counter
from dataclasses import dataclass

from http_client import CONNECTION_ERRORS, Client

TRANSIENT = {429, 503, 504}


@dataclass
class Acknowledged:
    """What the server answered to one command id."""

    key: str
    answer: dict
    replayed: bool

    @property
    def place(self):
        return self.answer["partition"], self.answer["offset"]


class Load:
    """Posts `transactions` from `threads` clients, each account by one of them and in order. What
    gets no answer, or a transient one, is repeated with the same command id until `stop`.
    `connect` makes the clients, if they are not of the server at `port`."""

    def __init__(self, port, transactions, threads=8, transient=frozenset(TRANSIENT),
                 connect=None):
        self._connect = connect or (lambda: Client(port, timeout=30))
        self._transient = transient
        self._stopping = threading.Event()
        self.acknowledged = {}  # by key; written by one thread a key
        self.failures = []
        self.sent_again = 0
        self.refused = Counter()  # transient answers by status
        self.slowest_seconds = 0  # of what was acknowledged
        shares = [[] for _ in range(threads)]
        share_of = {a: i % threads for i, a in enumerate(transactions.accounts)}
        opened = set()
        for row in transactions.rows:
            share = shares[share_of[row.account]]
            if row.account not in opened:
                opened.add(row.account)
                share.append((row.account, "open", f"open-{row.account}", None,
                              {"owner": f"Owner of {row.account}", "currency": "CZK",
                               "overdraft_limit": None}))
            share.append((row.account, row.command, row.id, row.balance_after, row.body))
        self.count = self._allowed = sum(map(len, shares))  # of commands
        self._threads = [threading.Thread(target=self._post_all, args=(share,), daemon=True)
                         for share in shares]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def is_running(self):
        return any(thread.is_alive() for thread in self._threads)

    def allow(self, count):
        """Begins no more commands once so many are acknowledged, until more are allowed."""
        self._allowed = count

    def wait_acknowledged(self, count, timeout=300):
        """Until so many commands are."""
        deadline = time.monotonic() + timeout
        while len(self.acknowledged) < count:
            assert not self.failures, self.failures[:5]
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {count} acknowledged"
            time.sleep(0.002)

    def stop(self):
        """Without finishing: what is unanswered stays so."""
        self._stopping.set()
        return self.join()

    def join(self, timeout=300):
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        assert not self.is_running(), "the load did not finish"
        assert not self.failures, self.failures[:5]
        return self.acknowledged

    def _post_all(self, commands):
        client = self._connect()
        for command in commands:
            if not self._post(client, *command):
                break
        client.close()

    def _post(self, client, account, command, key, balance_after, body):
        while not self._stopping.is_set():
            if len(self.acknowledged) >= self._allowed:
                time.sleep(0.01)
                continue
            started = time.monotonic()
            try:
                answer = client.command("account", account, command, body, key)
            except CONNECTION_ERRORS:
                self.sent_again += 1
                time.sleep(0.02)
                continue
            if answer.status in self._transient:
                self.sent_again += 1
                self.refused[answer.status] += 1
                time.sleep(0.05)
                continue
            if answer.status != 200:
                self.failures.append((key, answer.status, answer.body))
                return False
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
            outcome = answer.json()
            self.acknowledged[key] = Acknowledged(key, outcome, answer.replayed)
            told = outcome["events"][-1]["data"].get("balance_after")
            if balance_after is not None and told != balance_after:
                self.failures.append((key, "balance", told, "the file says", balance_after))
                return False
            return True
        return False


def run_load(port, transactions, threads=8):
    """The whole of it; acknowledgements by key."""
    return Load(port, transactions, threads).start().join()


def assert_log_holds(client, acknowledged, topic="bank"):
    """See `assert_events_hold`. Returns the log's events."""
    return assert_events_hold(client.all_events(topic), acknowledged)


def assert_events_hold(events, acknowledged):
    """Every acknowledged command is in the log where its answer said, and no command id twice;
    offsets and versions are dense. `events`: all of it, partition by partition."""
    places = {}
    for event in events:
        key = event.get("command_id")
        if key:
            assert key not in places, f"{key} took effect twice: {places[key]} and {event}"
            places[key] = (event["partition"], event["offset"])
    lost = [key for key in acknowledged if places.get(key) != acknowledged[key].place]
    assert not lost, f"{len(lost)} acknowledged commands are not where they were: {lost[:5]}"
    for partition in {event["partition"] for event in events}:
        offsets = [e["offset"] for e in events if e["partition"] == partition]
        assert offsets == list(range(len(offsets))), f"partition {partition} is not dense"
    versions = Counter()
    for event in events:
        versions[event["stream"]] += 1
        assert event["version"] == versions[event["stream"]], f"versions are not dense: {event}"
    return events


class BulkLoad:
    """Appends large events to streams of a topic of its own, so that segments are made one after
    another; each has an id and is repeated until it is taken, or until `stop`."""

    def __init__(self, port, topic, event_bytes, threads=2, transient=frozenset(TRANSIENT)):
        self._port = port
        self._topic = topic
        self._text = "x" * event_bytes
        self._transient = transient
        self._stopping = threading.Event()
        self.acknowledged = {}
        self.refused = []  # transient answers
        self.failures = []
        self._threads = [threading.Thread(target=self._append_all, args=(n,), daemon=True)
                         for n in range(threads)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def is_running(self):
        return any(thread.is_alive() for thread in self._threads)

    def stop(self, timeout=60):
        self._stopping.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
            assert not thread.is_alive(), "the load did not stop"
        assert not self.failures, self.failures[:5]
        return self.acknowledged

    def _append_all(self, worker):
        client = Client(self._port, timeout=60)
        number = 0
        while not self._stopping.is_set() and not self.failures:
            key = f"bulk-{worker}-{number}"
            try:
                answer = client.request(
                    "POST", f"/v1/topics/{self._topic}/streams/bulk-{worker}",
                    [{"type": "bulk", "data": {"text": self._text}}], {"Idempotency-Key": key})
            except CONNECTION_ERRORS:
                time.sleep(0.02)
                continue
            if answer.status == 200:
                self.acknowledged[key] = Acknowledged(key, answer.json(), answer.replayed)
                number += 1
            elif answer.status in self._transient:
                self.refused.append(answer)
                time.sleep(0.05)
            else:
                self.failures.append((key, answer.status, answer.body))
        client.close()


def assert_all_there(server, load, transactions):
    """The load ends as it would have without trouble, and repeating it changes nothing."""
    acknowledged = load.join(timeout=120)
    client = server.client()
    events = assert_log_holds(client, acknowledged)
    assert len(events) == len(transactions.rows) + len(transactions.accounts)
    server.wait_applied()
    rows = client.query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == transactions.balances()
    again = run_load(server.port, transactions)
    assert {k: a.answer for k, a in again.items()} == {k: a.answer for k, a in acknowledged.items()}
    assert client.all_events() == events
    verified = server.verify("--json")
    assert verified.returncode == 0, verified.stdout
