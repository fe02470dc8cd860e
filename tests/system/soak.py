#!/usr/bin/env python3
"""The bank under a mixed load (soak_load.py) for KEELSON_SOAK_SECONDS, 1200 unless told otherwise,
with a look at the process every few seconds. Prints a table, and at last a line of JSON. Runs with
KEELSON_LONG=1 only. The load is bounded to about half a processor.

After a warm-up of a quarter of the time it fails when, from the second quarter to the last,
 - anonymous memory (the median) grew by more than MEMORY_GROWTH_MAX, cached states of new transfers
   aside: mapped files do not count;
 - more descriptors are open, other than of the log's segments, by more than DESCRIPTORS_GROWTH_MAX;
   or of segments more than LOG_DESCRIPTORS_MAX: they are kept open on purpose, so many at most;
   once nobody asks any more, not one is left that is not meant to be (`wrong_descriptors`);
 - there are more threads by more than THREADS_GROWTH_MAX;
 - a kind of request takes longer: at the median by LATENCY_FACTOR_MAX, or in the slowest hundredth
   by LATENCY_FACTOR_MAX_P99, less than LATENCY_IGNORED_SECONDS aside;
or when an answer was wrong, or money was lost, or an event did not reach the subscriber. Beside the
bank there are notes (soak_load.py), of which retention removes a segment every second or two.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from bank_server import SANITIZED, BankServer
from soak_load import NOTES, Latencies, SoakWorker, make_notes, open_accounts
from subscriber import ResumingSubscriber

MIB = 1 << 20
PARTITIONS = 2
SEGMENT_BYTES = 4 * MIB  # so that many are sealed, and the index in memory is soon at its largest
WORKERS, RATE_OF_ONE = 6, 50  # clients, and requests a second of each
OPEN_SEGMENTS_MAX = 8  # so that they are closed and opened again all the time
SAMPLES_MIN = 40
ROWS_SHOWN = 60

MEMORY_GROWTH_MAX = 4 * MIB
TRANSFER_BYTES_MAX = 1024  # each is an aggregate, whose state is kept in a cache of 256 MiB
DESCRIPTORS_GROWTH_MAX = 10
LOG_PARTITIONS = PARTITIONS + 1  # the notes have one
# Each has a file and an index: those that are kept, those that somebody reads just now (clients,
# the subscriber, a read model and a reaction of each partition), and the one that is written.
LOG_DESCRIPTORS_MAX = 2 * (OPEN_SEGMENTS_MAX + WORKERS + 1 + 2 * PARTITIONS + LOG_PARTITIONS)
QUIET_SECONDS_MAX = 30
THREADS_GROWTH_MAX = 2
LATENCY_FACTOR_MAX = 2
LATENCY_FACTOR_MAX_P99 = 4
LATENCY_IGNORED_SECONDS = {"median": 0.002, "p99": 0.020}
KINDS = ["command", "repeat", "read", "query", "past", "bulk"]


def percentile(values, share):
    """In seconds, to the microsecond; None of nothing."""
    if not values:
        return None
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 6)


class Sampler:
    """Looks at the process from outside."""

    def __init__(self, server, latencies):
        self._server = server
        self._latencies = latencies
        self._started = time.monotonic()
        self._processor_before = self._processor_seconds()
        self._at_before = self._started

    def take(self):
        status = dict(line.split(":", 1) for line in
                      Path(f"/proc/{self._server.pid}/status").read_text().splitlines())
        now, processor = time.monotonic(), self._processor_seconds()
        share = (processor - self._processor_before) / (now - self._at_before)
        self._processor_before, self._at_before = processor, now
        log, other = self._descriptors()
        return {"seconds": now - self._started,
                "rss": int(status["VmRSS"].split()[0]) * 1024,
                "anonymous": int(status["RssAnon"].split()[0]) * 1024,
                "threads": int(status["Threads"]), "log_descriptors": log, "descriptors": other,
                "processor": share, "latencies": self._latencies.take()}

    def _processor_seconds(self):
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _descriptors(self):
        """Open ones: (of the log, others)."""
        everything = self._server.descriptors()
        log = sum(map(is_of_log, everything))
        return log, len(everything) - log


def is_of_log(path):
    return "/log/topics/" in path


def wrong_descriptors(server):
    """Of the log's files, which should not be open while nobody asks for anything, and why. Each
    file that is open is there, and open once; a sealed segment is open with its index or not at
    all; of sealed and removed ones OPEN_SEGMENTS_MAX are open at most, beside the last one of each
    partition."""
    files = Counter(filter(is_of_log, server.descriptors()))
    wrong = [f"{path} is open {count} times" for path, count in files.items() if count > 1]
    kept, written = set(), []
    for path in map(Path, files):
        index = path.with_suffix(".idx")
        if not path.exists():
            wrong.append(f"{path} is open and not there")
        elif path.suffix == ".seg" and not index.exists():
            written.append(path)
        elif path.suffix in (".seg", ".idx"):
            kept.add(path.with_suffix(""))
            if not {str(index), str(path.with_suffix(".seg"))} <= files.keys():
                wrong.append(f"of a segment and its index only {path} is open")
        else:  # what is left of a removed segment, a filter of a group of segments
            kept.add(path)
    if len(kept) > OPEN_SEGMENTS_MAX:
        wrong.append(f"{len(kept)} segments are open, {OPEN_SEGMENTS_MAX} at most are kept so")
    crowded = [str(folder) for folder, count in Counter(p.parent for p in written).items()
               if count > 1]
    if crowded:
        wrong.append(f"more than one segment is open that has no index, in {crowded}")
    return wrong


def assert_descriptors(server):
    """What works beside the load comes to its end first."""
    removed = server.client().get_json(f"/v1/topics/{NOTES}")["partitions"][0]["start"]
    assert removed > 0, "retention has removed nothing"
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    while wrong := wrong_descriptors(server):
        assert time.monotonic() < deadline, wrong
        time.sleep(0.1)


HEAD = ("     s    RSS   anon fd log other  thr   cpu  req/s  " +
        " ".join(f"{kind:>13}" for kind in KINDS))


def row(sample, interval):
    """A line of the table: MiB, and of each kind of request the median and the slowest hundredth in
    milliseconds."""
    latencies = sample["latencies"]
    requests = sum(map(len, latencies.values()))
    cells = []
    for kind in KINDS:
        values = latencies.get(kind)
        cells.append(f"{percentile(values, .5) * 1e3:6.1f} {percentile(values, .99) * 1e3:6.1f}"
                     if values else f"{'-':>13}")
    return (f"{sample['seconds']:6.0f} {sample['rss'] / MIB:6.1f} {sample['anonymous'] / MIB:6.1f} "
            f"{sample['log_descriptors']:6} {sample['descriptors']:5} {sample['threads']:4} "
            f"{sample['processor']:5.2f} {requests / interval:6.0f}  " + " ".join(cells))


class Quarter:
    """What is compared of a quarter of the time."""

    def __init__(self, samples):
        def median(name):
            return statistics.median(sample[name] for sample in samples)
        self.anonymous = median("anonymous")
        self.transfers = median("transfers")
        self.descriptors = median("descriptors")
        self.threads = median("threads")
        self.latencies = {}
        for kind in KINDS:
            values = [v for sample in samples for v in sample["latencies"].get(kind, [])]
            self.latencies[kind] = {"median": percentile(values, .5),
                                    "p99": percentile(values, .99)}


def growth(samples):
    """What grew beyond its bound, in words."""
    quarter = len(samples) // 4
    before, after = Quarter(samples[quarter:2 * quarter]), Quarter(samples[-quarter:])
    complaints = []

    def compare(what, old, new, bound):
        if new > bound:
            complaints.append(f"{what} went from {old:.4g} to {new:.4g}, over {bound:.4g}")

    compare("anonymous memory in bytes", before.anonymous, after.anonymous,
            before.anonymous + MEMORY_GROWTH_MAX +
            (after.transfers - before.transfers) * TRANSFER_BYTES_MAX)
    compare("descriptors", before.descriptors, after.descriptors,
            before.descriptors + DESCRIPTORS_GROWTH_MAX)
    compare("descriptors of the log", before.descriptors,
            max(sample["log_descriptors"] for sample in samples), LOG_DESCRIPTORS_MAX)
    compare("threads", before.threads, after.threads, before.threads + THREADS_GROWTH_MAX)
    for kind in KINDS:
        for of, factor in [("median", LATENCY_FACTOR_MAX), ("p99", LATENCY_FACTOR_MAX_P99)]:
            old, new = before.latencies[kind][of], after.latencies[kind][of]
            if old is None or new is None:
                complaints.append(f"nothing of the kind {kind} was asked")
                continue
            compare(f"{of} of {kind} in seconds", old, new,
                    max(old * factor, old + LATENCY_IGNORED_SECONDS[of]))
    return before, after, complaints


def soak(folder, seconds):
    """Returns (samples, requests)."""
    server = BankServer(folder, PARTITIONS, ["--open-segments-max", str(OPEN_SEGMENTS_MAX)])
    latencies, stopping = Latencies(), threading.Event()
    try:
        server.make_topic(SEGMENT_BYTES).start()
        make_notes(server.port)
        money = open_accounts(server.port)
        server.wait_applied(timeout=300)
        subscriber = ResumingSubscriber(server.port, PARTITIONS, random.Random(1), (500, 3000))
        workers = [SoakWorker(server.port, n, RATE_OF_ONE, latencies, stopping)
                   for n in range(WORKERS)]
        for thread in [subscriber, *workers]:
            thread.start()
        interval = min(5.0, seconds / SAMPLES_MIN)
        sampler, samples = Sampler(server, latencies), []
        print(HEAD)
        shown = 0
        while not samples or samples[-1]["seconds"] + interval / 2 < seconds:
            time.sleep(interval)
            failures = [worker.failure for worker in workers if worker.failure]
            assert not failures, failures
            assert server.is_alive(), server.log()
            samples.append(sampler.take())
            samples[-1]["transfers"] = sum(worker.transfers for worker in workers)
            if len(samples) * ROWS_SHOWN >= shown * seconds / interval:
                print(row(samples[-1], interval), flush=True)
                shown += 1
        stopping.set()
        for worker in workers:
            worker.join(timeout=60)
        assert_right(server, subscriber, money + sum(worker.money for worker in workers))
        assert_descriptors(server)
        assert server.stop() == 0
        verified = server.verify("--json")
        assert verified.returncode == 0, verified.stdout
        return samples, sum(worker.requests for worker in workers)
    finally:
        stopping.set()
        server.close()


def assert_right(server, subscriber, money):
    """Transfers end, money is conserved, and the subscriber sees every event."""
    client = server.client()
    deadline = time.monotonic() + 60
    open_ones = ("SELECT count(*) FROM transfers "
                 "WHERE status NOT IN ('completed', 'failed', 'refunded')")
    while True:
        server.wait_applied()
        if client.query("bank", open_ones)["rows"] == [[0]]:
            break
        assert time.monotonic() < deadline, "transfers are still under way"
        time.sleep(0.1)
    total, = client.query("bank", "SELECT sum(balance) FROM balances")["rows"][0]
    assert total == money, "money was lost or made"
    subscriber.finish_at(client.ends())


def main():
    if os.environ.get("KEELSON_LONG") != "1":
        print("SKIPPED soak: it runs with tests/run --long")
        return 77
    seconds = float(os.environ.get("KEELSON_SOAK_SECONDS", 1200))
    with tempfile.TemporaryDirectory(prefix="keelson-soak-") as folder:
        samples, requests = soak(Path(folder), seconds)
    before, after, complaints = growth(samples)
    if SANITIZED:
        complaints = []  # it keeps what is freed, and is slow: only answers were to be right
    print(json.dumps({
        "seconds": round(samples[-1]["seconds"]), "requests": requests,
        "processor": round(statistics.mean(sample["processor"] for sample in samples), 3),
        "second_quarter": vars(before), "last_quarter": vars(after),
        "log_descriptors_max": max(sample["log_descriptors"] for sample in samples),
        "complaints": complaints}))
    for complaint in complaints:
        print(f"soak: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
