"""A WebSocket client of /v1/subscriptions, in its own thread."""

import asyncio
import itertools
import json
import threading
import time

import websockets

SUBPROTOCOL = "keelson.v1.json"


def connect(port, **options):
    """To be awaited, or entered with `async with`."""
    # With its queue full this library does not see the server's answer to a close: room for more
    # than the credit given.
    options.setdefault("max_queue", 1000)
    return websockets.connect(f"ws://127.0.0.1:{port}/v1/subscriptions",
                              subprotocols=[SUBPROTOCOL], **options)


async def subscribe(socket, credit, first="start", **filters):
    await socket.send(json.dumps({"op": "subscribe", "id": "s1", "topic": "bank", "from": first,
                                  "credit": credit, **filters}))


def position_after(seen):
    """Where to go on: the first event wanted of each partition; `seen` is by partition, dense."""
    if set(seen) == {0}:
        return str(seen[0])
    return ",".join(f"{partition}:{next}" for partition, next in sorted(seen.items()))


class ResumingSubscriber(threading.Thread):
    """Reads the topic from its start, dropping the connection after a random number of events and
    going on from where it was, until `expected` (ends by partition) is reached. Of several ports,
    which are those of a cluster, it takes another each time, and asks another where one is dead or
    has nothing to show yet."""

    def __init__(self, port, partitions, random, events_per_connection=(50, 2000)):
        super().__init__(daemon=True)
        self._ports = itertools.cycle(port if isinstance(port, list) else [port])
        self._others = isinstance(port, list)
        self._random = random
        self._events_per_connection = events_per_connection
        self._ends = None
        self.next = {partition: 0 for partition in range(partitions)}
        self.events = 0
        self.connections = 0
        self.failure = None

    def finish_at(self, ends, timeout=120):
        """Waits until every event below `ends` was seen."""
        self._ends = ends
        self.join(timeout)
        assert self.failure is None, self.failure
        assert not self.is_alive(), f"saw {self.next} of {ends}"

    def run(self):
        try:
            while not self._is_done():
                try:
                    asyncio.run(self._read_some(self._random.randint(*self._events_per_connection)))
                except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                    if not self._others:
                        raise
                    time.sleep(0.05)
        except Exception as error:  # told by finish_at, in the test's own thread
            self.failure = repr(error)

    def _is_done(self):
        return self._ends is not None and all(self.next[p] >= end for p, end in self._ends.items())

    async def _read_some(self, count):
        credit = 100
        async with connect(next(self._ports)) as socket:
            self.connections += 1
            await subscribe(socket, credit, position_after(self.next))
            left = credit
            while count > 0 and not self._is_done():
                try:
                    message = json.loads(await asyncio.wait_for(socket.recv(), 0.5))
                except asyncio.TimeoutError:
                    continue  # nothing new: look whether we are done
                if message["op"] == "error" and self._others:
                    return
                assert message["op"] in ("subscribed", "event", "caught_up"), message
                if message["op"] != "event":
                    continue
                self._take(message)
                count -= 1
                left -= 1
                assert left >= 0, "more events than credit"
                if left < credit // 2:
                    await socket.send(json.dumps({"op": "credit", "id": "s1", "n": credit - left}))
                    left = credit

    def _take(self, event):
        expected = self.next[event["partition"]]
        assert event["offset"] == expected, f"wanted {expected} and got {event}"
        self.next[event["partition"]] += 1
        self.events += 1
