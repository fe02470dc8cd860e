"""Five banks that are one: partitions lie on some of the nodes, and transfers go between them."""

import contextlib
import signal
import subprocess
import time

from bank_server import KEELSON
from cluster_checks import (assert_all_there, assert_money_at_every_offset, assert_same_files,
                            wait_same)
from http_client import CONNECTION_ERRORS, Client
from load import Load, assert_events_hold
from transfers import (EACH, ENDED, OPEN, TransferLoad, check_events, check_money, open_accounts,
                       random_transfers, wait_until_ended)


def wait_spread(cluster, timeout=30):
    """Until each partition is led by the node that is to lead it: all of them by different ones."""
    deadline = time.monotonic() + timeout
    while True:
        leaders = [cluster.leader(p) for p in range(cluster.partitions)]
        if len(set(leaders)) == len(leaders):
            return leaders
        assert time.monotonic() < deadline, leaders
        time.sleep(0.2)


def assert_batch_says_who_leads(cluster, leaders):
    """A batch for partitions that different nodes lead: what is for others says for whom."""
    client = cluster.client()
    home = {account: client.get_json(f"/v1/aggregates/account/{account}/events")["events"][0][
        "partition"] for account in OPEN}
    outcomes = cluster.nodes[1].client().request("POST", "/v1/commands", [
        {"type": "account", "id": account, "command": "withdraw", "data": {"amount": 10**12},
         "key": "too much"} for account in OPEN]).json()
    for account, outcome in zip(OPEN, outcomes):
        leader = leaders[home[account]]
        if leader == 1:
            assert outcome["status"] == 409, outcome
        else:
            server = cluster.nodes[leader]
            assert outcome["status"] == 307 and outcome["leader"] == f"{server.host}:{server.port}"


def query(server, sql, partitions=None):
    path = "/v1/projections/bank/query"
    if partitions is not None:
        path += f"?partitions={partitions}"
    return server.client().request("POST", path, {"sql": sql})


def assert_asked_in_parts(cluster):
    """No node has all of the read model, and none answers as if it had."""
    server = cluster.nodes[1]
    sql = "SELECT account_id, balance FROM balances"
    for answer in [query(server, sql), server.client().get("/v1/projections/bank/tables/balances")]:
        assert answer.status == 400 and answer.json()["code"] == "not-on-one-node", answer.body
    parts = answer.json()["parts"]
    asked = [p for part in parts for p in part["partitions"].split(",")]
    assert sorted(asked) == [str(p) for p in range(cluster.partitions)]
    rows = []
    for part in parts:
        other = next(s for s in cluster.nodes.values() if f"{s.host}:{s.port}" == part["node"])
        told = query(other, sql, part["partitions"])
        assert told.status == 200, told.body
        rows += told.json()["rows"]
        assert {p.split(":")[0] for p in told.json()["at"].split(",")} <= set(
            part["partitions"].split(","))
    assert len(rows) == len(dict(rows)) >= len(OPEN)
    replicas = cluster.replicas()
    for partition, nodes in replicas.items():
        outside = next(n for n in cluster.nodes if n not in nodes)
        sent_on = query(cluster.nodes[outside], sql, partition)
        assert sent_on.status == 307, sent_on.body
        assert any(sent_on.json()["leader"].endswith(f":{cluster.nodes[n].port}") for n in nodes)
        assert sent_on.headers["location"].endswith(f"/query?partitions={partition}")
    return sum(balance for _, balance in rows)


def test_transfers_between_partitions_that_no_node_has_all_of(start_cluster, dice, is_long):
    cluster = start_cluster(nodes=5, partitions=5, replicas=3, spread=True)
    leaders = wait_spread(cluster)
    assert all(len(nodes) == 3 for nodes in cluster.replicas().values())
    client = cluster.client()
    open_accounts(client)
    assert_batch_says_who_leads(cluster, leaders)
    transfers = random_transfers(dice, 2000 if is_long else 250)
    load = TransferLoad(cluster.client, transfers)
    for round in range(12 if is_long else 3):
        time.sleep(dice.uniform(0.3, 1))
        server = cluster.nodes[cluster.leader(dice.randrange(5))]
        if round % 2 == 0:
            server.kill()
            time.sleep(dice.uniform(0.2, 1.5))
            server.restart()
        else:
            server.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(1.5, 2.5))
            server.send_signal(signal.SIGCONT)
    drained = subprocess.run([KEELSON, "cluster", "drain", "2", "--server", cluster.nodes[1].url],
                             capture_output=True, text=True, timeout=120)
    assert drained.returncode == 0, drained.stdout + drained.stderr
    assert all(2 not in nodes for nodes in cluster.replicas().values())
    acknowledged = load.finish(120)
    states = wait_until_ended(client, transfers)
    check_money(client, states, transfers)
    events = assert_events_hold(wait_same(cluster), acknowledged)
    check_events(events, states)
    for server in cluster.nodes.values():
        server.wait_applied()
    assert assert_asked_in_parts(cluster) == EACH * (len(OPEN) + 1)
    assert_money_at_every_offset(cluster, events)
    assert_same_files(cluster)


