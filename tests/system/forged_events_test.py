"""Events that look like an aggregate's and are not: whoever may append to the bank's topic can give
an event any type and a stream any name but an aggregate's. Read models take no notice."""

import pytest

TABLES = ("balances", "statements", "daily_totals", "transfers", "held")
# Both lie in the partition of account-ada: what is hashed is the name after the first '-'.
STREAMS = ("x-ada", "ada")
BOOKED = {"amount": 1, "balance_after": 10**12, "booked_at": "2026-01-01"}
FORGERIES = (
    ("deposited", BOOKED),
    ("deposited", BOOKED),  # would be the second row of one key
    ("opened", {}),  # would lack what the rule needs
    ("closed", None),  # would delete the account
    ("withdrawn", BOOKED),
    ("transfer_sent", {"transfer": "t9", **BOOKED}),
    ("transfer_received", {"transfer": "t9", **BOOKED}),
    ("transfer_settled", {"transfer": "t1"}),
    ("transfer_returned", {"transfer": "t1", "reason": "x", **BOOKED}),
    ("requested", {"from": "ada", "to": "bob", "amount": 1}),
    ("completed", {}),
    ("failed", {"reason": "x"}),
    ("refunded", {"reason": "x"}),
)


def contents(client):
    return {table: client.get_json(f"/v1/projections/bank/tables/{table}")["rows"]
            for table in TABLES}


@pytest.mark.parametrize("partitions", [1, 4])
def test_events_in_other_streams_change_no_read_model(start_bank, partitions):
    server = start_bank(partitions)
    client = server.client()
    for id in ("ada", "bob"):
        opened = client.command("account", id, "open", {"owner": id, "currency": "EUR"})
        assert opened.status == 200, opened.body
    assert client.command("account", "ada", "deposit", {"amount": 500}).status == 200
    server.wait_applied()
    before = contents(client)
    assert [row["balance"] for row in before["balances"] if row["account_id"] == "ada"] == [500]

    for stream in STREAMS:
        for type, data in FORGERIES:
            answer = client.request("POST", f"/v1/topics/bank/streams/{stream}",
                                    [{"type": type, "data": data}])
            assert answer.status == 200, answer.body
    for stream in ("account-ada", "account", "transfer-t1"):
        answer = client.request("POST", f"/v1/topics/bank/streams/{stream}",
                                [{"type": "deposited", "data": BOOKED}])
        assert (answer.status, answer.json()["code"]) == (409, "aggregate-stream")

    server.wait_applied()  # fails when a projection has halted
    assert client.get_json("/v1/projections/bank")["state"] == "running"
    assert contents(client) == before
    assert client.command("account", "ada", "deposit", {"amount": 1}).status == 200
    server.wait_applied()
    after = contents(client)
    assert [row["balance"] for row in after["balances"] if row["account_id"] == "ada"] == [501]
