"""What an operator of a cluster sees and does: `keelson cluster` against real nodes and a real
etcd."""

import contextlib
import json
import subprocess
import time

from bank_server import KEELSON, BankServer, free_port
from cluster_admin import OPEN, deposit, partitions_of, run, wait_well
from http_client import CONNECTION_ERRORS, Client, command_until_done


def test_partitions_are_seen_moved_led_and_drained(start_cluster):
    cluster = start_cluster(nodes=4, partitions=4)
    first = cluster.nodes[1]
    partitions = wait_well(first)
    assert sorted(partitions) == [0, 1, 2, 3]
    table = run(first, "status").stdout
    assert "cluster test, as node 1 sees it" in table
    assert "Every partition has its leader and all of its replicas." in table
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    deposit(client, 20, "before")

    # Away from one node, to the one that it was not on.
    before = partitions[0]
    outside = next(n for n in cluster.nodes if n not in before["replicas"])
    target = [outside, *before["replicas"][1:]]
    moved = run(first, "move", "bank", 0, ",".join(map(str, target)))
    assert f"bank 0: on {','.join(map(str, target))}" in moved.stdout
    after = wait_well(first)[0]
    assert after["replicas"] == target and after["old_replicas"] == []
    assert after["epoch"] > before["epoch"]

    # Nobody lets go of the lead who was told to have it.
    wanted = target[2]
    run(first, "lead", "bank", 0, wanted)
    after = wait_well(first)[0]
    assert after["leader"] == wanted and after["replicas"][0] == wanted
    deposit(client, 5, "between")

    # A node that is to go has nothing left, and its process may end.
    run(first, "drain", 2)
    after = wait_well(first)
    assert all(2 not in p["replicas"] for p in after.values()), after
    assert all(len(p["replicas"]) == 3 for p in after.values()), after
    assert cluster.nodes[2].stop() == 0
    deposit(client, 5, "after")
    state = command_until_done(client, "account", "a", "deposit", {"amount": 1}, "last").json()
    assert state["version"] == 32
    again = command_until_done(client, "account", "a", "deposit", {"amount": 1}, "before-7")
    assert again.replayed