def test_two_of_five_are_killed_at_once_and_service_goes_on(start_cluster, transactions, dice):
    cluster = start_cluster(nodes=5, replicas=5)
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    time.sleep(1)
    leader = cluster.leader()
    dead = [leader, dice.choice([n for n in cluster.nodes if n != leader])]
    for node in dead:
        cluster.nodes[node].kill()
    acknowledged = len(load.acknowledged)
    deadline = time.monotonic() + 30
    while len(load.acknowledged) < acknowledged + 50 and load.is_running():
        assert time.monotonic() < deadline, "nothing is acknowledged any more"
        time.sleep(0.05)
    for node in dead:
        cluster.nodes[node].restart()
    assert_all_there(cluster, load, some)


def test_a_partition_without_a_majority_stalls_only_what_addresses_it(start_cluster):
    cluster = start_cluster(nodes=5, partitions=5, replicas=3, spread=True)
    wait_spread(cluster)
    client = cluster.client()
    open_accounts(client)
    home = {account: client.get_json(f"/v1/aggregates/account/{account}/events")["events"][0][
        "partition"] for account in OPEN}
    replicas = cluster.replicas()
    dead = replicas[home[OPEN[0]]][:2]
    without = {p for p, nodes in replicas.items() if len(set(nodes) - set(dead)) < 2}
    there = [a for a in OPEN if home[a] not in without]
    away = [a for a in OPEN if home[a] in without]
    assert len(there) >= 2 and away, (home, replicas)
    for node in dead:
        cluster.nodes[node].kill()
    for partition in replicas.keys() - without:
        cluster.leader(partition)

    def request(id, source, target):
        """Whether it was taken; the transfer itself may lie where nothing is."""
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            with contextlib.suppress(*CONNECTION_ERRORS):
                answer = client.command("transfer", id, "request", {
                    "from": source, "to": target, "amount": 1}, f"request-{id}")
                if answer.status == 200:
                    return True
            time.sleep(0.05)
        return False

    def some_of(name, pairs, wanted):
        """Transfers that were taken; from whom and to whom, by their id."""
        taken = {}
        for number, (source, target) in enumerate(pairs * 20):
            if len(taken) == wanted:
                return taken
            if request(f"{name}{number}", source, target):
                taken[f"{name}{number}"] = (source, target, 1)
        raise AssertionError(f"only {len(taken)} transfers {name} were taken")

    client.close()
    client = cluster.client(timeout=2)
    stalled = some_of("stalled", [(there[0], away[0]), (there[1], away[-1])], 6)
    going = some_of("going", list(zip(there, there[1:] + there[:1])), 6)
    assert all(s["status"] == "completed" for s in wait_until_ended(client, going, 30).values())
    for id in stalled:
        assert client.get_json(f"/v1/aggregates/transfer/{id}")["state"]["status"] == "requested"

    def delayed():
        """What reactions say that holds them up, at the nodes that run."""
        said = []
        for server in cluster.nodes.values():
            if not server.is_alive():
                continue
            reactions = Client(server.port).get_json("/v1/reactions")["reactions"]
            assert all(r["state"] in ("running", "delayed") for r in reactions), reactions
            said += [p["error"] for r in reactions for p in r["partitions"] if "error" in p]
        return said

    deadline = time.monotonic() + 30
    while not any("receive" in why for why in delayed()):
        assert time.monotonic() < deadline, delayed()
        time.sleep(0.1)
    for node in dead:
        cluster.nodes[node].restart()
    transfers = {**stalled, **going}
    states = wait_until_ended(client, transfers)
    assert all(state["status"] in ENDED for state in states.values())
    deadline = time.monotonic() + 30
    while delayed():
        assert time.monotonic() < deadline, delayed()
        time.sleep(0.1)
    check_events(wait_same(cluster), states)
    assert_same_files(cluster)
