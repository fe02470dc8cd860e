"""A topic keeps only its newest events, and a node comes that needs what is gone: one with an empty
disk, or one that was away for longer than retention waits. It gets what is left of what was
removed, then the rest, and is like the others."""

import contextlib
import subprocess
import time

from bank_server import KEELSON
from cluster_admin import run, wait_well
from cluster_checks import assert_same_files
from http_client import CONNECTION_ERRORS

TOPIC = {"segment_bytes": 65536, "retention_bytes": 100000}
WAITS_SECONDS = 2


def append(client, number, text=10000):
    """Event by event to a few streams, each a command of its own."""
    return client.request("POST", f"/v1/topics/r/streams/s-{number % 5}",
                          [{"type": "t", "data": {"number": number, "text": "x" * text}}],
                          {"Idempotency-Key": f"r-{number}"})


def append_all(client, numbers, deadline_seconds=60):
    for number in numbers:
        deadline = time.monotonic() + deadline_seconds
        while True:
            with contextlib.suppress(*CONNECTION_ERRORS):
                answer = append(client, number)
                if answer.status == 200:
                    break
                assert answer.status in (307, 503, 504), answer.body
            assert time.monotonic() < deadline
            time.sleep(0.02)


def partition_at(server, topic="r"):
    return server.client().get_json(f"/v1/topics/{topic}")["partitions"][0]


def folder_of(server):
    [folder] = (server.folder / "data/log/topics/r").glob("0")
    return folder


def make_topic_and_remove(cluster, client, count=200):
    made = client.request("PUT", "/v1/topics/r", TOPIC)
    assert made.status == 201, made.body
    append_all(client, range(count))
    wait_removed(cluster, client)


def wait_removed(cluster, client, above=0):
    """Until the leader has removed what was below `above`, and more."""
    deadline = time.monotonic() + 30
    while True:
        leader = cluster.nodes[cluster.leader(topic="r")]
        if partition_at(leader)["start"] > above:
            return
        assert time.monotonic() < deadline
        # Retention is looked at after a batch.
        client.until_done("POST", "/v1/topics/r/streams/filler", [{"type": "t", "data": {}}])
        time.sleep(0.1)


def replace_disk(cluster, number):
    """Until the others know it as a new member."""
    cluster.replace_disk(number)
    other = cluster.nodes[next(node for node in cluster.nodes if node != number)]
    deadline = time.monotonic() + 30
    while f"node {number} has a new data folder" not in run(other, "status", "--json").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def assert_knows_all(server, count):
    """As the leader does: what was done is known, also where its events are gone."""
    client = server.client()
    start = partition_at(server)["start"]
    assert start > 0
    gone = 0
    for number in range(count):
        answer = append(client, number)
        if answer.status == 410:
            assert answer.json()["code"] == "below-start", answer.body
            gone += 1
        else:
            assert answer.status == 200 and answer.replayed, answer.body
    assert gone > count // 3
    # A stream goes on with its next version, though its first events are nowhere.
    for stream in range(5):
        answer = client.request("POST", f"/v1/topics/r/streams/s-{stream}",
                                [{"type": "t", "data": {}}], {"If-Match": f'"{count // 5}"'})
        assert answer.status == 200 and answer.json()["version"] == count // 5 + 1, answer.body
        answer = client.get(f"/v1/topics/r/streams/s-{stream}")
        assert answer.status == 410, answer.body


def assert_same_logs(cluster):
    """Stops the cluster. Also what is left of removed segments is the same."""
    assert_same_files(cluster)
    folders = [folder_of(server) for server in cluster.nodes.values()]
    names = {p.name.removesuffix(p.suffix) for f in folders for p in f.iterdir()
             if p.suffix in (".past", ".idx")}
    assert any((folders[0] / f"{name}.past").exists() for name in names)
    for name in names:
        files = [f / f"{name}{suffix}" for f in folders for suffix in (".past", ".idx")]
        contents = {file.read_bytes() for file in files if file.exists()}
        assert len(contents) == 1, f"{name} differs"
    for folder in folders:
        left = [p.name for p in folder.iterdir() if p.suffix in (".fetched", ".mark", ".tmp")
                and p.name != "next.tmp"]
        assert left == [], left


def test_a_node_with_an_empty_disk_gets_its_place_though_events_are_gone(start_cluster):
    cluster = start_cluster(arguments=["--retention-waits", str(WAITS_SECONDS)])
    client = cluster.client()
    count = 200
    make_topic_and_remove(cluster, client, count)
    leader = cluster.leader(topic="r")
    number = next(node for node in cluster.nodes if node != leader)
    server = cluster.nodes[number]
    replace_disk(cluster, number)
    for topic in ("bank", "r"):
        run(cluster.nodes[leader], "move", topic, 0, "1,2,3")
    wait_well(cluster.nodes[leader])
    run(cluster.nodes[leader], "lead", "r", 0, number)
    assert cluster.leader(topic="r") == number
    assert_knows_all(server, count)
    wait_well(server)
    assert_same_logs(cluster)


