"""`keelson verify` and `keelson inspect` on the folder of a bank: while it is written, at rest, and
damaged."""

import datetime
import hashlib
import json
import struct
import subprocess
import threading

import pytest
from bank_server import KEELSON, assert_no_sanitizer_report
from http_client import Client
from load import BulkLoad
from strace import needs_strace


def report(server):
    done = server.verify("--json")
    return done.returncode, json.loads(done.stdout)


def deposit(port, account, stop):
    client = Client(port)
    assert client.command("account", account, "open", {
        "owner": account, "currency": "EUR", "overdraft_limit": None}).status == 200
    while not stop.is_set():
        assert client.command("account", account, "deposit", {"amount": 1}).status == 200


def test_verify_finds_nothing_in_a_folder_that_is_written(start_bank):
    server = start_bank(partitions=4)
    stop = threading.Event()
    clients = [threading.Thread(target=deposit, args=(server.port, f"a{i}", stop))
               for i in range(4)]
    for client in clients:
        client.start()
    try:
        seen = []
        for _ in range(20):
            status, found = report(server)
            assert status == 0 and found["intact"], found
            assert all(not one["findings"] for one in found["partitions"]), found
            seen.append(sum(one["events"] for one in found["partitions"]))
        assert seen == sorted(seen) and seen[0] < seen[-1]
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert server.stop() == 0

    status, found = report(server)
    assert status == 0
    assert len(found["partitions"]) == 4
    table = server.verify()
    assert table.returncode == 0
    assert "Every event is as it was stored." in table.stdout
    for one in found["partitions"]:
        assert one["tree_root"][:16] in table.stdout


@pytest.fixture
def stopped(start_bank):
    """A bank's folder at rest, after a clean end."""
    server = start_bank()
    client = server.client()
    stop = threading.Event()
    stop.set()
    deposit(server.port, "ada", stop)
    for _ in range(30):
        assert client.command("account", "ada", "deposit", {"amount": 7}).status == 200
    assert server.stop() == 0
    return server


def test_verify_names_the_file_and_the_byte_of_damage(stopped):
    server = stopped
    segment, = (server.folder / "data").glob("log/topics/bank/0/*.seg")
    content = segment.read_bytes()
    place = content.index(b'"amount":7')
    segment.write_bytes(content[:place + 9] + b"8" + content[place + 10:])

    status, found = report(server)
    assert status == 1 and not found["intact"]
    finding, = found["partitions"][0]["findings"]
    assert finding["kind"] == "lost"
    assert finding["file"] == str(segment)
    assert "byte" in finding["what"]
    table = server.verify()
    assert table.returncode == 1
    assert str(segment) in table.stdout and "DAMAGED" in table.stdout


def test_verify_says_in_one_line_what_it_cannot_do(start_bank, tmp_path):
    server = start_bank()
    data = str(server.folder / "data")
    for arguments in (["--topic", "nothing"], ["--topic", ""], ["--colour"]):
        refused("verify", "--data", data, *arguments)
    refused("verify", "--data", str(tmp_path / "none"))
    refused("verify", "--data", "")
    refused("verify")


def tool(*arguments, **more):
    return subprocess.run([KEELSON, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
                             "timeout": 120, **more})


def refused(*arguments):
    """It cannot be done: 2, one line without a code for people, and JSON for programs."""
    done = tool(*arguments)
    assert done.returncode == 2 and done.stdout == "", done
    assert done.stderr.startswith("keelson: ") and done.stderr.count("\n") == 1, done
    told = tool(*arguments, "--json")
    assert told.returncode == 2
    error = json.loads(told.stdout)["error"]
    assert done.stderr == f"keelson: {error['message']}\n" == told.stderr
    assert error["code"] and not error["message"].startswith(error["code"])
    return error


def partition_of(server):
    return server.folder / "data/log/topics/bank/0"


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def only_finding(server, status):
    returned, found = report(server)
    assert returned == status, found
    findings = found["findings"] + [f for one in found["partitions"] for f in one["findings"]]
    finding, = findings
    return finding, found


def test_a_last_batch_that_has_rotted_after_a_kill_is_not_called_intact(start_bank):
    server = start_bank()
    stop = threading.Event()
    stop.set()
    deposit(server.port, "ada", stop)
    client = server.client()
    for _ in range(5):
        assert client.command("account", "ada", "deposit", {"amount": 7}).status == 200
    server.kill()
    assert report(server)[0] == 0
    batches = server.inspect("--topic", "bank", "--batches", 0)["batches"]
    last = batches[-1]
    assert last["events"] == 1
    flip(last["file"], last["position"] + last["bytes"] - 1)
    finding, found = only_finding(server, 3)
    assert not found["intact"] and found["verdict"] == "undecided"
    assert finding["kind"] == "undecided"
    assert finding["file"] == last["file"] and finding["position"] == last["position"]
    table = server.verify()
    assert table.returncode == 3
    assert "Every event is as it was stored" not in table.stdout and "UNDECIDED" in table.stdout
    assert "kept" in table.stdout or "keeps" in table.stdout


