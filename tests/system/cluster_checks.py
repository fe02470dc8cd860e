"""What has to be true of a cluster's nodes when the trouble is over."""

import json
import time

from load import assert_log_holds


def wait_same(cluster, timeout=30, topic="bank"):
    """Until all nodes that run show the same log; returns its events."""
    deadline = time.monotonic() + timeout
    logs = {}
    while True:
        for node, server in cluster.nodes.items():
            # A node that was started anew shows nothing before it has met the leader.
            client = server.client()
            if server.is_alive() and all(
                    client.get(f"/v1/topics/{topic}/partitions/{p}/events").status == 200
                    for p in client.ends(topic)):
                logs[node] = client.all_events(topic)
        if len(logs) == len(cluster.nodes) and all(log == logs[1] for log in logs.values()):
            return logs[1]
        assert time.monotonic() < deadline, {node: len(log) for node, log in logs.items()}
        time.sleep(0.1)


def assert_all_there(cluster, load, some):
    acknowledged = load.join(timeout=300)
    events = wait_same(cluster)
    assert assert_log_holds(cluster.nodes[1].client(), acknowledged) == events
    assert len(events) == len(some.rows) + len(some.accounts)
    balances = some.balances()
    for server in cluster.nodes.values():
        server.wait_applied()
        rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
        assert dict(rows) == balances
    assert_same_files(cluster)


def assert_same_files(cluster):
    """Stops the cluster. Byte for byte the logs are the same, but that one may have a batch more at
    its end; and what `verify` says of them is."""
    for server in cluster.nodes.values():
        server.signal_stop()
    for server in cluster.nodes.values():
        assert server.wait() == 0, server.log()
    folders = [server.folder / "data/log/topics" for server in cluster.nodes.values()]
    names = {path.relative_to(folder) for folder in folders for path in folder.glob("*/*/*.seg")}
    assert names
    for name in names:
        contents = [(folder / name).read_bytes().rstrip(b"\0") for folder in folders
                    if (folder / name).exists()]
        longest = max(contents, key=len)
        for content in contents:
            assert longest.startswith(content), f"{name} differs"
    roots = {}
    for server in cluster.nodes.values():
        verified = server.verify("--json")
        assert verified.returncode == 0, verified.stdout
        for partition in json.loads(verified.stdout)["partitions"]:
            place = (partition["topic"], partition["partition"], partition["events"])
            assert roots.setdefault(place, partition["tree_root"]) == partition["tree_root"]
