"""One data folder, two processes: a copy of it, or the folder of which there is a copy."""

import signal
import time

from bank_server import assert_no_sanitizer_report
from cluster_checks import assert_all_there
from load import Load

COPY = "is a copy, or there is one that has been used"


def wait_end(server, lines):
    """Until the process has ended by itself; it has said why in one line."""
    status = server.wait(60)
    log = server.log()
    assert_no_sanitizer_report(log)
    assert status not in (0, -signal.SIGSEGV, -signal.SIGABRT), (status, log)
    said = [line for line in log.splitlines() if lines in line]
    assert said, log
    return said


def test_of_a_stopped_node_and_its_copy_one_runs(start_cluster, transactions, dice):
    cluster = start_cluster()
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    for copy_first in (False, True):
        node = dice.choice([1, 2, 3])
        original = cluster.nodes[node]
        assert original.stop() == 0
        copy = cluster.copy_of(node)
        time.sleep(dice.uniform(0, 1))
        first, second = (copy, original) if copy_first else (original, copy)
        cluster.nodes[node] = first
        first.start()
        # A node that stops is gone at once: nobody waits for its last sign of life to run out.
        assert "a sign of life from elsewhere" not in first.log()
        second.start_without_waiting()
        wait_end(second, COPY)
        # Nor once the first one has been killed.
        first.kill()
        second.start_without_waiting()
        wait_end(second, COPY)
        first.start()
    assert_all_there(cluster, load, some)


def test_a_copy_of_a_node_that_runs_is_refused(start_cluster, transactions, dice):
    cluster = start_cluster()
    some = transactions.first(2000)
    load = Load(None, some, connect=cluster.client).start()
    time.sleep(dice.uniform(0.5, 1))
    for node in (cluster.leader(), dice.choice([1, 2, 3])):
        original = cluster.nodes[node]
        original.send_signal(signal.SIGSTOP)
        copy = cluster.copy_of(node)
        original.send_signal(signal.SIGCONT)
        copy.start_without_waiting()
        wait_end(copy, f"node {node} runs already at 127.0.0.1:")
        assert original.is_alive()
    assert_all_there(cluster, load, some)


def test_a_node_that_slept_while_its_copy_took_over_ends_when_it_wakes(start_cluster, transactions):
    """A machine that was thought dead, and whose disk another one was given."""
    cluster = start_cluster()
    some = transactions.first(2000)
    load = Load(None, some, connect=cluster.client).start()
    time.sleep(1)
    node = cluster.leader()
    original = cluster.nodes[node]
    original.send_signal(signal.SIGSTOP)
    cluster.nodes[node] = cluster.copy_of(node)
    cluster.nodes[node].start()
    original.send_signal(signal.SIGCONT)
    said = wait_end(original, "which must take part no more")
    assert f"another process has started as node {node} with this data folder" in said[-1]
    assert_all_there(cluster, load, some)


def test_a_node_that_was_killed_starts_again_without_waiting_for_itself(start_cluster):
    cluster = start_cluster()
    for server in cluster.nodes.values():
        server.kill()
    cluster.start()
    for server in cluster.nodes.values():
        assert "waits until there is none" not in server.log()
