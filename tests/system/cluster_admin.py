"""`keelson cluster` against real nodes, and an account to have something in the log."""

import json
import subprocess
import time

from bank_server import KEELSON, assert_no_sanitizer_report
from http_client import command_until_done

OPEN = {"owner": "Ada", "currency": "EUR", "overdraft_limit": 0}


def run(server, *arguments, status=0):
    """`keelson cluster …` against this node."""
    done = subprocess.run([KEELSON, "cluster", *map(str, arguments), "--server", server.url],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert_no_sanitizer_report(done.stderr)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def partitions_of(server):
    state = json.loads(run(server, "status", "--json").stdout)
    return {p["partition"]: p for p in state["partitions"]}


def wait_well(server, timeout=30):
    """Until nothing of any partition needs a look."""
    deadline = time.monotonic() + timeout
    while True:
        partitions = partitions_of(server)
        problems = [p["problems"] for p in partitions.values() if p["problems"]]
        if not problems:
            return partitions
        assert time.monotonic() < deadline, problems
        time.sleep(0.1)


def deposit(client, count, name):
    for i in range(count):
        command_until_done(client, "account", "a", "deposit", {"amount": 1}, f"{name}-{i}")
