"""A data folder on a disk without room: the log and the read models lie on it together."""

import time

import pytest
from cluster_admin import OPEN, run, wait_well
from cluster_checks import assert_same_files, wait_same
from http_client import command_until_done
from load import TRANSIENT, Load, assert_all_there, assert_log_holds, run_load

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


def assert_log_readable(server, acknowledged):
    client = server.client()
    assert client.get("/readyz").status == 200
    assert client.get("/metrics").status == 200
    events = assert_log_holds(client, acknowledged)
    event = next(reversed(acknowledged.values())).answer["events"][-1]
    stream = event["stream"].replace("-", "/", 1)
    assert client.get_json(f"/v1/aggregates/{stream}")["version"] >= event["version"]
    return events


def assert_read_model_answers(server, events):
    """As of where it is: it too has met the full disk. All that is before is in it."""
    client = server.client()
    sql = "SELECT count(*), sum(balance) FROM balances"
    answer = client.query("bank", sql)
    assert client.query("bank", sql, at=answer["at"])["rows"] == answer["rows"]
    seen = {int(p): int(last) for p, last in (one.split(":") for one in answer["at"].split(","))}
    opened = sum(e["type"] == "opened" and e["stream"].startswith("account-")
                 and e["offset"] <= seen[e["partition"]] for e in events)
    assert answer["rows"][0][0] == opened
    for projection in client.get_json("/v1/projections")["projections"]:
        assert projection["state"] in ("running", "delayed"), projection


def assert_read_model_waits_for_room(server, refused):
    """There is no room to open it: that is what it says, rather than to leave rows out."""
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "disk-full"
    client = server.client()
    projection = client.get_json("/v1/projections/bank")
    assert projection["state"] == "delayed", projection
    errors = [p["error"] for p in projection["partitions"] if "error" in p]
    assert errors and all(error.startswith("disk_full: ") for error in errors), projection
    rows = client.get("/v1/projections/bank/tables/balances")
    assert rows.status == DISK_FULL, rows
    ends = ",".join(f"{p}:{end - 1}" for p, end in client.ends().items())
    late = client.get("/v1/projections/bank/tables/balances", min=ends, wait_ms=100)
    assert (late.status, late.json()["code"]) == (503, "not-caught-up"), late


def assert_readable_after_a_start(server, acknowledged):
    """The log is. A read model needs room to open, and a start may find some or none. True if it
    found none."""
    events = assert_log_readable(server, acknowledged)
    asked = server.client().request("POST", "/v1/projections/bank/query", {"sql": "SELECT 1"})
    if asked.status == DISK_FULL:
        assert_read_model_waits_for_room(server, asked)
        return True
    assert_read_model_answers(server, events)
    return False


def assert_nothing_is_missing(server, load, transactions):
    """With room again all is there, and every read model goes on."""
    assert_all_there(server, load, transactions)
    client = server.client()
    rows = client.query("bank", "SELECT sum(balance) FROM balances")["rows"]
    assert rows == [[transactions.total()]]
    for projection in client.get_json("/v1/projections")["projections"]:
        assert projection["state"] == "running", projection


def test_a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room(
        small_disk, start_bank, transactions):
    server = start_bank(partitions=2, folder=small_disk.folder / "bank")
    some = transactions.first(9000)
    load = fill_by_load(small_disk, server, some)
    assert_refused(server, some, load.acknowledged)
    acknowledged = dict(load.acknowledged)
    assert_read_model_answers(server, assert_log_readable(server, acknowledged))
    process = server.pid
    small_disk.make_room()
    assert_nothing_is_missing(server, load, some)
    assert server.is_alive() and server.pid == process, "it was restarted"


@pytest.mark.parametrize("ended", ["SIGTERM", "kill -9"])
def test_a_server_that_ends_on_a_full_disk_starts_on_it(
        small_disk, start_bank, transactions, ended):
    """And again with room: neither start loses, doubles or halts anything."""
    server = start_bank(partitions=2, folder=small_disk.folder / "bank")
    some = transactions.first(9000)
    load = fill_by_load(small_disk, server, some)
    waited = 0
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
            waited += assert_readable_after_a_start(server, acknowledged)
    print(f"after {waited} of 2 starts on the full disk the read models waited for room")
    assert_nothing_is_missing(server, load, some)


def test_read_models_without_room_to_open_open_when_there_is_room(
        small_disk, start_bank, transactions):
    """After a clean stop nothing of them is left but their files: what SQLite has beside a file
    while it is open needs room. No restart is needed for it."""
    server = start_bank(partitions=2, folder=small_disk.folder / "bank")
    some = transactions.first(1000)
    load = Load(server.port, some, transient=TRANSIENT | {DISK_FULL}).start()
    load.join()
    server.wait_applied()
    assert server.stop() == 0, server.log()
    assert not list(small_disk.folder.rglob("*-shm"))
    small_disk.fill()
    assert small_disk.free_bytes() == 0
    server.restart()
    assert assert_readable_after_a_start(server, load.acknowledged), "there was room"
    process = server.pid
    time.sleep(2.5)  # it is tried again, and says so once
    assert assert_readable_after_a_start(server, load.acknowledged), "there was room"
    assert server.log().count("p0.db cannot be opened: disk_full: ") == 1, server.log()
    small_disk.make_room()
    assert_nothing_is_missing(server, load, some)
    assert server.is_alive() and server.pid == process, "it was restarted"


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


def test_another_node_leads_while_the_leader_has_no_room(small_disk, start_cluster):
    cluster = start_cluster(folders={1: small_disk.folder})
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[2])
    run(cluster.nodes[2], "lead", "bank", 0, 1)
    wait_well(cluster.nodes[2])
    deadline = time.monotonic() + 30
    while cluster.leader() != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    small_disk.fill()
    statuses = []
    while cluster.leader() == 1 or statuses[-1:] != [200]:
        assert time.monotonic() < deadline + 30, statuses
        # The leader's segment has some room left.
        statuses.append(client.request("POST", "/v1/topics/bank/streams/note-1", [
            {"type": "noted", "data": {"text": "x" * 200_000}}]).status)
    assert set(statuses) <= {200, 307, 503, 504, 507}, statuses
    assert "node 1 has no room on its disk" in run(cluster.nodes[2], "status").stdout
    # Also what an operator asks for is done by those that can.
    run(cluster.nodes[2], "lead", "bank", 0, 3)
    for i in range(3):
        command_until_done(client, "account", "a", "deposit", {"amount": 1}, f"d{i}")
    small_disk.make_room()
    run(cluster.nodes[2], "lead", "bank", 0, 1)
    while cluster.leader() != 1:
        assert time.monotonic() < deadline + 90, cluster.nodes[1].log()
        time.sleep(0.1)
    wait_well(cluster.nodes[2])
    wait_same(cluster)
    assert_same_files(cluster)
