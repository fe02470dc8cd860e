"""kill -9 at random moments: what was acknowledged is there, once, and the end is the same."""

import json
import time

from load import BulkLoad, Load, assert_log_holds, run_load


def killed_while_loading(server, load, dice, times):
    """Kills the server, and yields, so many times. Each kill has a share of the load for itself and
    comes at a random place in the first half of that: the load goes no further before the next
    kill, so that the last one meets it as well, however fast it is and however long checks take."""
    share = load.count // (times + 1)
    for n in range(times):
        load.allow((n + 1) * share)
        load.wait_acknowledged(n * share + dice.randint(1, share // 2))
        server.kill()
        assert len(load.acknowledged) < (n + 1) * share, "the load was too short"
        yield
    load.allow(load.count)


def wait_until(is_so, what, timeout=120):
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def test_killed_again_and_again_while_loading(start_bank, transactions, dice, is_long):
    kills = 20 if is_long else 4
    some = transactions if is_long else transactions.first(6000)
    server = start_bank(partitions=4)
    load = Load(server.port, some).start()
    for _ in killed_while_loading(server, load, dice, kills):
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
    topic = server.folder / "data/log/topics/bulk"
    for _ in killed_while_loading(server, load, dice, 15 if is_long else 3):
        assert bulk.is_running()
        made = len(list(topic.glob("*/*.seg")))
        acknowledged, acknowledged_bulk = dict(load.acknowledged), dict(bulk.acknowledged)
        server.restart()
        assert_log_holds(server.client(), acknowledged)
        assert_log_holds(server.client(), acknowledged_bulk, "bulk")
    assert_log_holds(server.client(), bulk.stop(), "bulk")
    assert_log_holds(server.client(), load.join())
    assert made > 6, "few segments were made before the last kill"
    server.stop()
    verified = server.verify("--json")
    assert verified.returncode == 0, verified.stdout
    server.restart()
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == some.balances()


def test_bank_import_outlives_the_server(start_bank, transactions, dice, is_long):
    server = start_bank()
    rows = len(transactions.rows)
    process = server.start_import(transactions.file)
    for done in sorted(dice.randint(1, rows * 2 // 3) for _ in range(20 if is_long else 2)):
        client = server.client()
        wait_until(lambda: sum(client.ends().values()) >= done, f"{done} events are not imported")
        server.kill()
        assert process.poll() is None, "the import was too short"
        server.restart()
    output, _ = process.communicate(timeout=300)
    report = json.loads(output)
    assert process.returncode == 0, report
    assert report["rows"] == report["balances_met"] == rows
    assert sum(server.client().ends().values()) == rows + len(transactions.accounts)
    server.wait_applied()
    total = server.client().query("bank", "SELECT sum(balance) FROM balances")["rows"]
    assert total == [[transactions.total()]]


def seconds_to_listen(server):
    """From having its folder to being open for clients, of a start."""
    before = server.times_listened()
    wait_until(server.holds_folder, "the server does not start")
    started = time.monotonic()
    wait_until(lambda: server.times_listened() > before, "the server does not listen")
    return time.monotonic() - started


def test_killed_while_starting(start_bank, transactions, dice, is_long):
    """A start that is itself cut off leaves nothing behind that the next one trips over."""
    server = start_bank(partitions=4)
    acknowledged = run_load(server.port, transactions.first(1000))
    events = server.client().all_events()
    server.kill()
    server.start_without_waiting()
    took = seconds_to_listen(server)
    met, starts = 0, 0
    while met < (30 if is_long else 6):
        assert starts < 300, f"{met} of {starts} kills met a start"
        server.kill()
        starts += 1
        before = server.times_listened()
        server.start_without_waiting()
        wait_until(server.holds_folder, "the server does not start")
        time.sleep(dice.uniform(0, took))
        assert server.is_alive(), server.log()
        server.kill()
        met += server.times_listened() == before
    server.restart()
    assert_log_holds(server.client(), acknowledged)
    assert server.client().all_events() == events
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == transactions.first(1000).balances()
