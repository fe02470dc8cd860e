"""A topic that keeps only its newest events, or has less room for the others: what clients see."""

import asyncio
import json
import shutil
import subprocess
import time

from subscriber import connect
from tools_test import report

MIB = 1 << 20
EVENT = {"type": "noted", "data": {"text": "x" * 100_000}}


def append(client, stream, key=None, events=(EVENT,), topic="notes"):
    headers = {"Idempotency-Key": key} if key else {}
    return client.request("POST", f"/v1/topics/{topic}/streams/{stream}", list(events), headers)


def partition(client, topic="notes"):
    return client.get_json(f"/v1/topics/{topic}")["partitions"][0]


def fill_until_removed(client):
    """Appends until retention, which works beside it, has removed events."""
    deadline = time.monotonic() + 60
    while partition(client)["start"] == 0:
        assert time.monotonic() < deadline, "nothing is removed"
        for i in range(10):
            assert append(client, f"filler-{i}").status == 200
    settled_start(client)


def wait_removed(client, topic):
    """Until retention, which works beside what is asked, has removed events."""
    deadline = time.monotonic() + 60
    while partition(client, topic)["start"] == 0:
        assert time.monotonic() < deadline, "nothing is removed"
        time.sleep(0.05)


def settled_start(client, topic="notes"):
    """Once retention has done all there is to do."""
    start = None
    while start != partition(client, topic)["start"]:
        start = partition(client, topic)["start"]
        time.sleep(0.3)
    return start


def assert_below_start(answer):
    assert (answer.status, answer.json().get("code")) == (410, "below-start"), answer.body
    return answer.json()["detail"]


def first_message(port, after):
    """To one who goes on in the topic after a position."""
    async def ask():
        async with connect(port) as socket:
            await socket.send(json.dumps({"op": "subscribe", "id": "s", "topic": "notes",
                                          "after": after, "credit": 1}))
            return json.loads(await asyncio.wait_for(socket.recv(), 10))
    return asyncio.run(ask())


def test_what_is_gone_is_said_to_be_gone(start_bank):
    server = start_bank()
    client = server.client()
    made = client.request("PUT", "/v1/topics/notes",
                          {"segment_bytes": MIB, "retention_bytes": 2 * MIB})
    assert made.status == 201
    assert made.json()["retention_bytes"] == 2 * MIB
    first = append(client, "note-1", key="first")
    assert first.status == 200
    fill_until_removed(client)
    assert append(client, "note-1", key="second").json()["version"] == 2

    for _ in range(2):
        start = partition(client)["start"]
        assert start > 0
        assert_below_start(client.get("/v1/topics/notes/partitions/0/events", **{"from": 0}))
        page = client.get_json("/v1/topics/notes/partitions/0/events", limit=1)
        assert page["events"][0]["offset"] == start
        # Of a stream: whole, its kept end, and backward down to what is gone.
        assert "version 2" in assert_below_start(client.get("/v1/topics/notes/streams/note-1"))
        kept = client.get_json("/v1/topics/notes/streams/note-1", from_version=2)
        assert [event["version"] for event in kept["events"]] == [2]
        assert "version 2" in assert_below_start(
            client.get("/v1/topics/notes/streams/note-1", direction="backward", from_version=1))
        back = client.get_json("/v1/topics/notes/streams/note-1", direction="backward")
        assert [event["version"] for event in back["events"]] == [2]
        assert back["next"] == 1
        assert first_message(server.port, "-")["code"] == "below-start"
        # What was done is not done again, and a stream that was there is not new.
        assert_below_start(append(client, "note-1", key="first"))
        assert append(client, "note-1", key="second").replayed
        taken = client.request("POST", "/v1/topics/notes/streams/note-1", [EVENT],
                               {"If-None-Match": "*"})
        assert (taken.status, taken.json()["current"]) == (412, 2)
        code, verified = report(server)
        assert code == 0, verified
        server.kill()
        server.restart()
        client = server.client()


