"""A data folder on a disk without room: the log and the read models lie on it together."""

import time

import pytest
from load import TRANSIENT, Load, assert_log_holds, run_load

MIB = 1 << 20
DISK_FULL = 507
STALL_SECONDS = 1.0


def fill_by_load(disk, server, transactions):
    """Loads until nothing more is taken, and then takes the last blocks: what a segment still holds
    for a small commit may be used up later. Returns the load, which goes on asking."""
    # Room for the segments there are and for little of the read models: whatever grows fails.
    disk.leave(3 * MIB)
    load = Load(server.port, transactions, transient=TRANSIENT | {DISK_FULL}).start()
    deadline = time.monotonic() + 60
    seen, since = -1, time.monotonic()
    while load.refused[DISK_FULL] == 0 or time.monotonic() < since + STALL_SECONDS:
        assert time.monotonic() < deadline, f"{disk.free_bytes()} bytes are free and used"
        assert load.is_running(), "the load was done before the disk was full"
        if len(load.acknowledged) != seen:
            seen, since = len(load.acknowledged), time.monotonic()
        time.sleep(0.05)
    disk.fill()
    assert disk.free_bytes() == 0
    return load


def assert_refused(server, transactions, acknowledged):
    """In so many words, to the client and to the operator."""
    client = server.client()
    refused = client.request("POST", "/v1/topics/bank/streams/note-1",
                             [{"type": "noted", "data": {"text": "x" * 200_000}}])
    assert refused.status == DISK_FULL, refused
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "disk-full"
    assert refused.json()["type"] == "urn:keelson:problem:disk-full"

    # Many commands in one request: the load's own, so that one that still fits does no harm.
    next_rows = {row.account: row for row in reversed(transactions.rows)
                 if row.id not in acknowledged and f"open-{row.account}" in acknowledged}
    outcomes = client.request("POST", "/v1/commands", [
        {"type": "account", "id": row.account, "command": row.command, "key": row.id,
         "data": row.body} for row in next_rows.values()]).json()
    codes = {(outcome["status"], outcome.get("code")) for outcome in outcomes}
    assert (DISK_FULL, "disk-full") in codes, codes
    assert codes <= {(DISK_FULL, "disk-full"), (200, None)}, codes
    assert "answered 507: disk_full" in server.log(), "the operator is not told"


def assert_readable(server, acknowledged):
    client = server.client()
    assert client.get("/readyz").status == 200
    assert client.get("/metrics").status == 200
    assert_log_holds(client, acknowledged)
    event = next(reversed(acknowledged.values())).answer["events"][-1]
    stream = event["stream"].replace("-", "/", 1)
    assert client.get_json(f"/v1/aggregates/{stream}")["version"] >= event["version"]
    # As of where the read model is: it too has met the full disk.
    answer = client.query("bank", "SELECT count(*), sum(balance) FROM balances")
    again = client.query("bank", "SELECT count(*), sum(balance) FROM balances", at=answer["at"])
    assert again["rows"] == answer["rows"]
    for projection in client.get_json("/v1/projections")["projections"]:
        assert projection["state"] in ("running", "delayed"), projection


def assert_all_there(server, load, transactions):
    """With room again the load goes through, and its end is what it would have been."""
    acknowledged = load.join(timeout=120)
    client = server.client()
    events = assert_log_holds(client, acknowledged)
    assert len(events) == len(transactions.rows) + len(transactions.accounts)
    server.wait_applied()
    rows = client.query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == transactions.balances()
    assert sum(balance for _, balance in rows) == transactions.total()
    for projection in client.get_json("/v1/projections")["projections"]:
        assert projection["state"] == "running", projection
    again = run_load(server.port, transactions)
    assert {k: a.answer for k, a in again.items()} == {k: a.answer for k, a in acknowledged.items()}
    assert client.all_events() == events
    verified = server.verify("--json")
    assert verified.returncode == 0, verified.stdout


def test_a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room(
        small_disk, start_bank, transactions):
    server = start_bank(partitions=2, folder=small_disk.folder / "bank")
    some = transactions.first(9000)
    load = fill_by_load(small_disk, server, some)
    assert_refused(server, some, load.acknowledged)
    assert_readable(server, dict(load.acknowledged))
    process = server.pid
    small_disk.make_room()
    assert_all_there(server, load, some)
    assert server.is_alive() and server.pid == process, "it was restarted"


@pytest.mark.parametrize("ended", ["SIGTERM", "kill -9"])
def test_a_server_that_ends_on_a_full_disk_starts_on_it(
        small_disk, start_bank, transactions, ended):
    """And again with room: neither start loses, doubles or halts anything."""
    server = start_bank(partitions=2, folder=small_disk.folder / "bank")
    some = transactions.first(9000)
    load = fill_by_load(small_disk, server, some)
    for room in (False, False, True):
        acknowledged = dict(load.acknowledged)
        if ended == "SIGTERM":
            started = time.monotonic()
            assert server.stop() == 0, server.log()
            assert time.monotonic() - started < 15
        else:
            server.kill()
        if room:
            small_disk.make_room()
        else:
            small_disk.fill()  # what a stop has given back
        server.restart()
        if not room:
            assert_refused(server, some, acknowledged)
            assert_readable(server, acknowledged)
    assert_all_there(server, load, some)


def test_a_server_does_not_start_anew_on_a_full_disk_and_does_when_there_is_room(
        small_disk, start_bank, transactions):
    """Half a topic is left of the first start at most; the second makes all of it."""
    folder = small_disk.folder / "bank"
    server = start_bank(folder=small_disk.folder / "other")
    server.stop()
    small_disk.leave(MIB // 2)
    with pytest.raises(AssertionError, match="disk_full|No space left"):
        start_bank(partitions=2, folder=folder)
    small_disk.make_room()
    server = start_bank(partitions=2, folder=folder)
    some = transactions.first(500)
    assert_log_holds(server.client(), run_load(server.port, some))
