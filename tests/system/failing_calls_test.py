"""The kernel says no, or takes its time: injected into the running server by strace."""

import re
import time
from collections import Counter

import pytest
from bank_server import SANITIZED
from load import TRANSIENT, BulkLoad, Load, assert_all_there, assert_log_holds
from strace import injected, needs_strace

MIB = 1 << 20
CANNOT_SYNC = 70  # exit status, and a line on stderr
REFUSED = TRANSIENT | {500, 507}  # answers after which the command is repeated with its id


@pytest.fixture(autouse=True)
def strace():
    needs_strace()


def make_bulk(server, segment_bytes):
    made = server.client().request("PUT", "/v1/topics/bulk", {"segment_bytes": segment_bytes})
    assert made.status == 201, made.body


def test_a_failed_sync_ends_the_process_and_loses_nothing(
        start_bank, transactions, dice, is_long, tmp_path):
    some = transactions.first(20_000 if is_long else 6000)
    server = start_bank(partitions=2, segment_bytes=MIB)
    load = Load(server.port, some, transient=REFUSED).start()
    for _ in range(10 if is_long else 3):
        fault = f"error=EIO:when={dice.randint(1, 40)}"
        with injected(server, tmp_path, "fdatasync", fault, server.segments()) as injection:
            assert server.wait(timeout=60) == CANNOT_SYNC, server.log()
            assert injection.lines()
        assert "cannot make the log durable, ending the process" in server.log()
        acknowledged = dict(load.acknowledged)
        assert load.is_running(), "the load was too short"
        server.restart()
        assert_log_holds(server.client(), acknowledged)
    assert_all_there(server, load, some)


def test_a_failed_sync_of_the_folder_ends_the_process_as_well(start_bank, tmp_path):
    """A new segment has its name, and whether that will last is not known."""
    server = start_bank()
    make_bulk(server, MIB)
    bulk = BulkLoad(server.port, "bulk", 100_000).start()
    folder = server.folder / "data/log/topics/bulk/0"
    with injected(server, tmp_path, "fsync", "error=EIO:when=1", [folder]):
        assert server.wait(timeout=60) == CANNOT_SYNC, server.log()
    assert f"ending the process: io_error: fsync {folder}" in server.log()
    server.restart()
    time.sleep(0.3)  # the load goes on, over more segments
    acknowledged = bulk.stop()
    assert_log_holds(server.client(), acknowledged, "bulk")
    assert server.verify("--json").returncode == 0


# What the log, the read models and the snapshots are written with: of each thread one call in a few
# fails, again and again. EIO is a broken disk, EMFILE a process without descriptors.
@pytest.mark.parametrize("call, error", [
    ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("fallocate", "EIO"), ("fallocate", "ENOSPC"),
    ("openat", "EMFILE"), ("rename", "EIO"), ("ftruncate", "EIO"), ("mmap", "ENOMEM")])
def test_failed_calls_are_refusals_or_the_end_of_the_process(
        start_bank, transactions, dice, is_long, tmp_path, call, error):
    some = transactions.first(30_000 if is_long else 2500)
    server = start_bank(partitions=2, segment_bytes=MIB)
    make_bulk(server, MIB)
    bulk = BulkLoad(server.port, "bulk", 100_000, transient=REFUSED).start()
    load = Load(server.port, some, transient=REFUSED).start()
    first, step = dice.randint(1, 3), dice.randint(2, 5)
    with injected(server, tmp_path, call, f"error={error}:when={first}+{step}") as injection:
        enough = time.monotonic() + (30 if is_long else 1.5)
        while server.is_alive() and time.monotonic() < enough:
            time.sleep(0.05)
        if server.is_alive():
            injection.wait_for(1)  # on a busy machine none may have been made yet
        failed = injection.lines()
    if not server.is_alive():
        assert server.wait() == CANNOT_SYNC, server.log()
        server.restart()
    refused = Counter(answer.status for answer in bulk.refused) + load.refused
    print(f"{call} {error}: {len(failed)} calls failed; refused {dict(refused)}")
    assert failed, "no call failed"
    if refused[500]:
        assert "answered 500" in server.log(), "the operator is not told"
    assert_log_holds(server.client(), bulk.stop(), "bulk")
    assert_all_there(server, load, some)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_failing_calls_on_read_models_delay_them_and_stop_no_command(
        start_bank, transactions, tmp_path, call):
    server = start_bank(partitions=2)
    some = transactions.first(6000)
    load = Load(server.port, some).start()
    files = list((server.folder / "data/read-models").rglob("*.db*"))
    assert files
    with injected(server, tmp_path, call, "error=EIO:when=1+2", files) as injection:
        injection.wait_for(4)
        assert_log_holds(server.client(), dict(load.acknowledged))
    assert server.is_alive()
    assert_all_there(server, load, some)
    projection, = server.client().get_json("/v1/projections")["projections"]
    assert projection["state"] == "running", projection


