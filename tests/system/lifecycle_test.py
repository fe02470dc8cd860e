"""Starting, stopping in the middle of things, and a folder that is taken."""

import subprocess
import threading
import time

from bank_server import BINARY, assert_no_sanitizer_report
from load import Load, assert_log_holds, run_load


def test_sigterm_in_the_middle_of_load_loses_nothing(start_bank, transactions, dice):
    server = start_bank(partitions=4)
    load = Load(server.port, transactions.first(5000), threads=16).start()
    for _ in range(3):
        time.sleep(dice.uniform(0.2, 0.8))
        server.signal_stop()
        assert server.wait(timeout=30) == 0, server.log()
        acknowledged = dict(load.acknowledged)
        server.restart()
        assert_log_holds(server.client(), acknowledged)
    assert_log_holds(server.client(), load.join())


def test_sigterm_answers_what_is_in_flight(start_bank):
    """A long poll is in flight as well: it ends with an answer, not with a cut connection."""
    server = start_bank()
    client = server.client()
    client.command("account", "a", "open", {"owner": "Ada", "currency": "EUR",
                                            "overdraft_limit": 0})
    answers = []
    poll = threading.Thread(target=lambda: answers.append(server.client().get(
        "/v1/topics/bank/partitions/0/events", **{"from": 1, "wait_ms": 20_000})))
    poll.start()
    time.sleep(0.3)  # the request is on its way; nothing tells a client more
    started = time.monotonic()
    assert server.stop() == 0
    poll.join()
    assert time.monotonic() - started < 15
    assert [a.status for a in answers] in ([200], [503]), answers


def test_a_folder_serves_one_process(start_bank):
    server = start_bank()
    second = subprocess.run(
        [BINARY, "serve", "--data", server.folder / "data", "--listen", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=30)
    assert second.returncode != 0 and "in use by another process" in second.stderr
    assert_no_sanitizer_report(second.stderr)
    assert server.client().get("/readyz").status == 200


def test_other_addresses_need_protection(tmp_path):
    refused = subprocess.run(
        [BINARY, "serve", "--data", tmp_path / "data", "--listen", "0.0.0.0:0"],
        capture_output=True, text=True, timeout=30)
    assert refused.returncode != 0 and "--insecure" in refused.stderr + refused.stdout
    assert_no_sanitizer_report(refused.stderr)


def test_read_models_are_rebuilt_when_deleted(start_bank, transactions):
    """Everything but the log can be deleted."""
    server = start_bank(partitions=4)
    some = transactions.first(1000)
    run_load(server.port, some)
    server.wait_applied()
    server.stop()
    models = list((server.folder / "data").rglob("*.db"))
    assert models
    for file in (server.folder / "data").rglob("*.db*"):
        file.unlink()
    server.restart()
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == some.balances()
