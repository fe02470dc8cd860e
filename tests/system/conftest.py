"""What the system tests share. Each test file runs on its own in ctest: `ctest -L system`."""

import contextlib
import os
import random

import pytest
from bank_server import BINARY, BankServer
from transactions import REAL_FILE, Transactions

LONG = os.environ.get("KEELSON_LONG") == "1"
SEED = int(os.environ.get("KEELSON_SEED", random.SystemRandom().randrange(1 << 32)))


def pytest_report_header():
    data = REAL_FILE if REAL_FILE.exists() else "generated"
    return f"bank: {BINARY}\ntransactions: {data}\nKEELSON_SEED={SEED}, long: {LONG}"


@pytest.fixture
def dice():
    """Random moments and choices, the same again with KEELSON_SEED set to what the header says."""
    return random.Random(SEED)


@pytest.fixture(scope="session")
def is_long():
    return LONG


@pytest.fixture(scope="session")
def transactions(tmp_path_factory):
    return Transactions.load(tmp_path_factory.mktemp("transactions"))


@pytest.fixture
def start_bank(tmp_path, request):
    """start_bank(partitions=…): a running server on a fresh folder; stopped after the test."""
    servers = []

    def start(partitions=1, arguments=(), folder=None):
        server = BankServer(folder or tmp_path / f"bank{len(servers)}", partitions, arguments)
        servers.append(server)
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


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True
