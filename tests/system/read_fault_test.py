"""A part of an old segment that cannot be read, under readers that have it mapped: the server
lives."""

MIB = 1 << 20
EVENT = {"type": "noted", "data": {"text": "x" * 100_000}}


def append(client, stream):
    return client.request("POST", f"/v1/topics/notes/streams/{stream}", [EVENT])


def events(client, partition, start, limit=3):
    path = f"/v1/topics/notes/partitions/{partition}/events"
    return client.get(path, **{"from": start, "limit": limit})


def gauge(client, partition):
    name = f'keelson_damaged{{topic="notes",partition="{partition}"}} '
    text = client.get("/metrics").body.decode()
    return next(line[len(name):] for line in text.splitlines() if line.startswith(name))


def test_a_page_that_cannot_be_read_stops_reads_of_it_and_nothing_else(start_bank):
    server = start_bank()
    client = server.client()
    made = client.request("PUT", "/v1/topics/notes", {"partitions": 2, "segment_bytes": MIB})
    assert made.status == 201
    streams = {}  # one of each partition
    for i in range(100):
        stream = f"note-{i}"
        streams.setdefault(append(client, stream).json()["partition"], stream)
    broken, whole = 0, 1
    for _ in range(40):
        for stream in streams.values():
            assert append(client, stream).status == 200
    folder = server.folder / "data/log/topics/notes" / str(broken)
    segments = sorted(folder.glob("*.seg"))
    assert len(segments) > 3
    # Mapped by whoever reads it.
    assert events(client, broken, 0, limit=1000).status == 200
    assert events(client, broken, 12).status == 200
    bad = segments[1]
    with open(bad, "r+b") as file:
        file.truncate(8192)

    answers = [events(client, broken, start) for start in range(40)]
    refused = [answer for answer in answers if answer.status != 200]
    assert refused and len(refused) < 40
    assert {(answer.status, answer.json()["code"]) for answer in refused} == {(500, "corruption")}
    assert server.is_alive(), server.log()
    assert client.get_json("/readyz") == {"status": "degraded", "damaged": 1}
    assert (gauge(client, broken), gauge(client, whole)) == ("1", "0")
    described = client.get_json("/v1/topics/notes")["partitions"]
    assert str(bad) in described[broken]["error"] and "error" not in described[whole]
    assert f"{bad} at byte" in server.log()
    assert "the disk cannot read it, or it has been cut off" in server.log()
    # All else goes on, of that partition too.
    for start in range(0, 40, 3):
        assert events(client, whole, start).status == 200
    for partition, stream in streams.items():
        assert append(client, stream).status == 200
        end = client.get_json("/v1/topics/notes")["partitions"][partition]["end"]
        assert events(client, partition, end - 3).status == 200

    # The file is too short to be opened: the start after it says so, and serves the rest.
    server.kill()
    server.restart()
    client = server.client()
    assert client.get_json("/readyz") == {"status": "degraded", "damaged": 1}
    assert events(client, whole, 0).status == 200
    assert append(client, streams[whole]).status == 200
