"""WebSocket subscribers: every event once and in order, whatever the connection does; and one that
stops reading costs nobody else anything."""

import asyncio
import json
import threading
import time

import pytest
from load import Load, run_load
from subscriber import ResumingSubscriber, connect, subscribe

MEMORY_GROWTH_MAX = 32 << 20


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
        async with await connect(port) as socket:
            await subscribe(socket, credit=100_000, **filters)
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), 10))
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
        async with await connect(server.port) as socket:
            await subscribe(socket, credit=7)
            events = 0
            try:
                while True:
                    message = json.loads(await asyncio.wait_for(socket.recv(), 1))
                    events += message["op"] == "event"
            except asyncio.TimeoutError:
                return events

    assert asyncio.run(read()) == 7


class Stalled(threading.Thread):
    """Subscribers with all the credit there is, who never read."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self._port = port
        self._count = count
        self.subscribed = threading.Event()
        self.done = threading.Event()

    def run(self):
        asyncio.run(self._stall())

    async def _stall(self):
        sockets = [await connect(self._port, max_queue=1, read_limit=1024, ping_interval=None)
                   for _ in range(self._count)]
        for socket in sockets:
            await subscribe(socket, credit=1_000_000)
        self.subscribed.set()
        while not self.done.is_set():
            await asyncio.sleep(0.05)
        for socket in sockets:
            socket.transport.abort()


def test_a_stalled_subscriber_costs_nobody_anything(start_bank, transactions, dice, is_long):
    server = start_bank()
    run_load(server.port, transactions.first(1500))  # warm
    started = time.monotonic()
    run_load(server.port, transactions.first(4500))
    alone = 3000 / (time.monotonic() - started)

    stalled = Stalled(server.port, count=20)
    stalled.start()
    assert stalled.subscribed.wait(10)
    before = server.anonymous_memory_bytes()
    lively = ResumingSubscriber(server.port, 1, dice, (500, 2000))
    lively.start()
    started = time.monotonic()
    run_load(server.port, transactions.first(7500))
    beside = 3000 / (time.monotonic() - started)
    until = time.monotonic() + (60 if is_long else 3)
    while time.monotonic() < until:
        server.client().get_json("/v1/topics/bank")
        time.sleep(0.1)
    lively.finish_at(server.client().ends())
    grown = server.anonymous_memory_bytes() - before
    stalled.done.set()
    stalled.join()

    assert grown < MEMORY_GROWTH_MAX, f"{grown >> 20} MiB more"
    # The machine's own noise is large; what this must notice is a server that waits for a reader.
    assert beside > alone / 3, f"{beside:.0f} commands/s beside stalled readers, {alone:.0f} alone"
