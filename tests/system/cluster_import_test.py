"""`bank import` into a cluster: it finds the leaders, also when they change."""

import contextlib
import json
import time

from cluster_checks import assert_same_files, wait_same
from http_client import CONNECTION_ERRORS

PARTITIONS = 3


def wait_events(cluster, count):
    client = cluster.client()
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(*CONNECTION_ERRORS):
            described = client.until_done("GET", "/v1/topics/bank").json()
            if sum(p["end"] for p in described["partitions"]) >= count:
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_import_survives_the_leader_it_talks_to(start_cluster, transactions):
    cluster = start_cluster(partitions=PARTITIONS)
    some, file = transactions, transactions.file
    leader = cluster.leader()
    importing = cluster.nodes[leader].start_import(file)
    wait_events(cluster, len(some.rows) // 10)
    cluster.nodes[leader].kill()
    assert importing.poll() is None, "it was over before: nothing was seen"
    output, _ = importing.communicate(timeout=120)
    assert importing.returncode == 0, output
    report = json.loads(output)
    rows = len(some.rows)
    assert report["rows"] == report["balances_met"] == rows, report
    assert report["applied"] + report["replayed"] == rows and report["failed"] == 0, report

    cluster.start_dead()
    assert len(wait_same(cluster)) == rows + len(some.accounts), "something was done twice"
    for server in cluster.nodes.values():
        server.wait_applied()
        balances = server.client().query("bank", "SELECT account_id, balance FROM balances")
        assert dict(balances["rows"]) == some.balances()
    # Any node will do, and nothing happens again.
    follower = next(node for node in cluster.nodes if node != cluster.leader())
    again = cluster.nodes[follower].start_import(file)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert json.loads(output)["replayed"] == rows
    assert len(wait_same(cluster)) == rows + len(some.accounts)
    assert_same_files(cluster)