def test_what_stays_torn_beside_a_server_is_not_called_a_cut(start_bank):
    server = start_bank()
    client = server.client()
    assert client.request("PUT", "/v1/topics/notes", {}).status == 201
    done = client.request("POST", "/v1/topics/notes/streams/n-1", [{"type": "noted", "data": {}}])
    assert done.status in (200, 201), done.body
    last = server.inspect("--topic", "notes", "--batches", 0)["batches"][-1]
    flip(last["file"], last["position"] + last["bytes"] - 1)
    finding, found = only_finding(server, 3)
    assert finding["kind"] == "undecided" and "while a server has this folder" in finding["what"]
    flip(last["file"], last["position"] + last["bytes"] - 1)
    assert report(server)[0] == 0


def test_verify_goes_on_after_a_file_that_the_disk_does_not_give(stopped, tmp_path):
    needs_strace()
    segment, = partition_of(stopped).glob("*.seg")
    data = str(stopped.folder / "data")
    traced = ["strace", "-f", "-o", str(tmp_path / "trace"), "-P", str(segment), "-e",
              "inject=pread64:error=EIO", KEELSON, "verify", "--data", data, "--json"]
    done = subprocess.run(traced, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 1, done.stderr
    partition, = json.loads(done.stdout)["partitions"]
    finding, = partition["findings"]
    assert finding["kind"] == "unreadable" and finding["file"] == str(segment)


def test_a_mark_that_is_damaged_is_a_finding(stopped):
    for name in ("install.mark", "tail.cut", "promise", "last-record"):
        mark = partition_of(stopped) / name
        mark.write_bytes(b"KEELINS\n" + bytes(40))
        finding, _ = only_finding(stopped, 1)
        assert finding["kind"] == "lost" and finding["file"] == str(mark)
        mark.unlink()
    assert report(stopped)[0] == 0


def test_a_newer_version_is_told_from_a_loss(stopped):
    record = partition_of(stopped).parent / "topic.meta"
    good = record.read_text()
    record.write_text(good.replace("topic 1", "topic 2"))
    finding, _ = only_finding(stopped, 1)  # the checksum is not that of these lines
    assert finding["kind"] == "lost" and finding["file"] == str(record)
    record.write_text(good)
    assert report(stopped)[0] == 0


def test_what_belongs_to_nothing_is_named_and_is_no_loss(stopped):
    stray = partition_of(stopped) / "notes"
    stray.mkdir()
    finding, found = only_finding(stopped, 0)
    assert finding["kind"] == "unknown" and finding["file"] == str(stray)
    assert found["intact"]
    stray.rmdir()
    stray = stopped.folder / "data/log/topics/notes.txt"
    stray.write_text("x")
    finding, _ = only_finding(stopped, 0)
    assert finding["kind"] == "unknown" and finding["file"] == str(stray)
    assert [topic["topic"] for topic in stopped.inspect()["topics"]] == ["bank"]


def test_an_event_is_shown_as_it_lies_on_disk(start_bank):
    server = start_bank()
    client = server.client()
    data = '{"z": 1.10, "a":12345678901234567890123, "e":1E2,\n "b":[ ]}'
    meta = '{ "by" : "x" }'
    body = f'[{{"type":"noted","data":{data},"metadata":{meta}}}]'
    assert client.request("PUT", "/v1/topics/notes", {}).status == 201
    done = client.request("POST", "/v1/topics/notes/streams/n-1", body.encode(),
                          {"Content-Type": "application/json"})
    assert done.status in (200, 201), done.body
    shown = tool("inspect", "--data", server.folder / "data", "--topic", "notes", "--event", 0,
                 "--json")
    assert shown.returncode == 0, shown.stderr
    event = json.loads(shown.stdout)
    # The text between the names, as it stands there.
    start = shown.stdout.index('"data":') + 7
    stored = shown.stdout[start:shown.stdout.index(',"metadata":', start)]
    start = shown.stdout.index('"metadata":') + 11
    stored_meta = shown.stdout[start:shown.stdout.index(',"leaf_hash":', start)]
    assert "1.10" in stored and "12345678901234567890123" in stored and "1E2" in stored
    assert stored.index('"z"') < stored.index('"a"')
    time = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    micros = (time - epoch) // datetime.timedelta(microseconds=1)
    parts = [event["stream"], event["type"], stored, stored_meta]
    parts = [part.encode() for part in parts]
    leaf = struct.pack("<QqIIHH", event["version"], micros, len(parts[2]), len(parts[3]),
                       len(parts[0]), len(parts[1])) + b"".join(parts)
    assert hashlib.sha256(b"\0" + leaf).hexdigest() == event["leaf_hash"]
    table = tool("inspect", "--data", server.folder / "data", "--topic", "notes", "--event", 0)
    assert stored in table.stdout and stored_meta in table.stdout


def test_what_cannot_be_meant_is_refused(stopped, tmp_path):
    data = ["inspect", "--data", stopped.folder / "data"]
    for wrong in (["--topic", "", "--event", "3"], ["--topic", "bank", "--cut", ""],
                  ["--topic", "bank", "--cuts", "--event", "1"],
                  ["--topic", "bank", "--cuts", "--batches", "1"], ["--event", "1"]):
        assert refused(*data, *wrong)["code"] == "bad_request"
    assert refused("inspect", "--data", "")["code"] == "bad_request"
    assert refused(*data, "--topic", "nope")["code"] == "not_found"
    assert refused(*data, "--topic", "bank", "--partition", 9)["code"] == "not_found"
    assert refused(*data, "--topic", "bank", "--event", 999_999)["code"] == "beyond_end"
    assert refused("inspect", "--data", tmp_path / "none")["code"] == "not_found"


def test_what_cannot_be_written_is_no_success(stopped):
    data = ["--data", stopped.folder / "data"]
    for arguments in (["verify", *data], ["verify", *data, "--json"], ["inspect", *data],
                      ["inspect", *data, "--topic", "bank", "--batches", "0", "--json"],
                      ["inspect", *data, "--topic", "bank", "--event", "0"]):
        with open("/dev/full", "w") as full:
            done = tool(*arguments, stdout=full)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, (arguments, done)


def test_inspect_shows_what_is_not_damaged(start_bank):
    server = start_bank()
    client = server.client()
    assert client.request("PUT", "/v1/topics/other", {"retention_seconds": 60,
                                                      "codec": "zstd"}).status == 201
    stop = threading.Event()
    stop.set()
    deposit(server.port, "ada", stop)
    for _ in range(5):
        assert client.command("account", "ada", "deposit", {"amount": 7}).status == 200
    assert server.stop() == 0
    data = ["inspect", "--data", server.folder / "data"]
    here = [*data, "--topic", "bank"]
    batches = server.inspect("--topic", "bank", "--batches", 0)
    assert batches["start"] == {"batch": 0, "offset": 0} and batches["damaged"] == []
    batches = batches["batches"]
    assert all(batch["codec"] == "none" for batch in batches)
    assert batches[-1]["durable_batches"] == len(batches) - 1

    flip(batches[2]["file"], batches[2]["position"] + batches[2]["bytes"] - 1)
    done = tool(*here, "--batches", "0", "--json")
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert [batch["batch"] for batch in shown["batches"]] == [
        batch["batch"] for batch in batches if batch["batch"] != 2]
    gap, = shown["damaged"]
    assert gap["file"] == batches[2]["file"] and gap["position"] == batches[2]["position"]
    assert gap["resumes"] == batches[3]["position"]
    table = tool(*here, "--batches", "0")
    assert table.returncode == 1 and str(batches[3]["position"]) in table.stderr

    record = server.folder / "data/log/topics/bank/topic.meta"
    flip(record, 40)
    done = tool(*data, "--json")
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    other = next(topic for topic in shown["topics"] if topic["topic"] == "other")
    assert other["retention_seconds"] == 60 and other["codec"] == "zstd"
    assert [one["file"] for one in shown["damaged"]] == [str(record)]
    assert tool(*data).returncode == 1


def test_a_server_that_seals_meanwhile_misses_no_index(start_bank):
    server = start_bank()
    made = server.client().request("PUT", "/v1/topics/bulk", {"segment_bytes": 64 << 10})
    assert made.status == 201, made.body
    load = BulkLoad(server.port, "bulk", 20_000, threads=2).start()
    folder = server.folder / "data/log/topics/bulk/0"
    sealed = [0]  # after each run
    try:
        while len(sealed) <= 15 or sealed[-1] < sealed[1] + 5:
            assert len(sealed) < 500
            status, found = report(server)
            assert status == 0, found
            assert all(not one["findings"] for one in found["partitions"]), found
            sealed.append(len(list(folder.glob("*.idx"))))
    finally:
        load.stop()


def test_inspect_shows_topics_segments_batches_and_events(start_bank):
    server = start_bank(partitions=2)
    client = server.client()
    stop = threading.Event()
    stop.set()
    deposit(server.port, "ada", stop)
    answer = client.command("account", "ada", "deposit", {"amount": 7}, "seven")
    assert answer.status == 200
    accepted = answer.json()
    partition, offset = accepted["partition"], accepted["offset"]

    def inspect(*arguments):
        done = subprocess.run([KEELSON, "inspect", "--data", str(server.folder / "data"),
                               *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    topic, = json.loads(inspect("--json"))["topics"]
    assert topic["topic"] == "bank" and topic["partitions"] == 2
    here = ["--topic", "bank", "--partition", str(partition)]
    segment, = json.loads(inspect(*here, "--json"))["segments"]
    batches = json.loads(inspect(*here, "--batches", "0", "--json"))["batches"]
    assert [batch["batch"] for batch in batches] == list(range(len(batches)))
    assert all(batch["file"] == segment["file"] for batch in batches)
    event = json.loads(inspect(*here, "--event", str(offset), "--json"))
    assert event["stream"] == "account-ada" and event["version"] == 2
    assert event["type"] == "deposited" and event["data"]["amount"] == 7
    assert event["command_id"] == "seven"
    assert "account-ada" in inspect(*here, "--event", str(offset))
    assert "bank" in inspect()

    done = subprocess.run([KEELSON, "inspect", "--data", str(server.folder / "data"), *here,
                           "--event", "999999"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
