"""Three banks that are one: nothing acknowledged is lost or doubled, whoever dies."""

import signal
import time
from collections import Counter

from cluster_checks import assert_all_there, assert_same_files, wait_same
from history import History, Recorder
from http_client import command_until_done
from load import Load, assert_log_holds
from subscriber import ResumingSubscriber
from transfers import (TransferLoad, check_events, check_money, open_accounts, random_transfers,
                       wait_until_ended)


def test_any_node_takes_a_command_and_every_node_shows_it(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open",
                       {"owner": "Ada", "currency": "EUR", "overdraft_limit": 0}, "open-a")
    for server in cluster.nodes.values():
        deadline = time.monotonic() + 30
        while server.client().get("/v1/aggregates/account/a").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        again = server.client().command("account", "a", "open", {
            "owner": "Ada", "currency": "EUR", "overdraft_limit": 0}, "open-a")
        assert again.status == 200 and again.replayed
    # A command that is new is sent to the leader.
    leader = cluster.leader()
    for node, server in cluster.nodes.items():
        answer = server.client().command("account", "a", "deposit", {"amount": 1}, f"d-{node}")
        if node == leader:
            assert answer.status == 200
        else:
            assert answer.status == 307 and answer.json()["code"] == "not-leader"
            assert answer.headers["location"] == (
                f"//127.0.0.1:{cluster.nodes[leader].port}/v1/aggregates/account/a/deposit")
            many = server.client().request("POST", "/v1/commands", [
                {"type": "account", "id": "a", "command": "deposit", "data": {"amount": 1},
                 "key": "many"}])
            assert many.status == 307 and many.headers["location"] == (
                f"//127.0.0.1:{cluster.nodes[leader].port}/v1/commands")


def test_the_leader_is_killed_under_load(start_cluster, transactions, dice):
    cluster = start_cluster()
    some = transactions.first(4000)
    load = Load(None, some, connect=cluster.client).start()
    for _ in range(3):
        time.sleep(dice.uniform(1, 2))
        leader = cluster.leader()
        cluster.nodes[leader].kill()
        time.sleep(dice.uniform(0.5, 3))
        cluster.nodes[leader].restart()
    assert_all_there(cluster, load, some)


def test_a_leader_that_sleeps_does_no_harm_when_it_wakes(start_cluster, transactions, dice):
    cluster = start_cluster()
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    for _ in range(3):
        time.sleep(dice.uniform(0.5, 1.5))
        server = cluster.nodes[cluster.leader()]
        server.send_signal(signal.SIGSTOP)
        time.sleep(dice.uniform(1.5, 4))
        server.send_signal(signal.SIGCONT)
    assert_all_there(cluster, load, some)


def test_all_nodes_are_killed_at_once(start_cluster, transactions, dice):
    cluster = start_cluster(etcd_nodes=3)
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    for _ in range(3):
        time.sleep(dice.uniform(0.5, 1.5))
        for server in cluster.nodes.values():
            server.kill()
        cluster.start()
    assert_all_there(cluster, load, some)


def test_without_etcd_commands_go_on_and_leaders_do_not_change(start_cluster, transactions):
    cluster = start_cluster(etcd_nodes=3)
    some = transactions.first(2000)
    load = Load(None, some, connect=cluster.client).start()
    time.sleep(1)
    cluster.etcd.kill(0)  # a majority of it is left
    time.sleep(1)
    leader = cluster.leader()
    cluster.nodes[leader].kill()
    time.sleep(2)
    cluster.nodes[leader].restart()
    for node in (1, 2):
        cluster.etcd.kill(node)
    acknowledged = len(load.acknowledged)
    time.sleep(5)  # over the time that a node's sign of life is good for
    assert len(load.acknowledged) > acknowledged or not load.is_running()
    for node in (0, 1, 2):
        cluster.etcd.start(node)
    assert_all_there(cluster, load, some)


