"""State as of a past offset: three ways to ask, one answer, and it never changes."""

import datetime
import threading
import time

import pytest
from load import Load, run_load

SQL = "SELECT account_id, balance, version FROM balances ORDER BY account_id"


def position_of(at):
    """`{partition: last offset seen}` as it is written; partitions of which nothing was seen are
    left out."""
    if set(at) == {0}:
        return str(at[0])
    return ",".join(f"{p}:{offset}" for p, offset in sorted(at.items()) if offset >= 0)


def by_query(client, at):
    answer = client.query("bank", SQL, at=position_of(at))
    assert answer["at"] == position_of(at)
    return [tuple(row) for row in answer["rows"]]


def by_table(client, at):
    answer = client.get_json("/v1/projections/bank/tables/balances", at=position_of(at),
                             limit=10_000, order="account_id")
    assert answer["at"] == position_of(at)
    return [(row["account_id"], row["balance"], row["version"]) for row in answer["rows"]]


def by_folding(events, at):
    """From nothing but the events, by the rules of an account."""
    balances = {}
    for event in events:
        if event["offset"] > at[event["partition"]] or not event["stream"].startswith("account-"):
            continue
        account = event["stream"].removeprefix("account-")
        data = event["data"]
        balance = balances.get(account, (0, 0))[0]
        if event["type"] == "deposited":
            balance += data["amount"]
        elif event["type"] == "withdrawn":
            balance -= data["amount"]
        if "balance_after" in data:
            assert data["balance_after"] == balance, event
        balances[account] = (balance, event["version"])
    return [(account, *rest) for account, rest in sorted(balances.items())]


def random_offsets(dice, ends):
    return {partition: dice.randint(0, end - 1) for partition, end in ends.items() if end > 0}


@pytest.mark.parametrize("partitions", [1, 4])
def test_as_of_answers_agree_and_stay(start_bank, transactions, dice, is_long, partitions):
    server = start_bank(partitions)
    client = server.client()
    half = transactions.first(2000)
    run_load(server.port, half)
    server.wait_applied()
    events = client.all_events()
    ends = client.ends()

    load = Load(server.port, transactions.first(5000)).start()  # written while we ask
    answers = []
    while load.is_running() or len(answers) < (200 if is_long else 25):
        at = random_offsets(dice, ends)
        folded = by_folding(events, at)
        assert by_query(client, at) == folded, at
        assert by_table(client, at) == folded, at
        answers.append((at, folded))
    load.join()
    server.wait_applied()
    assert client.ends() != ends
    events = client.all_events()
    for at, before in answers:
        assert by_query(client, at) == by_table(client, at) == by_folding(events, at) == before
    for _ in range(10):
        at = random_offsets(dice, client.ends())
        assert by_query(client, at) == by_table(client, at) == by_folding(events, at)

    server.kill()
    server.restart()
    for at, before in answers[:5]:
        assert by_query(server.client(), at) == before


def test_one_aggregate_as_of_an_offset_a_version_and_a_time(start_bank, transactions, dice):
    server = start_bank(partitions=4)
    client = server.client()
    run_load(server.port, transactions.first(1500))
    account = max(transactions.first(1500).accounts,
                  key=lambda a: len(transactions.first(1500).of(a)))
    path = f"/v1/aggregates/account/{account}"
    events = client.get_json(path + "/events", limit=1000)["events"]
    backward = client.get_json(path + "/events", limit=1000, direction="backward")["events"]
    assert backward == events[::-1] and [e["version"] for e in events] == list(
        range(1, len(events) + 1))
    balance = 0
    for event in events:
        balance = event["data"].get("balance_after", balance)
        for query in ({"at": event["offset"]}, {"at_version": event["version"]}):
            state = client.get_json(path, **query)
            assert state["version"] == event["version"] and state["offset"] == event["offset"]
            assert state["state"]["balance"] == balance, (query, state)
        # Several commits can share one microsecond: as of a time is after the last of them.
        same_time = [e for e in events if e["time"] == event["time"]]
        assert client.get_json(path, at_time=event["time"])["version"] == same_time[-1]["version"]
    assert client.get(path, at_version=len(events) + 1).status in (400, 404)
    before_all = client.get(path, at_time="2001-01-01T00:00:00Z")
    assert before_all.status == 404 and before_all.json()["code"] == "not-found"


