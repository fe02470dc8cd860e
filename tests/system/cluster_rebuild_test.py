"""A cluster's records, made anew in an etcd that has lost them or was put back from a backup."""

import contextlib
import http.server
import json
import subprocess
import threading
import time

from bank_cluster import EtcdServers
from bank_server import KEELSON, assert_no_sanitizer_report
from cluster_admin import OPEN, deposit, partitions_of, run, wait_well
from cluster_checks import assert_all_there
from http_client import command_until_done
from load import Load


def rebuild(cluster, *arguments, servers=(), status=0, etcd=None):
    """`keelson cluster rebuild-records …` against the cluster's etcd."""
    asked = [a for node in servers for a in ("--server", cluster.nodes[node].url)]
    done = subprocess.run([KEELSON, "cluster", "rebuild-records", "--cluster", "test",
                           "--etcd", (etcd or cluster.etcd).urls, *asked, *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert_no_sanitizer_report(done.stderr)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


# --- lost ---

def test_records_are_made_anew_when_etcd_is_empty(start_cluster, transactions):
    cluster = start_cluster(partitions=2)
    some = transactions.first(6000)
    wait_well(cluster.nodes[1])
    load = Load(None, some, connect=cluster.client).start()
    time.sleep(1)
    cluster.etcd.wipe()
    acknowledged = len(load.acknowledged)
    time.sleep(3)
    assert len(load.acknowledged) > acknowledged or not load.is_running(), "leaders do not go on"

    # Not with a minority, and not without being told.
    doubtful = rebuild(cluster, "--yes", "--data", cluster.nodes[1].folder / "none", status=1)
    assert "not of a node" in doubtful.stderr
    shown = rebuild(cluster, "--yes", servers=[1])
    assert "records made anew" in shown.stdout and "DOUBT" not in shown.stdout
    refused = rebuild(cluster, "--yes", servers=[1], status=1)
    assert "etcd has records of cluster test" in refused.stderr
    again = rebuild(cluster, "--yes", "--repair", servers=[2])
    assert "nothing was done" in again.stdout

    for _ in range(2):
        wait_well(cluster.nodes[1])
        leader = cluster.leader()
        cluster.nodes[leader].kill()
        time.sleep(2.5)
        assert cluster.leader() != leader
        cluster.nodes[leader].restart()
    assert_all_there(cluster, load, some)


def test_records_are_made_anew_from_the_folders_of_nodes_that_do_not_run(start_cluster):
    cluster = start_cluster(nodes=4)
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    before = wait_well(cluster.nodes[1])[0]
    outside = next(n for n in cluster.nodes if n not in before["replicas"])
    target = [outside, *before["replicas"][1:]]
    run(cluster.nodes[1], "move", "bank", 0, ",".join(map(str, target)))
    wait_well(cluster.nodes[1])
    deposit(client, 20, "before")
    cluster.nodes[before["replicas"][0]].wait_applied()
    for server in cluster.nodes.values():
        server.kill()
    cluster.etcd.wipe()

    def folders(nodes):
        return [a for node in nodes for a in ("--data", cluster.nodes[node].folder / "data")]

    # Who is no replica any more, and one of three.
    refused = rebuild(cluster, "--yes", *folders([before["replicas"][0], target[1]]), status=1)
    assert "no majority of its replicas was asked" in refused.stdout
    assert "nothing was done" in refused.stderr
    made = rebuild(cluster, "--yes", *folders(target[:2]))
    assert f"replicas {','.join(map(str, target))}" in made.stdout
    cluster.start()
    after = wait_well(cluster.nodes[1])[0]
    assert after["replicas"] == target
    deposit(client, 5, "after")
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == 25


def test_nodes_find_each_other_in_an_empty_etcd_and_records_do_not_come_by_themselves(
        start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    epoch = wait_well(cluster.nodes[1])[0]["epoch"]
    leader = cluster.leader()
    moved = next(node for node in cluster.nodes if node != leader)
    cluster.etcd.wipe()
    wait_seen(cluster)
    # At new addresses, which only etcd tells; the topic is not for it to make again.
    cluster.nodes[moved].kill()
    cluster.move_to_another_port(moved)
    cluster.nodes[moved].start_without_waiting()
    wait_seen(cluster, {node for node in cluster.nodes if node != moved})
    deposit(client, 20, "before")
    made = cluster.nodes[leader].client().request("PUT", "/v1/topics/other", {})
    assert made.status == 503 and b"lost records" in made.body, made.body
    partition = seen_by(cluster.nodes[leader])["topics"][0]["partitions"][0]
    assert partition["epoch"] == epoch and partition["leader"]["node"] == leader
    rebuild(cluster, "--yes", servers=[leader])
    assert wait_well(cluster.nodes[moved])[0]["epoch"] > 1000
    deposit(client, 5, "after")
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == 25


def seen_by(server):
    return json.loads(server.client().get("/v1/cluster").body)


def wait_seen(cluster, by=None):
    """Until these nodes, or all, see all as alive and are connected with them, at the addresses
    that they have."""
    addresses = {node: f"{s.host}:{s.port}" for node, s in cluster.nodes.items()}
    deadline = time.monotonic() + 20
    for node in by or cluster.nodes:
        while True:
            nodes = seen_by(cluster.nodes[node])["nodes"]
            seen = {n["node"]: n["http_address"] for n in nodes
                    if n["alive"] and n.get("connected", True)}
            if seen == addresses:
                break
            assert time.monotonic() < deadline, (node, nodes)
            time.sleep(0.1)


def test_an_etcd_that_the_nodes_do_not_use_gets_no_records(start_cluster, tmp_path):
    cluster = start_cluster()
    wait_well(cluster.nodes[1])
    with contextlib.closing(EtcdServers(tmp_path / "another")) as another:
        refused = rebuild(cluster, "--yes", servers=[1], etcd=another, status=1)
    assert "node 1 is not to be seen in this etcd" in refused.stdout
    assert "nothing was done" in refused.stderr
    assert all(p["epoch"] < 1000 for p in wait_well(cluster.nodes[1]).values())


# --- cut short ---

class HeldPledges:
    """A node's interface, at another address, where one kind of request is never answered, or is
    refused: pledges of `partition`."""

    def __init__(self, server, partition=0, refuse=False):
        asked = self.asked = threading.Event()
        self._ended = ended = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.pass_on(None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith(f"/partitions/{partition}/pledge"):
                    asked.set()
                    if refuse:
                        return self.answer(503, "application/json", b'{"detail": "not now"}')
                    ended.wait(60)
                    return
                self.pass_on(json.loads(body))

            def pass_on(self, body):
                got = server.client().request(self.command, self.path, body)
                self.answer(got.status, got.headers["content-type"], got.body)

            def answer(self, status, content, body):
                self.send_response(status)
                self.send_header("Content-Type", content)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever).start()

    def close(self):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


def cut_short(cluster, node, *arguments, partition=0):
    """A rebuild whose process ends when it asks this node to pledge itself for that partition."""
    with contextlib.closing(HeldPledges(cluster.nodes[node], partition)) as held:
        process = subprocess.Popen(
            [KEELSON, "cluster", "rebuild-records", "--cluster", "test", "--yes",
             "--etcd", cluster.etcd.urls, "--server", held.url, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert held.asked.wait(30), "nobody was asked"
        process.kill()
        process.wait()


def test_a_rebuild_that_was_cut_short_holds_nobody_up_and_is_run_again(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    replicas = wait_well(cluster.nodes[1])[0]["replicas"]
    leader = cluster.leader()
    first, second = (node for node in replicas if node != leader)
    cluster.etcd.wipe()
    wait_seen(cluster)

    # One is fenced, and the others go on.
    cut_short(cluster, second)
    deposit(client, 20, "with-one-fenced")
    seen = partitions_of(cluster.nodes[leader])[0]
    assert seen["led"] and seen["leader"] == leader
    assert [p for p in seen["problems"] if f"node {first} obeys nobody before epoch" in p
            and "rebuild-records --repair" in p], seen["problems"]
    fenced = cluster.nodes[first].client()
    sent = fenced.request("POST", "/v1/aggregates/account/a/deposit", {"amount": 1},
                          {"Idempotency-Key": "with-one-fenced-0"})
    assert sent.status == 307 and f":{cluster.nodes[leader].port}/" in sent.headers["location"]
    assert (b'keelson_replica_pledged{topic="bank",partition="0"} 1\n'
            in fenced.request("GET", "/metrics").body)

    # Two are, and nobody can be elected.
    cut_short(cluster, leader)
    deadline = time.monotonic() + 10
    while "no leader" not in (seen := partitions_of(cluster.nodes[leader])[0])["problems"]:
        assert time.monotonic() < deadline, seen
    assert sum("obeys nobody before epoch" in p for p in seen["problems"]) == 2, seen["problems"]

    made = rebuild(cluster, "--yes", servers=[leader])
    assert "records made anew" in made.stdout and "DOUBT" not in made.stdout
    wait_well(cluster.nodes[1])
    cluster.nodes[cluster.leader()].kill()
    deposit(client, 5, "after")
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == 25


def test_a_rebuild_that_can_fence_too_few_leaves_the_leader_alone(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    leader = cluster.leader()
    cluster.etcd.wipe()
    wait_seen(cluster)
    with contextlib.ExitStack() as ending:
        held = [ending.enter_context(contextlib.closing(HeldPledges(server, refuse=True)))
                for node, server in cluster.nodes.items() if node != leader]
        done = rebuild(cluster, "--yes", *[a for h in held for a in ("--server", h.url)],
                       servers=[leader], status=1)
        assert all(h.asked.is_set() for h in held)
    assert done.stdout.count("was not fenced: ") == 2
    assert "no majority could be fenced" in done.stderr
    deposit(client, 5, "after")
    seen = partitions_of(cluster.nodes[leader])[0]
    assert seen["led"] and seen["epoch"] < 1000, seen
    rebuild(cluster, "--yes", servers=[leader])
    assert wait_well(cluster.nodes[1])[0]["epoch"] > 1000


def test_a_rebuild_that_was_cut_short_between_partitions_is_gone_on_with(start_cluster):
    cluster = start_cluster(partitions=2)
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    cluster.etcd.wipe()
    wait_seen(cluster)
    cut_short(cluster, cluster.leader(1), partition=1)
    deadline = time.monotonic() + 10
    while (seen := partitions_of(cluster.nodes[1]))[0]["epoch"] < 1000:
        assert time.monotonic() < deadline, seen
    assert seen[1]["epoch"] < 1000
    refused = rebuild(cluster, "--yes", servers=[1], status=1)
    assert "etcd has records of cluster test" in refused.stderr
    made = rebuild(cluster, "--yes", "--repair", servers=[1])
    assert "bank 0: as it was last known" in made.stdout and "DOUBT" not in made.stdout
    assert all(p["epoch"] > 1000 for p in wait_well(cluster.nodes[2]).values())
    deposit(client, 25, "after")
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == 25


# --- gone back ---

def test_records_that_went_back_are_repaired(start_cluster, transactions):
    cluster = start_cluster()
    some = transactions.first(6000)
    wait_well(cluster.nodes[1])
    cluster.etcd.save("backup")
    load = Load(None, some, connect=cluster.client).start()
    for _ in range(2):  # the leader changes, and with it the record
        wait_well(cluster.nodes[1])
        leader = cluster.leader()
        cluster.nodes[leader].kill()
        time.sleep(2)
        cluster.nodes[leader].restart()
    time.sleep(7)  # until the preferred one has the lead again
    cluster.etcd.restore("backup")
    acknowledged = len(load.acknowledged)
    time.sleep(2)
    assert len(load.acknowledged) > acknowledged or not load.is_running(), "leaders do not go on"

    # The leader dies: nobody takes its place by a record of before, and who tries halts.
    leader = cluster.leader()
    cluster.nodes[leader].kill()
    deadline = time.monotonic() + 20
    others = [node for node in cluster.nodes if node != leader]
    while not any("halted" in r for node in others for r in replicas_of(cluster.nodes[node])):
        assert time.monotonic() < deadline, "nobody notices"
        time.sleep(0.2)

    refused = rebuild(cluster, "--yes", servers=[others[0]], status=1)
    assert "etcd has records of cluster test" in refused.stderr
    made = rebuild(cluster, "--yes", "--repair", servers=others)
    assert "records made anew" in made.stdout and "DOUBT" not in made.stdout
    cluster.nodes[leader].restart()
    wait_well(cluster.nodes[1])
    assert_all_there(cluster, load, some)


def test_leaders_go_on_when_the_records_are_of_before_the_nodes_had_moved(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    cluster.etcd.save("backup")
    for node in cluster.nodes:  # one after the other, to other addresses
        wait_well(cluster.nodes[node])
        cluster.nodes[node].signal_stop()
        assert cluster.nodes[node].wait() == 0
        cluster.move_to_another_port(node)
        cluster.nodes[node].restart()
    wait_well(cluster.nodes[1])
    time.sleep(7)  # until the preferred one has the lead again
    before = wait_well(cluster.nodes[1])[0]
    leader = cluster.leader()
    cluster.etcd.restore("backup")
    client = cluster.client()
    until = time.monotonic() + 8  # the signs of life in the backup are gone by then
    count = 0
    while time.monotonic() < until:
        deposit(client, 1, f"after-{count}")
        count += 1
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == count
    seen = partitions_of(cluster.nodes[leader])[0]
    assert (seen["led"], seen["leader"], seen["epoch"]) == (True, leader, before["epoch"]), seen
    for server in cluster.nodes.values():
        assert not any("halted" in replica for replica in replicas_of(server))
    wait_seen(cluster)
    rebuild(cluster, "--yes", "--repair", servers=[leader])
    assert wait_well(cluster.nodes[1])[0]["epoch"] > 1000


# --- the right one again ---

def wait_logged(cluster, nodes, words):
    """By one of them: when it has halted, another asks nobody any more."""
    deadline = time.monotonic() + 30
    while not any(words in cluster.nodes[node].log() for node in nodes):
        assert time.monotonic() < deadline, words
        time.sleep(0.1)


def assert_well_without_a_rebuild(cluster, died, count):
    cluster.nodes[died].restart()
    assert wait_well(cluster.nodes[1])[0]["epoch"] < 1000
    for server in cluster.nodes.values():
        assert not any("halted" in replica for replica in replicas_of(server))
    client = cluster.client()
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == count
    for node, server in cluster.nodes.items():
        deadline = time.monotonic() + 20
        while (made := server.client().request("PUT", f"/v1/topics/of-{node}", {})).status == 503:
            assert time.monotonic() < deadline, made.body
        assert made.status in (200, 201), made.body


def test_an_empty_etcd_for_a_while_is_got_over(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    time.sleep(6)  # until the preferred one has the lead
    wait_well(cluster.nodes[1])
    cluster.etcd.save("right")
    cluster.etcd.wipe()
    wait_seen(cluster)
    leader = cluster.leader()
    cluster.nodes[leader].kill()
    others = [node for node in cluster.nodes if node != leader]
    wait_logged(cluster, others, "the coordinator has lost the record")
    cluster.etcd.restore("right")
    deposit(client, 5, "after")
    assert_well_without_a_rebuild(cluster, leader, 5)


def test_an_old_etcd_for_a_while_is_got_over(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    cluster.etcd.save("old")
    first = cluster.leader()
    cluster.nodes[first].kill()
    deposit(client, 1, "before")
    cluster.nodes[first].restart()
    wait_well(cluster.nodes[1])
    time.sleep(7)  # until the preferred one has the lead again
    wait_well(cluster.nodes[1])
    cluster.etcd.save("right")
    cluster.etcd.restore("old")
    leader = cluster.leader()
    cluster.nodes[leader].kill()
    others = [node for node in cluster.nodes if node != leader]
    wait_logged(cluster, others, "the replica halts")
    cluster.etcd.restore("right")
    deposit(client, 4, "after")
    assert_well_without_a_rebuild(cluster, leader, 5)


def replicas_of(server):
    cluster = json.loads(server.client().get("/v1/cluster").body)
    return [p["replica"] for t in cluster["topics"] for p in t["partitions"] if "replica" in p]