def test_an_account_whose_first_event_is_gone_takes_no_commands_whoever_remembers_it(start_bank):
    """Its state is in the cache until the server is started anew: that makes no difference."""
    server = start_bank(segment_bytes=64 << 10)
    client = server.client()
    kept = client.request("PUT", "/v1/topics/bank", {"retention_bytes": 64 << 10})
    assert kept.status == 200, kept.body
    assert client.command("account", "a", "open", {"owner": "Ada", "currency": "EUR",
                                                   "overdraft_limit": 0}).status == 200
    deadline = time.monotonic() + 60
    answer = None
    for i in range(1_000_000):
        answer = client.command("account", "a", "deposit", {"amount": 1, "reference": "r" * 200},
                                key=f"k{i}")
        if answer.status != 200:
            break
        assert time.monotonic() < deadline, "nothing is removed"
    assert_below_start(answer)
    for _ in range(2):
        assert_below_start(client.get("/v1/aggregates/account/a"))
        assert_below_start(client.command("account", "a", "deposit", {"amount": 1}))
        assert client.command("account", f"b{time.monotonic_ns()}", "open",
                              {"owner": "Bob", "currency": "EUR",
                               "overdraft_limit": 0}).status == 200
        server.kill()
        server.restart()
        client = server.client()


def keep_newest(client):
    """From now on, of the bank's topic. Returns its start when the others are removed."""
    kept = client.request("PUT", "/v1/topics/bank", {"retention_bytes": 64 << 10})
    assert kept.status == 200, kept.body
    wait_removed(client, "bank")
    return settled_start(client, "bank")


def open_account(client, id):
    """Its one event."""
    answer = client.command("account", id, "open", {
        "owner": "o" * 200, "currency": "EUR", "overdraft_limit": None})
    assert answer.status == 200, answer.body
    return answer.json()["events"][0]


def remove_read_models(server):
    """They are made anew, of what is left of the log."""
    server.stop()
    shutil.rmtree(server.folder / "data" / "read-models")
    server.restart()
    server.wait_applied()


def ask_read_model(client, **when):
    """What it answers as of then, by route."""
    tables = "/v1/projections/bank/tables/balances"
    return {"query": client.request("POST", "/v1/projections/bank/query",
                                    {"sql": "SELECT count(*) FROM balances", **when}),
            "rows": client.get(tables, limit=10_000, **when),
            "history": client.get(f"{tables}/history", limit=10_000, **when)}


def ask_aggregate(client, account, **when):
    return client.get(f"/v1/aggregates/account/{account}", **when)


def test_a_question_as_of_what_is_gone_is_answered_by_nobody(start_bank):
    """Not by a read model that has seen it, nor about an account that is kept."""
    server = start_bank(segment_bytes=64 << 10)
    client = server.client()
    times = [open_account(client, f"a{i}")["time"] for i in range(500)]  # by offset
    deposited = client.command("account", "a0", "deposit", {"amount": 1})  # of a0 this will stay
    assert deposited.json()["version"] == 2
    keep_newest(client)

    for prepare in (server.wait_applied, server.restart, lambda: remove_read_models(server)):
        if prepare == server.restart:
            server.kill()
        prepare()
        client = server.client()
        start = settled_start(client, "bank")
        assert 2 < start < len(times)
        for when in ({"at": "0"}, {"at": f"{start - 2}"}, {"at": f"0:{start - 2}"},
                     {"at_time": times[0]}, {"at_time": times[start - 2]}):
            for answer in ask_read_model(client, **when).values():
                assert f"starts at offset {start}" in assert_below_start(answer)
            for account in (f"a{start}", "a0"):  # the first that is kept, and one that is not
                answer = ask_aggregate(client, account, **when)
                assert f"below offset {start} are gone" in assert_below_start(answer)
        for version in (1, 2):
            assert_below_start(ask_aggregate(client, "a0", at_version=version))
        # What is kept is answered.
        for when in ({"at": f"{start}"}, {"at_time": times[start]}):
            answers = [*ask_read_model(client, **when).values(),
                       ask_aggregate(client, f"a{start}", **when)]
            assert [(a.status, a.json()["at"]) for a in answers] == [(200, f"{start}")] * 4
        assert ask_aggregate(client, f"a{start}", at_version=1).json()["at"] == f"{start}"


