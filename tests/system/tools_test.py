"""`keelson verify` and `keelson inspect` on the folder of a bank: while it is written, at rest, and
damaged."""

import json
import subprocess
import threading

from bank_server import KEELSON, assert_no_sanitizer_report
from http_client import Client

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
    for arguments, status in ([["--topic", "nothing"], 1], [["--colour"], 2]):
        done = server.verify(*arguments)
        assert done.returncode == status
        assert done.stderr.startswith("keelson: ") and done.stderr.count("\n") == 1
    done = subprocess.run([KEELSON, "verify", "--data", str(tmp_path / "none")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1


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