def test_a_node_that_was_away_for_longer_than_retention_waits_comes_back(start_cluster):
    cluster = start_cluster(arguments=["--retention-waits", str(WAITS_SECONDS)])
    client = cluster.client()
    made = client.request("PUT", "/v1/topics/r", TOPIC)
    assert made.status == 201, made.body
    append_all(client, range(30))
    leader = cluster.leader(topic="r")
    number = next(node for node in cluster.nodes if node != leader)
    server = cluster.nodes[number]
    server.kill()
    append_all(client, range(30, 200))
    time.sleep(WAITS_SECONDS)
    wait_removed(cluster, client, above=100)
    server.restart()
    wait_well(cluster.nodes[leader])
    run(cluster.nodes[leader], "lead", "r", 0, number)
    assert_knows_all(server, 200)
    wait_well(server)
    assert_same_logs(cluster)


def test_a_node_is_killed_again_and_again_while_it_gets_what_is_left(start_cluster, dice):
    cluster = start_cluster(arguments=["--retention-waits", str(WAITS_SECONDS)])
    client = cluster.client()
    count = 400
    make_topic_and_remove(cluster, client, count)
    leader = cluster.leader(topic="r")
    number = next(node for node in cluster.nodes if node != leader)
    server = cluster.nodes[number]
    replace_disk(cluster, number)
    folder = server.folder / "data/log/topics/r/0"
    move = subprocess.Popen([KEELSON, "cluster", "move", "r", "0", "1,2,3",
                             "--server", cluster.nodes[leader].url],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    seen = set()
    try:
        for _ in range(60):
            deadline = time.monotonic() + dice.uniform(0.05, 0.4)
            while time.monotonic() < deadline:
                names = {p.suffix for p in folder.iterdir()} if folder.exists() else set()
                if names & {".fetched", ".mark", ".past"}:
                    seen |= names
                    break
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.02))
            server.kill()
            server.start_without_waiting()
            if ".past" in seen:
                break
        assert ".fetched" in seen or ".past" in seen, "it was never in the midst of it"
        assert move.wait(timeout=120) == 0
    finally:
        move.kill()
        move.wait()
    run(cluster.nodes[leader], "move", "bank", 0, "1,2,3")
    wait_well(cluster.nodes[leader])
    run(cluster.nodes[leader], "lead", "r", 0, number)
    assert_knows_all(server, count)
    wait_well(server)
    assert_same_logs(cluster)


def projection_at(server):
    return server.client().get_json("/v1/projections")["projections"][0]


def open_accounts(client, first, count):
    """In large batches: enough for several of the bank's segments."""
    for start in range(first, first + count, 500):
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(*CONNECTION_ERRORS):
                answer = client.request("POST", "/v1/commands", [
                    {"type": "account", "id": f"a{i}", "command": "open", "key": f"open-{i}",
                     "data": {"owner": "o" * 200, "currency": "EUR", "overdraft_limit": None}}
                    for i in range(start, start + 500)])
                if answer.status == 200 and all(a["status"] == 200 for a in answer.json()):
                    break
                assert answer.status in (200, 307, 503, 504), answer.body
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_read_models_of_who_begins_later_say_what_they_have(start_cluster):
    """One that is new begins where the log does. One that misses events halts until it is made
    anew. Reactions go on in both."""
    cluster = start_cluster(arguments=["--retention-waits", str(WAITS_SECONDS)])
    client = cluster.client()
    open_accounts(client, 0, 500)
    leader = cluster.leader()
    number = next(node for node in cluster.nodes if node != leader)
    server = cluster.nodes[number]
    server.wait_applied()
    server.kill()
    kept = client.request("PUT", "/v1/topics/bank", {"retention_bytes": 64 << 10})
    assert kept.status == 200, kept.body
    time.sleep(WAITS_SECONDS)
    at = 500
    while partition_at(cluster.nodes[leader], "bank")["start"] < 1000:
        assert at < 50_000
        open_accounts(client, at, 2000)
        at += 2000
        time.sleep(1)
    server.restart()
    wait_well(cluster.nodes[leader])
    deadline = time.monotonic() + 30
    while projection_at(server)["state"] != "halted":
        assert time.monotonic() < deadline, projection_at(server)
        time.sleep(0.1)
    error = projection_at(server)["partitions"][0]["error"]
    assert "retention has removed" in error and "remove 'read-models' in its data" in error
    server.stop()
    subprocess.run(["rm", "-rf", str(server.folder / "data/read-models")], check=True)
    server.restart()
    server.wait_applied()
    assert projection_at(server)["state"] == "running", projection_at(server)
    replace_disk(cluster, number)
    run(cluster.nodes[leader], "move", "bank", 0, "1,2,3")
    wait_well(cluster.nodes[leader])
    server.wait_applied()
    assert projection_at(server)["state"] == "running", projection_at(server)
    rows = server.client().query("bank", "SELECT count(*) FROM balances")["rows"]
    start = partition_at(server, "bank")["start"]
    assert start >= 1000 and rows == [[at - start]], (rows, at, start)
    for reaction in server.client().get_json("/v1/reactions")["reactions"]:
        assert reaction["state"] == "running", reaction
    run(cluster.nodes[leader], "lead", "bank", 0, number)
    gone = server.client().command("account", "a3", "open", {
        "owner": "o" * 200, "currency": "EUR", "overdraft_limit": None}, "open-3")
    assert gone.status == 410 and gone.json()["code"] == "below-start", gone.body
