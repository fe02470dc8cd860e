"""`keelson verify` and `keelson inspect` on the folder of a bank: while it is written, at rest, and
damaged."""

import json
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


def test_verify_names_the_file_and_the_byte_of_damage(start_bank):
    server = start_bank()
    client = server.client()
    stop = threading.Event()
    stop.set()
    deposit(server.port, "ada", stop)
    for _ in range(50):
        assert client.command("account", "ada", "deposit", {"amount": 7}).status == 200
    assert server.stop() == 0
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
    # A start ends at this one.
    stray = stopped.folder / "data/log/topics/notes.txt"
    stray.write_text("x")
    finding, _ = only_finding(stopped, 1)
    assert finding["kind"] == "unreadable" and finding["file"] == str(stray)


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
    assert done.returncode == 1 and done.stderr.count("\n") == 1
