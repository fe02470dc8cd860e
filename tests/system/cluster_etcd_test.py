"""A cluster whose etcd asks for certificates and passwords."""

import subprocess
import time

import pytest
from bank_server import BINARY, free_port
from cluster_admin import wait_well
from cluster_checks import assert_all_there
from etcd_security import EtcdSecurity
from load import Load


@pytest.fixture
def security(tmp_path):
    return EtcdSecurity(tmp_path / "certificates")


def test_a_cluster_on_an_etcd_with_certificates_and_passwords(start_cluster, security,
                                                              transactions):
    cluster = start_cluster(security=security)
    some = transactions.first(3000)
    load = Load(None, some, connect=cluster.client).start()
    time.sleep(3)  # the first tokens have run out
    cluster.nodes[cluster.leader()].kill()
    time.sleep(2)
    cluster.etcd.restart()  # and it has forgotten the others
    cluster.start_dead()
    time.sleep(1)
    leader = cluster.leader()
    cluster.nodes[leader].kill()
    time.sleep(3)
    cluster.nodes[leader].restart()
    wait_well(cluster.nodes[1])  # so all are seen alive
    assert_all_there(cluster, load, some)


@pytest.mark.parametrize("flag,value,words", [
    ("--etcd-password-file", "wrong", "authentication failed"),
    ("--etcd-password-file", "none", "cannot be read"),
    ("--etcd-user", None, "needed together"),
    ("--etcd-ca", "stranger.pem", "certificate verify failed"),
    ("--etcd-ca", "none", "--etcd-ca"),
    ("--etcd-cert", "password", "--etcd-cert"),
    ("--etcd-key", "etcd.key", "--etcd-key"),
    ("--etcd-cert", None, "needed together"),
])
def test_what_is_wrong_is_said_at_the_start_in_one_line(start_cluster, security, tmp_path, flag,
                                                        value, words):
    cluster = start_cluster(nodes=1, security=security)
    security.make_authority("stranger")
    security.write("wrong", "another password")
    given = security.node_arguments()
    at = given.index(flag)
    given[at:at + 2] = [] if value is None else [flag, str(security.folder / value)]
    done = subprocess.run(
        [BINARY, "serve", "--data", tmp_path / "other", "--listen", f"127.0.0.1:{free_port()}",
         "--cluster", "test", "--node-id", "2", "--etcd", cluster.etcd.urls,
         "--advertise", f"127.0.0.1:{free_port()}", *given],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode not in (0, -6, -11), done
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert len(lines) == 1 and words in lines[0], lines
