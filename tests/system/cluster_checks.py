"""What has to be true of a cluster's nodes when the trouble is over."""

import json
import time
from collections import defaultdict
from pathlib import Path

from load import assert_events_hold


def wait_same(cluster, timeout=30, topic="bank"):
    """Until all replicas of each partition show the same log; returns its events, partition by
    partition."""
    deadline = time.monotonic() + timeout
    events = []
    for partition, nodes in sorted(cluster.replicas(topic).items()):
        while True:
            logs = {}
            for node in nodes:
                # A node that was started anew shows nothing before it has met the leader.
                client = cluster.nodes[node].client()
                if client.get(f"/v1/topics/{topic}/partitions/{partition}/events").status == 200:
                    logs[node] = list(client.events(partition, topic=topic))
            one = next(iter(logs.values()), None)
            if len(logs) == len(nodes) and all(log == one for log in logs.values()):
                break
            assert time.monotonic() < deadline, {node: len(log) for node, log in logs.items()}
            time.sleep(0.1)
        events += one
    return events


def assert_money_at_every_offset(cluster, events, topic="bank"):
    """At every replica of each partition the accounts there have, as of every offset, what the
    events up to there say."""
    told = defaultdict(dict)  # the sum of balances after an offset that changes one
    balances = defaultdict(int)
    sums = defaultdict(int)
    for event in events:
        partition, balance = event["partition"], event["data"].get("balance_after")
        if event["type"] == "opened":
            balance = 0
        if balance is None:
            continue
        sums[partition] += balance - balances[event["stream"]]
        balances[event["stream"]] = balance
        told[partition][event["offset"]] = sums[partition]
    for partition, nodes in cluster.replicas(topic).items():
        for node in nodes:
            answer = cluster.nodes[node].client().request(
                "POST", f"/v1/projections/bank/query?partitions={partition}",
                {"sql": "SELECT balance, _from, _to FROM balances__history"})
            assert answer.status == 200, answer.body
            changes = defaultdict(int)
            for balance, first, end in answer.json()["rows"]:
                changes[first] += balance
                if end is not None:
                    changes[end] -= balance
            total, found = 0, {}
            for offset in sorted(changes):
                total += changes[offset]
                if offset in told[partition]:
                    found[offset] = total
                else:  # something else has changed the row, or closed an empty account
                    assert changes[offset] == 0, (node, partition, offset)
            assert found == told[partition], (node, partition)


def assert_all_there(cluster, load, some):
    acknowledged = load.join(timeout=300)
    events = assert_events_hold(wait_same(cluster), acknowledged)
    assert len(events) == len(some.rows) + len(some.accounts)
    balances = some.balances()
    for server in cluster.nodes.values():
        server.wait_applied()
        rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
        assert dict(rows) == balances
    assert_same_files(cluster)


def assert_same_files(cluster):
    """Stops the cluster. Byte for byte the logs of each partition's replicas are the same up to the
    last event, and so is what `verify` says of them. Behind it may stand what no majority has: who
    is to lead, when all of them stop, begins an epoch, and a reaction says how far it has come."""
    replicas = {(topic, partition): nodes for topic in cluster.topics()
                for partition, nodes in cluster.replicas(topic).items()}
    for server in cluster.nodes.values():
        server.signal_stop()
    for server in cluster.nodes.values():
        assert server.wait() == 0, server.log()
    roots = {}
    for node, server in cluster.nodes.items():
        verified = server.verify("--json")
        assert verified.returncode == 0, verified.stdout
        for partition in json.loads(verified.stdout)["partitions"]:
            roots[node, partition["topic"], partition["partition"]] = (
                partition["start"] + partition["events"], partition["tree_root"])
    for (topic, partition), nodes in replicas.items():
        place = f"{topic}/{partition}"
        one = nodes[0]
        logs = {node: _segments(cluster.nodes[node], topic, partition) for node in nodes}
        for node in nodes[1:]:
            assert roots[node, topic, partition] == roots[one, topic, partition], place
            both = logs[node].keys() & logs[one].keys()  # retention may be late at one of them
            assert max(logs[node], default="") == max(logs[one], default=""), place
            for name in both:
                assert logs[node][name] == logs[one][name], f"{place} {name}: nodes {one}, {node}"


def _segments(server, topic, partition):
    """By their names, what they hold up to the end of the last batch with an event."""
    place = ("--topic", topic, "--partition", partition)
    first = server.inspect(*place)["segments"][0]["first_batch"]
    batches = server.inspect(*place, "--batches", first, "--limit", 100_000)["batches"]
    assert len(batches) < 100_000
    while batches and not batches[-1]["events"]:
        batches.pop()
    ends = {batch["file"]: batch["position"] + batch["bytes"] for batch in batches}
    return {Path(file).name: Path(file).read_bytes()[:end] for file, end in ends.items()}