def test_a_read_model_does_not_answer_for_what_it_has_not_seen(start_bank):
    """It was made after retention; then an older copy of the log came back, with all events."""
    server = start_bank(segment_bytes=64 << 10)
    client = server.client()
    end = 500
    for i in range(end):
        open_account(client, f"a{i}")
    server.stop()
    log = server.folder / "data" / "log"
    shutil.copytree(log, server.folder / "copy")
    server.restart()
    client = server.client()
    floor = keep_newest(client)
    remove_read_models(server)
    assert settled_start(server.client(), "bank") == floor
    server.stop()
    shutil.rmtree(log)
    shutil.copytree(server.folder / "copy", log)
    server.restart()
    client = server.client()
    server.wait_applied()
    assert partition(client, "bank") == {"partition": 0, "start": 0, "end": end}
    for at in (0, floor - 2):
        assert ask_aggregate(client, "a0", at=at).status == 200
        for answer in ask_read_model(client, at=str(at)).values():
            assert f"keeps history from offset {floor} on" in assert_below_start(answer)
    answer = ask_read_model(client, at=str(floor))["query"]
    assert (answer.status, answer.json()["rows"]) == (200, [[1]])


def version_of(client, stream):
    """Also of a stream whose events are gone: what an impossible condition is answered."""
    answer = client.request("POST", "/v1/topics/bank/commits", {
        "writes": [{"stream": "probe-1", "events": [{"type": "probed", "data": {}}]}],
        "checks": [{"stream": stream, "expected_version": 1 << 40}]})
    assert answer.status == 412, answer.body
    return answer.json()["current"]


def test_transfers_are_not_outrun_by_retention(start_bank):
    """What is requested at once fills many times what is kept before the first is looked at. From
    an account that there is not: one that lives on has no place in such a topic."""
    server = start_bank(segment_bytes=64 << 10)
    client = server.client()
    kept = client.request("PUT", "/v1/topics/bank", {"retention_bytes": 64 << 10})
    assert kept.status == 200, kept.body
    count = 900
    requests = [{"type": "transfer", "id": f"t{i}", "command": "request", "key": f"t{i}",
                 "data": {"from": "from", "to": "to", "amount": 1, "reference": "r" * 200}}
                for i in range(count)]
    answer = client.request("POST", "/v1/commands", requests)
    assert answer.status == 200 and all(a["status"] == 200 for a in answer.json()), answer.body
    deadline = time.monotonic() + 60
    while version_of(client, f"transfer-t{count - 1}") < 2:
        assert time.monotonic() < deadline, client.get("/v1/reactions").body
        time.sleep(0.1)
    for reaction in client.get_json("/v1/reactions")["reactions"]:
        assert reaction["state"] == "running", reaction
    wait_removed(client, "bank")
    assert [version_of(client, f"transfer-t{i}") for i in range(count)] == [2] * count
    assert version_of(client, "account-from") == version_of(client, "account-to") == 0


def test_a_read_model_made_after_retention_is_another(start_bank):
    """The same question, as of the same position, with another answer: not what a cache has."""
    server = start_bank(segment_bytes=64 << 10)
    client = server.client()
    client.request("PUT", "/v1/topics/bank", {"retention_bytes": 64 << 10})

    at = open_account(client, "first")["offset"]
    while partition(client, "bank")["start"] == 0:
        at = open_account(client, f"a{at}")["offset"]
    server.wait_applied()
    question = {"sql": "SELECT count(*) FROM balances", "at": str(at)}

    def ask(tags=()):
        headers = {"If-None-Match": ", ".join(tags)} if tags else {}
        answers = (client.request("POST", "/v1/projections/bank/query", question, headers),
                   client.get("/v1/projections/bank/tables/balances", headers, at=at, limit=1000))
        return [a.status for a in answers], [a.headers["etag"] for a in answers], answers[0].body

    status, tags, before = ask()
    assert (status, ask(tags)[0]) == ([200, 200], [304, 304])
    assert f"[[{at + 1}]]".encode() in before
    remove_read_models(server)
    client = server.client()
    status, new_tags, after = ask(tags)
    assert status == [200, 200] and after != before
    assert not set(tags) & set(new_tags)
    assert ask(new_tags)[0] == [304, 304]


