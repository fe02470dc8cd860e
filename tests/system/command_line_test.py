"""What people type at a shell: a mistake is one line that names it, and a tool that waits ends when
it is told to."""

import signal
import subprocess
import threading
import time

import pytest
from bank_server import BINARY, KEELSON

PATIENCE = 20  # a connection that is waited for to fall idle takes longer


def run(program, *arguments):
    return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE)


def watching(server, *arguments):
    process = subprocess.Popen(
        [BINARY, "watch", "--url", f"http://127.0.0.1:{server.port}", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "watching topic bank from end\n"
    return process


@pytest.mark.parametrize("arguments, named", [
    ([], "subcommand"),
    (["nope"], "'nope'; there are serve, generate, import, watch"),
    (["serve", "--data", "/nowhere", "--bogus"], "--bogus"),
    (["generate", "--rows", "-1"], "--rows"),
    (["generate", "--accounts", "0"], "--accounts"),
    (["watch"], "--url"),
    (["watch", "--url", "http://127.0.0.1:1", "--count", "-1"], "--count"),
    (["import", "--url", "nowhere", "none.csv"], "nowhere"),
])
def test_a_wrong_command_line_is_named_in_one_line(arguments, named):
    done = run(BINARY, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("bank: ") and done.stderr.count("\n") == 1
    assert named in done.stderr


@pytest.mark.parametrize("number",
                         ["-1", "-18446744073709551615", "99999999999999999999", "1x", ""])
@pytest.mark.parametrize("option", ["--event", "--batches", "--partition"])
def test_a_number_out_of_range_is_no_other_one(tmp_path, option, number):
    done = run(KEELSON, "inspect", "--data", str(tmp_path), "--topic", "bank", option, number)
    assert done.returncode == 2
    assert done.stderr.startswith("keelson: " + option) and done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--retention-waits", "--retention-waits-bytes"])
@pytest.mark.parametrize("number", ["-1", "-18446744073709551615"])
def test_how_long_retention_waits_is_not_negative(tmp_path, option, number):
    done = run(KEELSON, "serve", "--data", str(tmp_path), option, number)
    assert done.returncode == 2
    assert option in done.stderr and number in done.stderr and done.stderr.count("\n") == 1


def test_an_unknown_command_of_a_cluster_is_named():
    done = run(KEELSON, "cluster", "nope")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "'nope'; there are status, move, lead" in done.stderr


@pytest.mark.parametrize("program", [BINARY, KEELSON])
def test_a_program_says_its_version(program):
    done = run(program, "--version")
    assert done.returncode == 0 and "Keelson 0." in done.stdout


def test_an_address_in_use_is_told_without_a_code(start_bank, tmp_path):
    server = start_bank()
    done = run(BINARY, "serve", "--data", str(tmp_path / "other"),
               "--listen", f"127.0.0.1:{server.port}")
    assert done.returncode == 1
    assert done.stderr.startswith("bank: cannot listen on ") and done.stderr.count("\n") == 1


def test_a_server_of_no_cluster_says_so(start_bank):
    server = start_bank()
    done = run(KEELSON, "cluster", "status", "--server", f"http://127.0.0.1:{server.port}")
    assert done.returncode == 1 and "is a node of no cluster" in done.stderr


@pytest.mark.parametrize("arguments, named", [
    (["--topic", "nope"], "there is no topic 'nope'"),
    (["--from", "-1"], "'-1'"),
])
def test_a_watch_that_is_refused_ends(start_bank, arguments, named):
    server = start_bank()
    done = run(BINARY, "watch", "--url", f"http://127.0.0.1:{server.port}", *arguments)
    assert done.returncode == 1
    assert named in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_ends_at_a_signal(start_bank, number):
    process = watching(start_bank())
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert process.communicate() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_ends_at_a_signal_while_it_prints(start_bank, number):
    server = start_bank()
    client = server.client()
    client.request("PUT", "/v1/topics/long", {})
    for _ in range(30):
        events = [{"type": "x", "data": {"n": i}} for i in range(1000)]
        assert client.request("POST", "/v1/topics/long/streams/s-1", events).status == 200
    for i in range(15):
        process = subprocess.Popen(
            [BINARY, "watch", "--url", f"http://127.0.0.1:{server.port}", "--topic", "long",
             "--from", "start", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert process.stdout.readline()
        rest = threading.Thread(target=process.stdout.read)
        rest.start()
        time.sleep(0.002 * i)
        process.send_signal(number)
        try:
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            rest.join()
            process.stdout.close()