def test_a_slow_disk_makes_answers_late_and_nothing_else(start_bank, transactions, tmp_path):
    server = start_bank(partitions=2)
    some = transactions.first(3000)
    load = Load(server.port, some, threads=16).start()
    time.sleep(0.3)
    with injected(server, tmp_path, "fdatasync", "delay_exit=200000", server.segments()):
        before = len(load.acknowledged)
        time.sleep(2.5)
        # Two writers, each five syncs a second, and a batch holds at most what 16 clients ask.
        assert 16 <= len(load.acknowledged) - before <= 2 * 5 * 3 * 16
        assert 0.2 <= load.slowest_seconds < 10
        assert server.client().get("/readyz").status == 200
        started = time.monotonic()
        assert server.stop() == 0, server.log()
        assert time.monotonic() - started < 15
    acknowledged = dict(load.acknowledged)
    server.restart()
    assert_log_holds(server.client(), acknowledged)
    assert_all_there(server, load, some)


def test_a_slow_disk_under_too_much_is_overloaded_within_bounded_memory(start_bank, tmp_path):
    """More is sent than is written: what does not fit is refused at once, and said to be."""
    server = start_bank(arguments=("--stop-timeout", "3", "--pending-bytes-max", str(16 * MIB)))
    make_bulk(server, 64 * MIB)
    memory_before = server.anonymous_memory_bytes()
    memory = []
    with injected(server, tmp_path, "fdatasync", "delay_exit=150000"):
        bulk = BulkLoad(server.port, "bulk", MIB - 1000, threads=96).start()
        for _ in range(12):
            time.sleep(0.25)
            memory.append(server.anonymous_memory_bytes())
        assert server.client().get("/readyz").status == 200
        started = time.monotonic()
        server.signal_stop()
        server.wait(timeout=60)
        stopped_after = time.monotonic() - started
    acknowledged = bulk.stop()
    overloaded = [answer for answer in bulk.refused if answer.json()["code"] == "overloaded"]
    assert overloaded, "nothing was refused"
    assert all(answer.status == 503 and int(answer.headers["retry-after"]) >= 1
               for answer in overloaded)
    waiting = [int(re.search(r"has (\d+) bytes waiting", answer.json()["detail"])[1])
               for answer in overloaded if "bytes waiting" in answer.json()["detail"]]
    assert waiting and 16 * MIB <= min(waiting) and max(waiting) < 20 * MIB
    print(f"memory {memory_before >> 20} to {max(memory) >> 20} MiB, "
          f"{len(acknowledged)} acknowledged, {len(bulk.refused)} refused")
    # Connections are cut in time, and what waits is written to its end: 64 batches, 0.15 s each.
    print(f"stopped after {stopped_after:.1f} s")
    assert stopped_after < 25
    # 16 MiB wait in a partition at most, each as event and encoded, and bodies under way.
    if not SANITIZED:
        assert max(memory) - memory_before < 280 * MIB
    server.restart()
    assert_log_holds(server.client(), acknowledged, "bulk")