def test_refused_commands_hold_up_no_question_about_a_time(start_bank):
    server = start_bank()
    client = server.client(timeout=20)
    opened = client.command("account", "a", "open",
                            {"owner": "A", "currency": "EUR", "overdraft_limit": None})
    assert opened.status == 200, opened.body
    answers = client.request("POST", "/v1/commands", [
        {"type": "account", "id": "a", "command": "deposit", "data": {"amount": 1}, "key": f"k{i}",
         "expected_version": 99} for i in range(20)]).json()
    assert [answer["status"] for answer in answers] == [412] * 20, answers
    asked = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    time.sleep(0.01)
    state = client.get_json("/v1/aggregates/account/a", at_time=asked)
    assert state["version"] == 1, state
    server.stop()


def test_a_position_past_the_end_is_refused(start_bank, transactions):
    server = start_bank()
    client = server.client()
    run_load(server.port, transactions.first(100))
    end = client.ends()[0]
    for answer in [
            client.get("/v1/projections/bank/tables/balances", at=end),
            client.request("POST", "/v1/projections/bank/query", {"sql": SQL, "at": str(end)}),
            client.get(f"/v1/aggregates/account/{transactions.rows[0].account}", at=end + 5),
            client.get("/v1/topics/bank/partitions/0/events", **{"from": end + 1})]:
        assert answer.status == 400 and answer.json()["code"] == "beyond-end", answer.body


def test_answers_about_the_past_can_be_cached(start_bank, transactions):
    server = start_bank()
    client = server.client()
    run_load(server.port, transactions.first(300))
    server.wait_applied()
    account = f"/v1/aggregates/account/{transactions.rows[0].account}"
    table = "/v1/projections/bank/tables/balances"
    for path in (account, table):
        answer = client.get(path, at=200)
        etag = answer.headers["etag"]
        assert etag.startswith('"') and "no-cache" in answer.headers["cache-control"]
        again = client.get(path, headers={"If-None-Match": etag}, at=200)
        assert again.status == 304 and again.body == b"" and again.headers["etag"] == etag
        other = client.get(path, headers={"If-None-Match": etag}, at=250)
        assert other.status == 200 and other.headers["etag"] != etag

    events = "/v1/topics/bank/partitions/0/events"
    closed = client.get(events, **{"from": 0, "limit": 100})
    assert closed.headers["cache-control"] == "public, max-age=31536000, immutable"
    open_page = client.get(events, **{"from": 250, "limit": 1000})
    assert "immutable" not in open_page.headers.get("cache-control", "")


def test_reading_your_own_write(start_bank, transactions):
    server = start_bank(partitions=4)
    client = server.client()
    run_load(server.port, transactions.first(50))
    account = transactions.rows[0].account
    table = "/v1/projections/bank/tables/balances"
    for amount in range(1, 30):
        done = client.command("account", account, "deposit", {"amount": amount}).json()
        written = f"{done['partition']}:{done['offset']}"
        rows = client.get_json(table, account_id=account, min=written, wait_ms=5000)["rows"]
        assert rows[0]["version"] >= done["version"]
    far = client.get(table, min="0:999999", wait_ms=50)
    assert far.status in (400, 503), far.body


def test_readers_of_the_past_do_not_stop_the_writer(start_bank, transactions, dice):
    server = start_bank()
    run_load(server.port, transactions.first(2000))
    server.wait_applied()
    end = server.client().ends()[0]
    stop = threading.Event()
    offsets = [dice.randrange(end) for _ in range(100)]

    def read():
        client = server.client()
        while not stop.is_set():
            for offset in offsets:
                client.query("bank", "SELECT sum(balance) FROM balances", at=str(offset))

    readers = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        run_load(server.port, transactions.first(4000))
        server.wait_applied()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
