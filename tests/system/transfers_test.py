"""Transfers between random accounts of four partitions, some of which must fail, with the server
killed in between: each ends one way, and no money appears or vanishes."""

import time

from load import assert_log_holds
from transfers import (CLOSED, EACH, ENDED, FOREIGN, OPEN, UNKNOWN, TransferLoad, check_events,
                       check_money, open_accounts, random_transfers, wait_until_ended)


def test_money_is_conserved(start_bank, dice, is_long):
    server = start_bank(partitions=4)
    open_accounts(server.client())
    transfers = random_transfers(dice, 5000 if is_long else 400)
    load = TransferLoad(server.client, transfers, clients=8)
    for _ in range(20 if is_long else 3):
        time.sleep(dice.uniform(0.05, 0.5))
        server.kill()
        server.restart()
    acknowledged = load.finish()
    states = wait_until_ended(server.client(), transfers)
    assert {state["status"] for state in states.values()} == ENDED, "not every way was taken"
    events = assert_log_holds(server.client(), acknowledged)
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
