"""Transfers between random accounts of four partitions, some of which must fail, with the server
killed in between: each ends one way, and no money appears or vanishes."""

import threading
import time
from collections import defaultdict

from http_client import CONNECTION_ERRORS, Client
from load import TRANSIENT, Acknowledged, assert_log_holds

OPEN = [f"open{i}" for i in range(12)]
CLOSED, UNKNOWN, FOREIGN = "closed", "unknown", "foreign"
EACH = 10_000
ENDED = {"completed", "failed", "refunded"}


def open_accounts(client):
    for account in OPEN + [CLOSED, FOREIGN]:
        body = {"owner": account, "currency": "USD" if account == FOREIGN else "EUR",
                "overdraft_limit": 0}
        assert client.command("account", account, "open", body).status == 200
        if account != CLOSED:
            answer = client.command("account", account, "deposit", {"amount": EACH})
            assert answer.status == 200, answer.body
    assert client.command("account", CLOSED, "close", {}).status == 200


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


def request_all(connect, transfers, acknowledged):
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


def test_money_is_conserved(start_bank, dice, is_long):
    server = start_bank(partitions=4)
    open_accounts(server.client())
    transfers = random_transfers(dice, 5000 if is_long else 400)
    acknowledged = {}
    shares = [list(transfers.items())[i::8] for i in range(8)]
    threads = [threading.Thread(target=request_all, args=(server.client, share, acknowledged))
               for share in shares]
    for thread in threads:
        thread.start()
    for _ in range(20 if is_long else 3):
        time.sleep(dice.uniform(0.05, 0.5))
        server.kill()
        server.restart()
    for thread in threads:
        thread.join(300)
    states = wait_until_ended(server.client(), transfers)
    assert {state["status"] for state in states.values()} == ENDED, "not every way was taken"
    events = assert_log_holds(server.client(), {a.key: a for a in acknowledged.values()})
    check_events(events, states)
    check_money(server.client(), states, transfers)

    server.wait_applied()
    total = server.client().query("bank", "SELECT sum(balance) FROM balances")["rows"]
    assert total == [[EACH * (len(OPEN) + 1)]]


def test_refusals_of_a_transfer(start_bank):
    server = start_bank(partitions=4)
    client = server.client()
    open_accounts(client)

    def outcome(id, source, target, amount):
        answer = client.command("transfer", id, "request",
                                {"from": source, "to": target, "amount": amount})
        if answer.status != 200:
            return answer.json()["reason"], ""
        state = wait_until_ended(client, {id: None})[id]
        return state["status"], state["reason"]

    assert outcome("a", "open0", "open1", 5) == ("completed", "")
    assert outcome("a", "open0", "open1", 5) == ("already_requested", "")
    assert outcome("b", "open0", "open0", 5) == ("same_account", "")
    assert outcome("c", "open0", "open1", 0) == ("amount_not_positive", "")
    assert outcome("d", "open0", "open1", 10**9) == ("failed", "insufficient_funds")
    assert outcome("e", UNKNOWN, "open1", 5) == ("failed", "not_open")
    assert outcome("f", "open0", UNKNOWN, 5) == ("refunded", "not_open")
    assert outcome("g", "open0", CLOSED, 5) == ("refunded", "closed")
    assert outcome("h", "open0", FOREIGN, 5) == ("refunded", "currency_mismatch")
    state = client.get_json("/v1/aggregates/account/open0")["state"]
    assert state["balance"] == EACH - 5 and not state["held"]


def test_clients_cannot_take_a_transfers_steps(start_bank):
    """They would make money."""
    client = start_bank().client()
    open_accounts(client)
    answer = client.command("account", "open0", "receive_transfer", {
        "transfer": "t", "from": "open1", "amount": 5, "currency": "EUR",
        "booked_at": "2024-01-01"})
    assert answer.status in (403, 404, 409), answer.body
    assert client.get_json("/v1/aggregates/account/open0")["state"]["balance"] == EACH
