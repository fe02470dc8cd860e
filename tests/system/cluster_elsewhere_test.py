"""What a node does not have, has no longer, or cannot trust: it says who has it."""

import asyncio
import contextlib
import json
import threading
import time

from cluster_admin import OPEN, deposit, run, wait_well
from http_client import CONNECTION_ERRORS, command_until_done
from subscriber import connect, subscribe

EVENTS = "/v1/topics/bank/partitions/0/events"
READS = [EVENTS, "/v1/aggregates/account/a", "/v1/aggregates/account/a/events",
         "/v1/topics/bank/streams/account-a", "/v1/projections/bank/tables/balances"]


def wait_status(server, path, status, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(*CONNECTION_ERRORS):
            answer = server.client(timeout=5).get(path)
            if answer.status == status:
                return answer
        assert time.monotonic() < deadline, (path, answer.status, answer.body)
        time.sleep(0.05)


def assert_sent_on(cluster, node, others, headers=None):
    """Whatever is asked of `node` is to be asked of one of `others`, where it is answered."""
    places = [f"127.0.0.1:{cluster.nodes[other].port}" for other in others]
    for path in READS:
        answer = wait_status(cluster.nodes[node], path, 307)
        assert answer.json()["code"] == "not-leader"
        assert answer.json()["leader"] in places, answer.body
        assert answer.headers["location"] == f"//{answer.json()['leader']}{path}"
        there = others[places.index(answer.json()["leader"])]
        wait_status(cluster.nodes[there], path, 200)
    sent = cluster.nodes[node].client().command("account", "a", "deposit", {"amount": 1}, "x")
    assert sent.status == 307 and sent.json()["leader"] in places, sent.body
    many = cluster.nodes[node].client().request("POST", "/v1/commands", [
        {"type": "account", "id": "a", "command": "deposit", "data": {"amount": 1}, "key": "x"}])
    assert many.status == 307 and many.json()["leader"] in places, many.body

    async def subscribed():
        async with connect(cluster.nodes[node].port) as socket:
            await subscribe(socket, 10)
            return json.loads(await asyncio.wait_for(socket.recv(), 30))

    told = asyncio.run(subscribed())
    assert told["op"] == "error" and told["code"] == "not-leader", told
    assert told["leader"] in places and told["leader"] in told["detail"], told


def test_a_node_without_a_replica_says_who_has_one(start_cluster):
    cluster = start_cluster(nodes=4)
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    replicas = wait_well(cluster.nodes[1])[0]["replicas"]
    outside = next(node for node in cluster.nodes if node not in replicas)
    assert_sent_on(cluster, outside, replicas)
    # Not to one that is gone.
    gone = next(node for node in replicas if node != cluster.leader())
    cluster.nodes[gone].kill()
    deadline = time.monotonic() + 30
    while any(n["node"] == gone and n["alive"]
              for n in cluster.nodes[outside].client().get_json("/v1/cluster")["nodes"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert_sent_on(cluster, outside, [node for node in replicas if node != gone])


class Follower(threading.Thread):
    """One that was subscribed to a node, until it is told that it is over; and a long poll."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.messages = []
        self.start()

    def run(self):
        async def follow():
            async with connect(self.server.port) as socket:
                await subscribe(socket, 10_000)
                while not self.messages or self.messages[-1]["op"] != "closed":
                    self.messages.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))

        asyncio.run(follow())


class LongPoll(threading.Thread):
    def __init__(self, server, first):
        super().__init__(daemon=True)
        self.client = server.client(timeout=60)
        self.first = first
        self.answer = None
        self.start()

    def run(self):
        self.answer = self.client.get(EVENTS, **{"from": self.first, "wait_ms": 30000})


def test_a_node_that_was_drained_sends_everybody_on(start_cluster):
    cluster = start_cluster(nodes=4)
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    deposit(client, 5, "before")
    replicas = wait_well(cluster.nodes[1])[0]["replicas"]
    drained = next(node for node in replicas if node != cluster.leader())
    server = cluster.nodes[drained]
    wait_status(server, EVENTS, 200)
    subscriber = Follower(server)
    deadline = time.monotonic() + 30
    while "caught_up" not in [message["op"] for message in subscriber.messages]:
        assert time.monotonic() < deadline, subscriber.messages
        time.sleep(0.05)
    poll = LongPoll(server, server.client().ends()[0])
    run(cluster.nodes[replicas[0]], "drain", drained)
    after = wait_well(cluster.nodes[replicas[0]])[0]["replicas"]
    assert drained not in after
    subscriber.join(30)
    assert [m["op"] for m in subscriber.messages[-2:]] == ["error", "closed"], subscriber.messages
    assert subscriber.messages[-2]["code"] == "not-leader"
    assert len([m for m in subscriber.messages if m["op"] == "event"]) == 6
    poll.join(40)
    assert poll.answer.status == 307, poll.answer
    assert_sent_on(cluster, drained, after)
    deposit(client, 5, "after")
    assert_sent_on(cluster, drained, after)


def test_a_node_whose_log_is_damaged_sends_everybody_on(start_cluster):
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    deposit(client, 5, "before")
    wait_well(cluster.nodes[1])
    damaged = next(node for node in cluster.nodes if node != cluster.leader())
    server = cluster.nodes[damaged]
    assert server.stop() == 0
    segment = server.segments()[0]
    content = bytearray(segment.read_bytes())
    content[content.index(b"before-1")] ^= 1
    segment.write_bytes(content)
    server.start()
    others = [node for node in cluster.nodes if node != damaged]
    assert_sent_on(cluster, damaged, others)
    described = server.client().get_json("/v1/topics/bank")["partitions"][0]
    assert "corruption" in described["error"]
    assert server.client().get_json("/readyz") == {"status": "degraded", "damaged": 1}
    deposit(client, 5, "after")
    assert_sent_on(cluster, damaged, others)


def test_a_node_that_has_moved_is_known_where_it_is_now(start_cluster):
    """It is started with another address for clients, and leads again."""
    cluster = start_cluster()
    client = cluster.client()
    command_until_done(client, "account", "a", "open", OPEN, "open-a")
    wait_well(cluster.nodes[1])
    first = cluster.leader()
    assert cluster.nodes[first].stop() == 0
    cluster.move_to_another_port(first)
    cluster.nodes[first].start()
    run(cluster.nodes[first], "lead", "bank", 0, first)
    place = f"127.0.0.1:{cluster.nodes[first].port}"
    for node, server in cluster.nodes.items():
        if node == first:
            continue
        deadline = time.monotonic() + 30
        while server.client().get_json("/v1/topics/bank")["partitions"][0].get("leader") != place:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        sent = server.client().command("account", "a", "deposit", {"amount": 1}, f"d{node}")
        assert sent.status == 307 and sent.json()["leader"] == place


def test_a_topic_that_cannot_be_opened_ends_the_start(start_cluster):
    cluster = start_cluster()
    wait_well(cluster.nodes[1])
    server = cluster.nodes[1]
    assert server.stop() == 0
    record = next(path for path in (server.folder / "data/log/topics/bank").iterdir()
                  if path.is_file() and b"keelson topic" in path.read_bytes())
    record.write_bytes(record.read_bytes()[:-3])
    server.set_argument("--replicas", "1")
    server.start_without_waiting()
    assert server.wait(60) == 1
    assert str(record) in server.log().splitlines()[-1]
