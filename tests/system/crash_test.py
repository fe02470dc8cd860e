"""kill -9 at random moments: what was acknowledged is there, once, and the end is the same."""

import json
import time

from load import BulkLoad, Load, assert_log_holds, run_load


def test_killed_again_and_again_while_loading(start_bank, transactions, dice, is_long):
    kills = 20 if is_long else 4
    some = transactions if is_long else transactions.first(6000)
    server = start_bank(partitions=4)
    load = Load(server.port, some).start()
    for _ in range(kills):
        time.sleep(dice.uniform(0.05, 1.0))
        server.kill()
        acknowledged = dict(load.acknowledged)
        server.restart()
        assert_log_holds(server.client(), acknowledged)
    acknowledged = load.join(timeout=600)

    events = assert_log_holds(server.client(), acknowledged)
    assert len(events) == len(some.rows) + len(some.accounts), "something happened twice or never"
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == some.balances()

    again = run_load(server.port, some)
    assert {k: a.answer for k, a in again.items()} == {k: a.answer for k, a in acknowledged.items()}
    assert server.client().all_events() == events


def test_killed_while_segments_are_made_and_sealed(start_bank, transactions, dice, is_long):
    """Each holds some fifty events, so that a kill meets one being made, filled or sealed."""
    some = transactions.first(30_000 if is_long else 4000)
    server = start_bank(partitions=2, segment_bytes=1 << 20)
    made = server.client().request("PUT", "/v1/topics/bulk", {"partitions": 2,
                                                              "segment_bytes": 1 << 20})
    assert made.status == 201
    bulk = BulkLoad(server.port, "bulk", 20_000, threads=4).start()
    load = Load(server.port, some).start()
    for _ in range(15 if is_long else 3):
        time.sleep(dice.uniform(0.1, 0.5))
        server.kill()
        acknowledged, acknowledged_bulk = dict(load.acknowledged), dict(bulk.acknowledged)
        server.restart()
        assert_log_holds(server.client(), acknowledged)
        assert_log_holds(server.client(), acknowledged_bulk, "bulk")
    assert_log_holds(server.client(), bulk.stop(), "bulk")
    assert_log_holds(server.client(), load.join())
    topic = server.folder / "data/log/topics/bulk"
    assert len(list(topic.glob("*/*.seg"))) > 6
    server.stop()
    verified = server.verify("--json")
    assert verified.returncode == 0, verified.stdout
    server.restart()
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == some.balances()


def test_bank_import_outlives_the_server(start_bank, transactions, dice, is_long):
    server = start_bank()
    process = server.start_import(transactions.file)
    for _ in range(20 if is_long else 2):
        time.sleep(dice.uniform(0.05, 0.7))
        if process.poll() is not None:
            break
        server.kill()
        server.restart()
    output, _ = process.communicate(timeout=300)
    report = json.loads(output)
    assert process.returncode == 0, report
    rows = len(transactions.rows)
    assert report["rows"] == report["balances_met"] == rows
    assert sum(server.client().ends().values()) == rows + len(transactions.accounts)
    server.wait_applied()
    total = server.client().query("bank", "SELECT sum(balance) FROM balances")["rows"]
    assert total == [[transactions.total()]]


def test_killed_while_starting(start_bank, transactions, dice, is_long):
    """A start that is itself cut off leaves nothing behind that the next one trips over."""
    server = start_bank(partitions=4)
    acknowledged = run_load(server.port, transactions.first(1000))
    events = server.client().all_events()
    for _ in range(30 if is_long else 6):
        server.kill()
        server.start_without_waiting()
        time.sleep(dice.uniform(0, 0.08))
    server.kill()
    server.restart()
    assert_log_holds(server.client(), acknowledged)
    assert server.client().all_events() == events
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == transactions.first(1000).balances()
