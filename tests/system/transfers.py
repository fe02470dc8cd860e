"""Transfers between accounts, some of which must fail, and what has to be true in the end."""

import threading
import time
from collections import defaultdict

from http_client import CONNECTION_ERRORS, command_until_done
from load import TRANSIENT, Acknowledged

OPEN = [f"open{i}" for i in range(12)]
CLOSED, UNKNOWN, FOREIGN = "closed", "unknown", "foreign"
EACH = 10_000
ENDED = {"completed", "failed", "refunded"}


def open_accounts(client):
    for account in OPEN + [CLOSED, FOREIGN]:
        currency = "USD" if account == FOREIGN else "EUR"
        command_until_done(client, "account", account, "open",
                           {"owner": account, "currency": currency, "overdraft_limit": 0},
                           f"open-{account}")
        if account != CLOSED:
            command_until_done(client, "account", account, "deposit", {"amount": EACH},
                               f"first-{account}")
    command_until_done(client, "account", CLOSED, "close", {}, f"close-{CLOSED}")


def random_transfers(dice, count):
    """From whom, to whom, how much; by the transfer's id."""
    transfers = {}
    for i in range(count):
        source = dice.choice(OPEN + ([CLOSED, UNKNOWN] if i % 10 == 0 else []))
        target = dice.choice([a for a in OPEN if a != source] +
                             ([CLOSED, UNKNOWN, FOREIGN] if i % 4 == 0 else []))
        if target != source:
            transfers[f"t{i}"] = (source, target, dice.randint(1, EACH))
    return transfers


def _request_all(connect, transfers, acknowledged):
    """One client's share, each until it is answered."""
    client = connect()
    for id, (source, target, amount) in transfers:
        while id not in acknowledged:
            try:
                answer = client.command("transfer", id, "request", {
                    "from": source, "to": target, "amount": amount}, f"request-{id}")
            except CONNECTION_ERRORS:
                time.sleep(0.02)
                continue
            if answer.status in TRANSIENT:
                time.sleep(0.05)
                continue
            assert answer.status == 200, answer.body
            acknowledged[id] = Acknowledged(f"request-{id}", answer.json(), answer.replayed)
    client.close()


class TransferLoad:
    """Asks for the transfers from a few clients at a time, while who made it does something else.
    `connect` makes a client."""

    def __init__(self, connect, transfers, clients=4):
        self._transfers = transfers
        self._acknowledged = {}
        items = list(transfers.items())
        self._threads = [
            threading.Thread(target=_request_all,
                             args=(connect, items[i::clients], self._acknowledged))
            for i in range(clients)]
        for thread in self._threads:
            thread.start()

    def finish(self, timeout=300):
        """What was acknowledged, by key: all of them."""
        for thread in self._threads:
            thread.join(timeout)
        assert self._acknowledged.keys() == self._transfers.keys()
        return {a.key: a for a in self._acknowledged.values()}


def wait_until_ended(client, transfers, timeout=60):
    """State by transfer."""
    deadline = time.monotonic() + timeout
    states = {}
    while time.monotonic() < deadline:
        for id in transfers.keys() - states.keys():
            state = client.get_json(f"/v1/aggregates/transfer/{id}")["state"]
            if state["status"] in ENDED:
                states[id] = state
        if len(states) == len(transfers):
            return states
        time.sleep(0.05)
    raise AssertionError(f"{len(transfers) - len(states)} transfers did not end")


def check_money(client, states, transfers):
    """Balances are what the transfers' ends say, and nothing is held any more."""
    balances = dict.fromkeys(OPEN + [FOREIGN], EACH)
    for id, state in states.items():
        source, target, amount = transfers[id]
        if state["status"] == "completed":
            balances[source] -= amount
            balances[target] += amount
    for account, balance in balances.items():
        state = client.get_json(f"/v1/aggregates/account/{account}")["state"]
        assert state["balance"] == balance >= 0 and not state["held"], (account, state)
    assert sum(balances.values()) == EACH * (len(OPEN) + 1)


def check_events(events, states):
    """Each transfer took its steps once."""
    steps = defaultdict(list)
    for event in events:
        if event["type"].startswith("transfer_"):
            steps[event["data"]["transfer"]].append(event["type"])
    wanted = {"completed": ["transfer_received", "transfer_sent", "transfer_settled"],
              "refunded": ["transfer_returned", "transfer_sent"], "failed": []}
    for id, state in states.items():
        assert sorted(steps[id]) == wanted[state["status"]], (id, state, steps[id])