def test_money_is_conserved_between_partitions_that_different_nodes_lead(start_cluster, dice):
    cluster = start_cluster(partitions=3, etcd_nodes=3)
    deadline = time.monotonic() + 30  # leaders go to where they are preferred
    while len({cluster.leader(p) for p in range(3)}) < 3:
        assert time.monotonic() < deadline, "one node leads more than one partition"
        time.sleep(0.1)
    answer = cluster.nodes[1].client().get("/v1/projections/bank/tables/balances",
                                           consistency="linearizable")
    assert answer.status == 400 and "different nodes lead" in answer.json()["detail"]
    client = cluster.client()
    open_accounts(client)
    transfers = random_transfers(dice, 200)
    load = TransferLoad(cluster.client, transfers)
    for _ in range(3):
        time.sleep(dice.uniform(0.5, 1.5))
        server = dice.choice(list(cluster.nodes.values()))
        server.kill()
        time.sleep(dice.uniform(0.2, 1.5))
        server.restart()
    acknowledged = load.finish(120)
    states = wait_until_ended(client, transfers)
    check_money(client, states, transfers)
    events = wait_same(cluster)
    assert_log_holds(cluster.nodes[1].client(), acknowledged)
    check_events(events, states)
    assert_same_files(cluster)


def test_retention_waits_for_a_node_that_is_away(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    made = client.request("PUT", "/v1/topics/r",
                          {"segment_bytes": 65536, "retention_bytes": 100000})
    assert made.status == 201, made.body
    leader = cluster.leader(topic="r")
    away = cluster.nodes[next(node for node in cluster.nodes if node != leader)]
    away.kill()
    for number in range(200):
        client.until_done("POST", "/v1/topics/r/streams/s",
                          [{"type": "t", "data": {"text": "x" * 10000}}],
                          {"Idempotency-Key": f"r-{number}"})

    def starts():
        """Where the log begins, at every node that runs."""
        return [server.client().get_json("/v1/topics/r")["partitions"][0]["start"]
                for server in cluster.nodes.values() if server.is_alive()]

    time.sleep(3)
    assert starts() == [0, 0]
    away.restart()
    deadline = time.monotonic() + 30
    while min(starts()) == 0:
        assert time.monotonic() < deadline, starts()
        # Retention is looked at after a batch.
        client.until_done("POST", "/v1/topics/r/streams/s", [{"type": "t", "data": {}}])
        time.sleep(0.1)
    assert away.client().get_json("/v1/topics/r")["partitions"][0]["end"] >= 200


def test_what_clients_see_is_one_log(start_cluster, dice):
    """Appends and linearizable reads of one stream, through deaths of leaders: as if there were one
    server that did one thing at a time."""
    cluster = start_cluster(etcd_nodes=3)
    made = cluster.client().request("PUT", "/v1/topics/h", {"replication_factor": 3})
    assert made.status == 201 and made.json()["replication_factor"] == 3, made.body
    history = History()
    recorders = [Recorder(cluster.client, history, name).start() for name in "abcdef"]
    for _ in range(4):
        time.sleep(dice.uniform(0.5, 2))
        server = cluster.nodes[cluster.leader(topic="h")]
        if dice.random() < 0.5:
            server.kill()
            time.sleep(dice.uniform(0.2, 1))
            server.restart()
        else:
            server.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(1, 3))
            server.send_signal(signal.SIGCONT)
    for recorder in recorders:
        recorder.stop()
    events = wait_same(cluster, topic="h")
    history.check(events)
    assert_same_files(cluster)
    assert history.appends > 100 and history.reads > 100


def test_a_subscriber_goes_on_at_other_nodes(start_cluster, transactions, dice):
    cluster = start_cluster(partitions=2)
    subscriber = ResumingSubscriber([server.port for server in cluster.nodes.values()], 2, dice,
                                    (20, 400))
    subscriber.start()
    some = transactions.first(2000)
    load = Load(None, some, connect=cluster.client).start()
    for node in dice.sample(sorted(cluster.nodes), 3):
        time.sleep(dice.uniform(0.3, 0.8))
        cluster.nodes[node].kill()
        time.sleep(dice.uniform(0.1, 0.5))
        cluster.nodes[node].restart()
    load.join(timeout=300)
    ends = Counter(event["partition"] for event in wait_same(cluster))
    subscriber.finish_at(ends)
    assert subscriber.next == ends and subscriber.connections > 3


def test_what_a_client_has_done_is_seen_at_any_node_that_is_asked_to_wait_for_it(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open",
                       {"owner": "Ada", "currency": "EUR", "overdraft_limit": 0}, "open-a")
    for number in range(1, 31):
        done = command_until_done(client, "account", "a", "deposit", {"amount": 1},
                                  f"d-{number}").json()
        written = f"{done['partition']}:{done['offset']}"
        for server in cluster.nodes.values():
            rows = server.client().get_json("/v1/projections/bank/tables/balances",
                                            account_id="a", min=written, wait_ms=5000)["rows"]
            assert rows[0]["balance"] == number