def test_retention_is_changed_on_a_running_server(start_bank):
    server = start_bank()
    client = server.client()
    assert client.request("PUT", "/v1/topics/notes", {"segment_bytes": MIB}).status == 201
    for i in range(60):
        assert append(client, f"note-{i}").status == 200
    assert partition(client)["start"] == 0
    changed = client.request("PUT", "/v1/topics/notes", {"retention_seconds": 1})
    assert (changed.status, changed.json()["retention_seconds"]) == (200, 1)
    deadline = time.monotonic() + 30
    while partition(client)["start"] == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert partition(client)["start"] > 0
    # What goes on ageing would go while it is read.
    longer = client.request("PUT", "/v1/topics/notes", {"retention_seconds": 3600})
    assert (longer.status, longer.json()["retention_seconds"]) == (200, 3600)
    # Every event that is left is read, and all but retention stays as it was made.
    events = list(client.events(0, first=partition(client)["start"], topic="notes"))
    assert events[-1]["offset"] == partition(client)["end"] - 1
    assert client.request("PUT", "/v1/topics/notes", {"durability": "os"}).status == 409
    assert client.request("PUT", "/v1/topics/notes", {"retention_seconds": -1}).status == 400


def test_compressed_segments_are_read_as_if_nothing_had_happened(start_bank):
    server = start_bank()
    client = server.client()
    made = client.request("PUT", "/v1/topics/notes",
                          {"segment_bytes": MIB, "codec": "none", "sealed_codec": "zstd"})
    assert (made.status, made.json()["sealed_codec"]) == (201, "zstd")
    answers = [append(client, f"note-{i % 7}", key=f"k{i}").json() for i in range(80)]
    folder = server.folder / "data" / "log" / "topics" / "notes" / "0"
    deadline = time.monotonic() + 30
    while len(list(folder.glob("*.seg.zst"))) < 5:
        assert time.monotonic() < deadline, sorted(folder.iterdir())
        time.sleep(0.05)
    for _ in range(2):
        events = list(client.events(0, topic="notes"))
        assert [event["offset"] for event in events] == list(range(80))
        assert all(event["data"] == EVENT["data"] for event in events)
        again = append(client, "note-3", key="k3")
        assert again.replayed and again.json() == answers[3]
        page = client.get_json("/v1/topics/notes/streams/note-0")
        assert [event["version"] for event in page["events"]] == list(range(1, 13))
        code, verified = report(server)
        assert code == 0, verified
        server.kill()
        server.restart()
        client = server.client()
    # Any tool makes the segment of it, byte by byte.
    for compressed in folder.glob("*.seg.zst"):
        plain = subprocess.run(["zstd", "-dcq", compressed], capture_output=True, check=True).stdout
        assert plain.startswith(b"KEELSEG\n") and len(plain) > MIB // 2


def test_a_topic_of_compressed_batches(start_bank):
    server = start_bank()
    client = server.client()
    assert client.request("PUT", "/v1/topics/notes", {"codec": "zstd"}).json()["codec"] == "zstd"
    assert client.request("PUT", "/v1/topics/notes", {"codec": "gzip"}).status == 400
    for i in range(20):
        assert append(client, f"note-{i % 3}", key=f"k{i}").status == 200
    for _ in range(2):
        events = list(client.events(0, topic="notes"))
        assert [event["data"] for event in events] == [EVENT["data"]] * 20
        assert append(client, "note-1", key="k4").replayed
        code, verified = report(server)
        assert code == 0, verified
        notes = next(p for p in verified["partitions"] if p["topic"] == "notes")
        assert notes["events"] == 20
        server.kill()
        server.restart()
        client = server.client()