def test_a_wiped_node_is_seen_and_given_its_place_again(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    deposit(client, 10, "d")
    wait_well(cluster.nodes[1])
    wiped = 3
    cluster.replace_disk(wiped)
    deadline = time.monotonic() + 30
    while partitions_of(cluster.nodes[1])[0]["problems"] != [f"node {wiped} has a new data folder"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while "NEW DATA FOLDER" not in run(cluster.nodes[1], "status").stdout:  # before it answers
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run(cluster.nodes[1], "move", "bank", 0, "1,2,3")
    wait_well(cluster.nodes[1])
    # It counts: one of the others may go.
    other = next(n for n in (1, 2) if n != cluster.leader())
    cluster.nodes[other].kill()
    deposit(client, 5, "after")


def test_a_node_says_that_it_cannot_be_read_and_how_its_replicas_are(start_cluster):
    cluster = start_cluster()
    wait_well(cluster.nodes[1])
    leader = cluster.leader()
    for node, server in cluster.nodes.items():
        assert server.client().get_json("/readyz") == {"status": "ready"}
        metrics = server.client().get("/metrics").body.decode()
        leads = 1 if node == leader else 0
        assert f'keelson_replica_leader{{partition="0",topic="bank"}} {leads}' in metrics or \
            f'keelson_replica_leader{{topic="bank",partition="0"}} {leads}' in metrics
        assert ("keelson_replica_lag_batches{" in metrics) == (node == leader)
        assert "keelson_replica_halted{" in metrics
    for server in cluster.nodes.values():
        server.kill()
    # Alone it meets no leader, and shows nothing.
    alone = cluster.nodes[1]
    alone.start_without_waiting()
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(*CONNECTION_ERRORS):
            answer = alone.client(timeout=2).get("/readyz")
            if answer.status == 200 and answer.json().get("unreadable") == 1:
                assert answer.json()["status"] == "degraded"
                break
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_of_three_leads_by_force_when_two_are_gone_for_good(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    deposit(client, 10, "d")
    wait_well(cluster.nodes[1])
    survivor = cluster.nodes[1]
    # Not while a majority is there.
    refused = run(survivor, "force-leader", "bank", 0, 1, "--yes", status=1)
    assert "a majority of the replicas is connected" in refused.stderr
    assert "Whatever was acknowledged" in refused.stdout
    # Nor without being asked.
    assert "--yes" in run(survivor, "force-leader", "bank", 0, 1, status=2).stderr
    record = partitions_of(survivor)[0]
    for body, status in [({"epoch": record["epoch"]}, 400),
                         ({"confirm": "data may be lost"}, 400),
                         ({"confirm": "data may be lost", "epoch": record["epoch"] + 7}, 409),
                         ({"confirm": "data may be lost", "epoch": record["epoch"]}, 400)]:
        path = "/v1/cluster/topics/bank/partitions/0/force"
        assert survivor.client().request("POST", path, body).status == status, body
    for node in (2, 3):
        cluster.nodes[node].kill()
    deadline = time.monotonic() + 30
    while partitions_of(survivor)[0]["led"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert survivor.client().command("account", "a", "deposit", {"amount": 1}, "no").status != 200
    table = run(survivor, "status").stdout
    assert "NONE" in table and "no leader" in table
    forced = run(survivor, "force-leader", "bank", 0, 1, "--yes")
    assert "node 1 leads alone" in forced.stdout
    after = partitions_of(survivor)[0]
    assert after["replicas"] == [1] and after["epoch"] > record["epoch"]
    alone = Client(survivor.port)
    assert alone.command("account", "a", "deposit", {"amount": 1}, "yes").status == 200
    assert alone.command("account", "a", "deposit", {"amount": 1}, "d-3").replayed
    alone.close()
    # One that was given up comes back, obeys, and can be made a replica again.
    cluster.nodes[2].start_without_waiting()
    deadline = time.monotonic() + 30
    while '"GONE"' in run(survivor, "status", "--json").stdout or not json.loads(
            run(survivor, "status", "--json").stdout)["nodes"][1]["alive"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run(survivor, "move", "bank", 0, "1,2")
    after = wait_well_of(survivor, [1, 2])
    assert after["replicas"] == [1, 2]


def test_what_force_loses_is_kept_where_it_was(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    # One is away while the others go on, and is all that is left of them for a while.
    survivor = cluster.nodes[1]
    survivor.kill()
    deposit(client, 5, "lost")
    for node in (2, 3):
        cluster.nodes[node].kill()
    survivor.start_without_waiting()
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(*CONNECTION_ERRORS, AssertionError):
            if not partitions_of(survivor)[0]["led"]:
                break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run(survivor, "force-leader", "bank", 0, 1, "--yes")
    alone = Client(survivor.port)
    first = command_until_done(alone, "account", "a", "deposit", {"amount": 7}, "new")
    assert first.json()["version"] == 2
    alone.close()
    back = cluster.nodes[2]
    back.start_without_waiting()
    while not json.loads(run(survivor, "status", "--json").stdout)["nodes"][1]["alive"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run(survivor, "move", "bank", 0, "1,2")
    wait_well_of(survivor, [1, 2])
    assert "have been cut; kept in" in back.log()
    place = ("--topic", "bank", "--partition", 0)
    cuts = back.inspect(*place, "--cuts")["cuts"]
    lost = []
    for cut in cuts:
        batches = back.inspect(*place, "--cut", cut["cut"], "--batches", 0)["batches"]
        offset = cut["first_offset"]
        for _ in range(sum(batch["events"] for batch in batches)):
            lost.append(back.inspect(*place, "--cut", cut["cut"], "--event", offset))
            offset += 1
    assert [event["command_id"] for event in lost] == [f"lost-{i}" for i in range(5)], lost
    assert [event["version"] for event in lost] == [2, 3, 4, 5, 6]
    assert lost[0]["stream"] == "account-a" and lost[0]["data"]["amount"] == 1
    table = subprocess.run([KEELSON, "inspect", "--data", back.folder / "data", "--topic", "bank",
                            "--cuts"], capture_output=True, text=True, timeout=60)
    assert cuts[0]["file"] in table.stdout


def wait_well_of(server, replicas, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        partition = partitions_of(server)[0]
        if partition["replicas"] == replicas and not partition["problems"]:
            return partition
        assert time.monotonic() < deadline, partition
        time.sleep(0.1)


def test_what_is_wrong_is_said_in_one_line(start_cluster):
    cluster = start_cluster()
    first = cluster.nodes[1]
    wait_well(first)
    for arguments, status in [(["move", "bank", 0, "1,x"], 2), (["move", "bank"], 2), ([], 2),
                              (["status", "--token", "/nowhere"], 2),
                              (["move", "bank", 0, "1,2,9"], 1), (["move", "bank", 0, "1,1"], 1),
                              (["move", "bank", 7, "1,2,3"], 1), (["lead", "bank", 0, 9], 1),
                              (["drain", 9], 1), (["drain", 1], 1)]:
        done = run(first, *arguments, status=status)
        assert done.stderr.startswith("keelson: ") and done.stderr.count("\n") == 1, done.stderr
    for url in ["127.0.0.1:1", "http://127.0.0.1:1/x", "http://:1", "ftp://127.0.0.1:1"]:
        done = subprocess.run([KEELSON, "cluster", "status", "--server", url],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    nobody = subprocess.run([KEELSON, "cluster", "status", "--server",
                             f"http://127.0.0.1:{free_port()}"],
                            capture_output=True, text=True, timeout=60)
    assert nobody.returncode == 1 and nobody.stderr.count("\n") == 1, nobody.stderr
    # By the API: problems, and the leader is named.
    leader = cluster.leader()
    follower = next(n for n in cluster.nodes if n != leader)
    path = "/v1/cluster/topics/bank/partitions/0/move"
    sent = cluster.nodes[follower].client().request("POST", path, {"replicas": [1, 2, 3]})
    assert sent.status == 307
    assert sent.headers["location"] == f"//127.0.0.1:{cluster.nodes[leader].port}{path}"
    at = cluster.nodes[leader].client()
    for body in [{}, {"replicas": []}, {"replicas": [1, 1]}, {"replicas": [1, 2, 9]},
                 {"replicas": [1, 2, 3], "x": 1}, {"replicas": "1"}, []]:
        assert at.request("POST", path, body).status == 400, body
    assert at.request("POST", path.replace("/0/", "/9/"), {"replicas": [1]}).status == 404
    assert at.request("POST", path, {"replicas": [1, 2, 3]}).status == 202


def test_a_bank_alone_has_no_cluster(start_bank):
    server = start_bank()
    assert server.client().get("/v1/cluster").status == 404
    assert server.client().get_json("/readyz") == {"status": "ready"}
    assert "keelson_replica" not in server.client().get("/metrics").body.decode()
    done = run(server, "status", status=1)
    assert done.stderr.count("\n") == 1


def test_nodes_are_asked_by_tls(tmp_path):
    """One that is alone will do: it says that it is in no cluster."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = BankServer(tmp_path / "bank", 1,
                        ["--tls-cert", str(certificate), "--tls-key", str(key)])
    server.start_without_waiting()

    def status(host, *arguments):
        done = subprocess.run([KEELSON, "cluster", "status", "--server",
                               f"https://{host}:{server.port}", *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    try:
        deadline = time.monotonic() + 30
        while "refused" in status("localhost", "--ca", certificate):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "of no cluster" in status("localhost", "--ca", certificate)
        assert "certificate verify failed" in status("localhost")
        assert "certificate verify failed" in status("127.0.0.1", "--ca", certificate)
    finally:
        server.close()
