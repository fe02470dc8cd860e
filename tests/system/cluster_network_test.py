"""Nodes of a cluster that cannot hear each other, or one way only."""

import contextlib
import time

import pytest
from cluster_checks import assert_all_there
from load import Load
from node_networks import NodeNetworks


@pytest.fixture
def networks():
    """Asked for before `start_cluster`, so that nodes end before it."""
    why_not = NodeNetworks.why_not()
    if why_not:
        pytest.skip(why_not)
    with contextlib.closing(NodeNetworks([1, 2, 3])) as made:
        yield made


@pytest.fixture
def cluster(networks, start_cluster):
    return start_cluster(networks=networks, etcd_nodes=3, arguments=["--insecure"])


def others(node):
    return [other for other in (1, 2, 3) if other != node]


def test_a_leader_that_nobody_hears_is_replaced(cluster, transactions, dice):
    """It hears the others, clients and etcd, and they hear it, but for its words to the nodes."""
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    for _ in range(3):
        time.sleep(dice.uniform(0.5, 1))
        leader = cluster.leader()
        cluster.networks.cut(leader, others(leader))
        acknowledged = len(load.acknowledged)
        deadline = time.monotonic() + 30
        while len(load.acknowledged) <= acknowledged + 50 and load.is_running():
            assert time.monotonic() < deadline, "nobody leads in its place"
            time.sleep(0.05)
        cluster.networks.heal(leader, others(leader))
    assert_all_there(cluster, load, some)


def test_whoever_is_cut_off_loses_and_doubles_nothing(cluster, transactions, dice):
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    for _ in range(6):
        time.sleep(dice.uniform(0.2, 1))
        node = dice.choice([1, 2, 3])
        deaf = [(node, others(node))] if dice.random() < 0.5 else []
        dumb = [(other, [node]) for other in others(node) if dice.random() < 0.7]
        for cut_off, from_whom in deaf + dumb:
            cluster.networks.cut(cut_off, from_whom)
        time.sleep(dice.uniform(0.5, 4))
        for cut_off, from_whom in deaf + dumb:
            cluster.networks.heal(cut_off, from_whom)
    assert_all_there(cluster, load, some)
