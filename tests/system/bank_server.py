"""The real `bank` binary, started, killed, stopped and measured from outside."""

import contextlib
import functools
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from http_client import CONNECTION_ERRORS, Client

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("KEELSON_BANK", ROOT / "build/release/bin/bank"))
KEELSON = BINARY.with_name("keelson")
# A sanitizer's binary is slow and keeps freed memory: what is promised of both is not checked then.
SANITIZED = bool(os.environ.get("KEELSON_SANITIZE"))

SANITIZER_REPORT = re.compile(r"[^\n]*(?:Sanitizer: |runtime error: ).{0,20000}", re.S)

PORT_SHARES = 32
READY_SECONDS_MAX = 60  # before a test gives up; what is promised is checked where it is promised


@functools.cache
def claim_ports():
    """Ports that no other test has while this one runs, and what says so: a server that is down for
    a while gets its port back. Below the ports that the kernel gives to clients: one that keeps
    asking for a port could else be given that very port, and be connected to itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first, end = max(1024, lowest // 2), max(2048, lowest)
    size = (end - first) // PORT_SHARES
    for share in random.sample(range(PORT_SHARES), PORT_SHARES):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0keelson test ports {share}")  # a name that ends with this process
        except OSError:
            claim.close()
            continue
        return claim, itertools.cycle(range(first + share * size, first + (share + 1) * size))
    raise RuntimeError(f"more than {PORT_SHARES} tests at once")


def free_port():
    _, ports = claim_ports()
    while True:
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def assert_no_sanitizer_report(text):
    """For what a program printed whose exit status does not tell: killed, or refused anyway."""
    report = SANITIZER_REPORT.search(text)
    assert not report, report[0]


class BankServer:
    """A data folder and the process that serves it. The folder outlives the process, and the port
    stays the same over restarts, as it does for clients of a real server. `within`: what runs the
    process somewhere else on this machine, where it has the address `host`."""

    def __init__(self, folder, partitions=1, arguments=(), log=None, host="127.0.0.1", within=()):
        self.folder = Path(folder)
        self.partitions = partitions
        self.host = host
        self.port = free_port()
        self.ready_seconds = None  # of the last start
        self._within = list(within)
        self._arguments = ["--data", str(self.folder / "data"), "--partitions", str(partitions),
                           "--listen", f"{host}:{self.port}", *arguments]
        self._log = Path(log or self.folder / "server.log")
        self._process = None
        self._clients = []

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        started = time.monotonic()
        self.start_without_waiting()
        self.wait_ready(started)
        return self

    def set_argument(self, name, value):
        """From the next start on."""
        self._arguments[self._arguments.index(name) + 1] = value

    def start_without_waiting(self, binary=BINARY):
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen([*self._within, binary, "serve", *self._arguments],
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def make_topic(self, segment_bytes):
        """The bank's topic, in a fresh folder, with segments of this size; then it is stopped."""
        self.start_without_waiting(KEELSON)
        self.wait_ready(time.monotonic())
        made = self.client().request("PUT", "/v1/topics/bank", {
            "partitions": self.partitions, "segment_bytes": segment_bytes})
        assert made.status == 201, made.body
        assert self.stop() == 0, self.log()
        return self

    def wait_ready(self, started):
        """Until it answers; `started` is when it was, on the monotonic clock."""
        client = Client(self.port, timeout=5, host=self.host)
        while time.monotonic() < started + READY_SECONDS_MAX:
            assert self._process.poll() is None, f"the server ended:\n{self.log()}"
            try:
                if client.get("/readyz").status == 200:
                    self.ready_seconds = time.monotonic() - started
                    return
            except CONNECTION_ERRORS:
                pass
            time.sleep(0.005)
        raise AssertionError(f"not ready after {READY_SECONDS_MAX} s:\n{self.log()}")

    def client(self, timeout=30):
        """A new connection; closed with the server's fixture."""
        client = Client(self.port, timeout, self.host)
        self._clients.append(client)
        return client

    def is_alive(self):
        return self._process.poll() is None

    def descriptors(self):
        """What the process has open: paths, with ` (deleted)` after that of a removed file."""
        folder = Path(f"/proc/{self.pid}/fd")
        targets = []
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                targets.append(os.readlink(folder / name))
        return targets

    def holds_folder(self):
        """Whether this start has come to the data: it has exclusive use of it."""
        return str(self.folder / "data/log/keelson.lock") in self.descriptors()

    def times_listened(self):
        """How many starts have come to their end."""
        return self._whole_log().count("listening on ")

    def kill(self):
        """kill -9: nothing is flushed, nothing is said."""
        self._process.kill()
        self._process.wait()

    def send_signal(self, number):
        self._process.send_signal(number)

    def signal_stop(self):
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout=60):
        """The exit status."""
        return self._process.wait(timeout)

    def stop(self):
        self.signal_stop()
        return self.wait()

    def restart(self):
        """After `kill` or `stop`, on the same folder and port."""
        return self.start()

    def close(self):
        """Whatever state it is in. Under a sanitizer this fails when there was a report, from this
        process or from one that was killed before. Leaks are reported by a regular exit only."""
        for client in self._clients:
            client.close()
        if self._process is None:
            return
        try:
            if SANITIZED and self.is_alive():
                assert self.stop() == 0, self.log()
        finally:
            self.kill()
        assert_no_sanitizer_report(self._whole_log())

    def log(self):
        return self._whole_log()[-4000:]

    def _whole_log(self):
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def anonymous_memory_bytes(self):
        """What the process has allocated; pages of mapped files are the kernel's to drop."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon in /proc/PID/status")

    def segments(self):
        """Files of the bank's log, the oldest first in each partition."""
        return sorted((self.folder / "data/log/topics/bank").glob("*/*.seg"))

    def verify(self, *arguments):
        """`keelson verify` of the folder, whether it is served or not."""
        done = subprocess.run([KEELSON, "verify", "--data", str(self.folder / "data"), *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300)
        assert_no_sanitizer_report(done.stderr)
        return done

    def inspect(self, *arguments):
        """What `keelson inspect --json` says of the folder, whether it is served or not."""
        done = subprocess.run([KEELSON, "inspect", "--data", str(self.folder / "data"), "--json",
                               *map(str, arguments)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert_no_sanitizer_report(done.stderr)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start_import(self, file):
        """`bank import FILE`, in the background."""
        return subprocess.Popen([BINARY, "import", str(file), "--url", self.url, "--json"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def wait_applied(self, timeout=300 if SANITIZED else 60):
        """Until every projection has applied all that is committed now."""
        client = self.client()
        ends = client.ends()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            behind = [(p["name"], partition)
                      for p in client.get_json("/v1/projections")["projections"]
                      for partition in p["partitions"]
                      if partition["next"] < ends[partition["partition"]]]
            if not behind:
                return
            time.sleep(0.02)
        raise AssertionError(f"not applied after {timeout} s: {behind}")
