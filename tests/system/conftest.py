"""What the system tests share. Each test file runs on its own in ctest: `ctest -L system`."""

import contextlib
import os
import random

import pytest
from bank_cluster import BankCluster
from bank_server import BINARY, BankServer
from power_cut_disk import PowerCutDisk
from small_disk import SmallDisk
from transactions import REAL_FILE, Transactions

LONG = os.environ.get("KEELSON_LONG") == "1"
SEED = int(os.environ.get("KEELSON_SEED", random.SystemRandom().randrange(1 << 32)))


def pytest_report_header():
    data = REAL_FILE if REAL_FILE.exists() else "generated"
    return f"bank: {BINARY}\ntransactions: {data}\nKEELSON_SEED={SEED}, long: {LONG}"


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"the same random choices again: KEELSON_SEED={SEED}")


@pytest.fixture
def dice():
    """Random moments and choices, the same again with KEELSON_SEED set to what a failure prints."""
    return random.Random(SEED)


@pytest.fixture(scope="session")
def is_long():
    return LONG


@pytest.fixture(scope="session")
def transactions(tmp_path_factory):
    return Transactions.load(tmp_path_factory.mktemp("transactions"))


@pytest.fixture
def small_disk(tmp_path):
    """A disk that can be full. Asked for before `start_bank`, so that servers end before it."""
    with contextlib.closing(SmallDisk(tmp_path / "small-disk")) as disk:
        yield disk


@pytest.fixture
def power_cut_disk(tmp_path):
    """A disk whose power can be cut. Asked for before `start_bank`, as above."""
    with contextlib.closing(PowerCutDisk(tmp_path / "power-cut-disk")) as disk:
        yield disk


@pytest.fixture
def start_bank(tmp_path, request):
    """start_bank(partitions=…): a running server on a fresh folder; stopped after the test."""
    servers = []

    def start(partitions=1, arguments=(), folder=None, segment_bytes=None):
        folder = folder or tmp_path / f"bank{len(servers)}"
        log = tmp_path / f"bank{len(servers)}.log"  # not in the folder: its disk may be full
        server = BankServer(folder, partitions, arguments, log)
        servers.append(server)
        if segment_bytes is not None:
            server.make_topic(segment_bytes)
        return server.start()

    yield start

    def end(server):
        try:
            server.close()
        finally:
            if request.node.stash.get(FAILED, False):
                print(f"--- log of the server in {server.folder}\n{server.log()}")

    with contextlib.ExitStack() as ending:
        for server in servers:
            ending.callback(end, server)


@pytest.fixture
def start_cluster(tmp_path, request):
    """start_cluster(nodes=…): running nodes and their etcd; stopped after the test."""
    clusters = []

    def start(**options):
        cluster = BankCluster(tmp_path / f"cluster{len(clusters)}", **options)
        clusters.append(cluster)
        return cluster.start()

    yield start

    def end(cluster):
        try:
            cluster.close()
        finally:
            if request.node.stash.get(FAILED, False):
                print(cluster.logs())

    with contextlib.ExitStack() as ending:
        for cluster in clusters:
            ending.callback(end, cluster)


ALL_SKIPPED = 77  # ctest's SKIP_RETURN_CODE in CMakeLists.txt


def pytest_sessionfinish(session, exitstatus):
    """A file of which nothing could be run has not passed."""
    outcomes = session.config.pluginmanager.get_plugin("terminalreporter").stats
    if exitstatus == 0 and outcomes.get("skipped") and not outcomes.get("passed"):
        session.exitstatus = ALL_SKIPPED


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True
