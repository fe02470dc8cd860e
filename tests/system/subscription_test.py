"""WebSocket subscribers: every event once and in order, whatever the connection does; and one that
stops reading costs nobody else anything."""

import asyncio
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from bank_server import SANITIZED
from load import Load, run_load
from subscriber import ResumingSubscriber, connect, subscribe

STALLED = 20
MEMORY_GROWTH_MAX = 32 << 20  # less than 2 MiB for each, of 15 MiB of events that each asked for


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_resumed_subscriber_sees_each_event_once(start_bank, transactions, dice, partitions):
    server = start_bank(partitions)
    load = Load(server.port, transactions.first(4000)).start()
    time.sleep(0.3)  # in the middle of it
    subscriber = ResumingSubscriber(server.port, partitions, dice)
    subscriber.start()
    load.join()
    ends = server.client().ends()
    subscriber.finish_at(ends)
    assert subscriber.next == ends and subscriber.events == sum(ends.values())
    assert subscriber.connections >= 3


def test_a_subscriber_outlives_the_server(start_bank, transactions, dice):
    server = start_bank(partitions=4)
    load = Load(server.port, transactions.first(3000)).start()
    seen = {partition: 0 for partition in range(4)}

    def read_until_cut():
        subscriber = ResumingSubscriber(server.port, 4, dice, (10**9, 10**9))
        subscriber.next = seen  # goes on where the one before was cut off
        subscriber.start()
        return subscriber

    for _ in range(3):
        subscriber = read_until_cut()
        time.sleep(dice.uniform(0.2, 0.6))
        server.kill()
        subscriber.join(30)
        assert not subscriber.is_alive()
        server.restart()
    load.join()
    subscriber = read_until_cut()
    subscriber.finish_at(server.client().ends())
    assert seen == server.client().ends()


def read_filtered(port, wanted, **filters):
    async def read():
        events = []
        async with connect(port) as websocket:
            await subscribe(websocket, credit=100_000, **filters)
            while True:
                message = json.loads(await asyncio.wait_for(websocket.recv(), 10))
                if message["op"] == "event":
                    events.append(message)
                if message["op"] == "caught_up" and len(events) >= wanted:
                    return events

    return asyncio.run(read())


def test_filters(start_bank, transactions):
    server = start_bank()
    some = transactions.first(1000)
    run_load(server.port, some)
    everything = server.client().all_events()

    def offsets(events):
        return [event["offset"] for event in events]

    account = some.accounts[0]
    of_account = [e for e in everything if e["stream"] == f"account-{account}"]
    found = read_filtered(server.port, len(of_account), stream=f"account-{account}")
    assert offsets(found) == offsets(of_account)
    kind = everything[-1]["type"]
    of_type = [e for e in everything if e["type"] == kind]
    assert offsets(read_filtered(server.port, len(of_type), types=[kind])) == offsets(of_type)
    prefix = f"account-{account[:1]}"
    of_prefix = [e for e in everything if e["stream"].startswith(prefix)]
    assert offsets(read_filtered(server.port, len(of_prefix), stream_prefix=prefix)) == offsets(
        of_prefix)


def test_no_event_beyond_the_credit(start_bank, transactions):
    server = start_bank()
    run_load(server.port, transactions.first(200))

    async def read():
        async with connect(server.port) as websocket:
            await subscribe(websocket, credit=7)
            events = 0
            try:
                while True:
                    patience = 30 if events < 7 else 1  # for what must come, and what must not
                    message = json.loads(await asyncio.wait_for(websocket.recv(), patience))
                    events += message["op"] == "event"
            except asyncio.TimeoutError:
                return events

    assert asyncio.run(read()) == 7


def sockets_that_wait(port):
    """How many of the server's connections have bytes that their client does not take."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, queues = line.split()[1], line.split()[4]
        waiting += local.endswith(f":{port:04X}") and int(queues.split(":")[0], 16) > 0
    return waiting


class Stalled(threading.Thread):
    """Subscribers with all the credit there is, who do not read until they are woken. Then one of
    them reads what it missed."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self._port = port
        self._count = count
        self.subscribed = threading.Event()
        self._end = None  # set by wake
        self._seen = 0

    def wake(self, end):
        self._end = end
        self.join(120)
        assert self._seen == end, f"saw the events below {self._seen} of {end}"

    def run(self):
        asyncio.run(self._stall())

    async def _stall(self):
        sockets = []
        for _ in range(self._count):
            small = socket.socket()
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            small.connect(("127.0.0.1", self._port))
            sockets.append(await connect(self._port, sock=small, max_queue=1, read_limit=1024,
                                         ping_interval=None))
        for stalled in sockets:
            await subscribe(stalled, credit=1_000_000)
        self.subscribed.set()
        while self._end is None:
            await asyncio.sleep(0.05)
        while self._seen < self._end:
            message = json.loads(await sockets[0].recv())
            if message["op"] == "event":
                assert message["offset"] == self._seen
                self._seen += 1
        for stalled in sockets:
            stalled.transport.abort()


def deposits_per_second(server, transactions, name, count=2000, threads=8):
    def deposit(first):
        client = server.client()
        for i in range(first, count, threads):
            account = transactions.accounts[i % len(transactions.accounts)]
            answer = client.command("account", account, "deposit", {"amount": 1}, f"{name}-{i}")
            assert answer.status == 200, answer.body

    workers = [threading.Thread(target=deposit, args=(i,)) for i in range(threads)]
    started = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert server.client().ends()  # still answers
    return count / (time.monotonic() - started)


def test_a_stalled_subscriber_costs_nobody_anything(start_bank, transactions, dice, is_long):
    server = start_bank()
    # More history than the kernel buffers for a connection, so that the server itself has to wait.
    importing = server.start_import(transactions.file)
    importing.communicate(timeout=300)
    assert importing.returncode == 0
    alone = deposits_per_second(server, transactions, "alone")

    stalled = Stalled(server.port, STALLED)
    stalled.start()
    assert stalled.subscribed.wait(10)
    before = server.anonymous_memory_bytes()
    lively = ResumingSubscriber(server.port, 1, dice, (5000, 20_000))
    lively.start()
    # The best of three: the machine's own noise is large. What this must notice is a server that
    # waits for a reader.
    beside = 0
    for attempt in range(3):
        beside = max(beside, deposits_per_second(server, transactions, f"beside{attempt}"))
        if beside > alone / 3:
            break
    lively.finish_at(server.client().ends())
    assert sockets_that_wait(server.port) == STALLED
    time.sleep(60 if is_long else 0)
    grown = server.anonymous_memory_bytes() - before
    stalled.wake(server.client().ends()[0])

    assert SANITIZED or grown < MEMORY_GROWTH_MAX, f"{grown >> 20} MiB more"
    assert beside > alone / 3, f"{beside:.0f} commands/s beside stalled readers, {alone:.0f} alone"
