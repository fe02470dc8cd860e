"""The power is cut under load: what was acknowledged before is on the disk that is left.

The disk (power_cut_disk.py) keeps all that was flushed, and of the rest any sectors or none; ext4
is between it and the server. So this proves what is promised for a disk that honours flushes and
writes sectors of 512 bytes whole, under ext4 as mkfs makes it, for the moments that chance chooses.
It does not prove it for a disk that lies.
"""

import mmap
import os
import random

from load import Load, assert_log_holds, run_load
from transactions import Transactions

MIB = 1 << 20


def test_the_disk_keeps_what_is_flushed_and_any_part_of_the_rest(power_cut_disk):
    """The instrument: on a disk that keeps everything the test below could not fail."""
    file = os.open(power_cut_disk.folder / "file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    try:
        page = mmap.mmap(-1, MIB)  # aligned, as O_DIRECT wants it

        def write(part, fill):
            page[:] = fill * MIB
            os.pwrite(file, page, part * MIB)

        write(0, b"a")
        seen = set()
        for seed in range(8):
            write(1, b"b")
            os.fsync(file)
            write(1, b"c")  # on the disk, past the page cache, and not flushed
            with power_cut_disk.cut(random.Random(seed)).mounted() as folder:
                left = (folder / "file").read_bytes()
            assert left[:MIB] == b"a" * MIB
            assert left.count(b"b") + left.count(b"c") == MIB
            seen.add(left.count(b"c"))
        assert len(seen) > 3, seen
        os.fsync(file)
        with power_cut_disk.cut(random.Random(0)).mounted() as folder:
            assert (folder / "file").read_bytes()[MIB:] == b"c" * MIB
    finally:
        os.close(file)


def begun(transactions, acknowledged):
    """The rows that were acknowledged, and of each account the one that may have been under way."""
    rows, stopped = [], set()
    for row in transactions.rows:
        if row.account not in stopped:
            rows.append(row)
            if row.id not in acknowledged:
                stopped.add(row.account)
    return Transactions(None, rows)


def test_what_was_acknowledged_before_a_power_cut_is_there_after_it(
        power_cut_disk, start_bank, transactions, dice, is_long):
    server = start_bank(partitions=2, folder=power_cut_disk.folder / "bank", segment_bytes=MIB)
    acknowledged = {}
    rows_a_cut = 3000
    lost_sectors = 0
    for n in range(min(15 if is_long else 10, len(transactions.rows) // rows_a_cut)):
        some = transactions.part(n * rows_a_cut, (n + 1) * rows_a_cut)
        load = Load(server.port, some).start()
        load.wait_acknowledged(dice.randint(1, load.count // 2))
        before = {**acknowledged, **load.acknowledged}
        cut = power_cut_disk.cut(dice)
        assert load.is_running(), "the load was too short"
        with cut.mounted() as folder:
            left = start_bank(partitions=2, folder=folder / "bank")
            events = assert_log_holds(left.client(), before)
            print(f"{cut.lost_sectors} of {cut.unflushed_sectors} unflushed sectors lost; "
                  f"{len(before)} acknowledged, {len(events)} events left")
            verified = left.verify("--json")
            assert verified.returncode == 0, verified.stdout
            assert_goes_on(left, begun(some, before), before)
            assert left.stop() == 0
        acknowledged.update(load.join())
        lost_sectors += cut.lost_sectors
        if not is_long and n >= 4 and lost_sectors > 0:
            break  # more often by chance alone, when each cut so far has left everything
    assert lost_sectors > 0, "no cut lost anything"


def assert_goes_on(server, transactions, acknowledged):
    """Who got no answer repeats: every command takes effect once, with its one outcome."""
    again = run_load(server.port, transactions)
    for key, answered in again.items():
        if key in acknowledged:
            assert answered.answer == acknowledged[key].answer and answered.replayed
    events = assert_log_holds(server.client(), {**acknowledged, **again})
    balances = {}
    for event in events:
        account = event["stream"].removeprefix("account-")
        balances[account] = event["data"].get("balance_after", 0)
    server.wait_applied()
    rows = server.client().query("bank", "SELECT account_id, balance FROM balances")["rows"]
    assert dict(rows) == balances
