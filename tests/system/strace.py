"""System calls of a running server made to fail, or to take long, by strace. Where it is missing or
may not trace, the test is skipped and says so."""

import contextlib
import functools
import shutil
import subprocess
import time

import pytest
from bank_server import SANITIZED


@functools.cache
def _why_no_strace():
    if SANITIZED:
        return "a sanitizer traces the process itself"
    if shutil.which("strace") is None:
        return "it is not installed"
    with subprocess.Popen(["sleep", "60"]) as traced:
        try:
            done = subprocess.run(["timeout", "--signal=TERM", "0.3", "strace", "-p",
                                   str(traced.pid)], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=30)
        finally:
            traced.kill()
    return None if "attached" in done.stderr else done.stderr.strip()


def needs_strace():
    why = _why_no_strace()
    if why is not None:
        pytest.skip(f"failing system calls need strace: {why}")


class Injection:
    """What strace has done so far."""

    def __init__(self, trace):
        self._trace = trace

    def lines(self):
        """Of the calls that were made to fail or wait."""
        return [line for line in self._trace.read_text(errors="replace").splitlines()
                if "INJECTED" in line or "DELAYED" in line]

    def wait_for(self, count, timeout=30):
        deadline = time.monotonic() + timeout
        while len(self.lines()) < count:
            assert time.monotonic() < deadline, f"{len(self.lines())} of {count} calls failed"
            time.sleep(0.05)


@contextlib.contextmanager
def injected(server, folder, call, fault, paths=()):
    """While inside, `call` of any thread of the server meets `fault`, an expression of strace:
    `error=EIO:when=3` is the third of each thread. With `paths` only calls on these files."""
    trace = folder / f"trace-{time.monotonic_ns()}"
    messages = trace.with_suffix(".messages")
    where = [word for path in paths for word in ("-P", str(path))]
    with open(messages, "w") as to:
        tracer = subprocess.Popen(
            ["strace", "-f", "-o", trace, "-p", str(server.pid), "-e", f"trace={call}",
             "-e", f"inject={call}:{fault}", *where],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=to)
    try:
        deadline = time.monotonic() + 30
        while "attached" not in messages.read_text():
            assert tracer.poll() is None and time.monotonic() < deadline, messages.read_text()
            time.sleep(0.01)
        yield Injection(trace)
    finally:
        tracer.terminate()
        tracer.wait(timeout=30)
