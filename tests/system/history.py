"""What clients did to one stream and when, and whether one server could have answered so."""

import random
import threading
import time

from http_client import CONNECTION_ERRORS

STREAM = "/v1/topics/h/streams/s"


class History:
    """Appends, each with an id of its own, and linearizable reads of the stream's version. An
    append without an answer is repeated with its id until it has one."""

    def __init__(self):
        self._lock = threading.Lock()
        self._appends = {}  # id: (invoked, answered, offset, version)
        self._reads = []    # (invoked, answered, version)

    @property
    def appends(self):
        return len(self._appends)

    @property
    def reads(self):
        return len(self._reads)

    def appended(self, id, invoked, offset, version):
        with self._lock:
            self._appends[id] = (invoked, time.monotonic(), offset, version)

    def read(self, invoked, version):
        with self._lock:
            self._reads.append((invoked, time.monotonic(), version))

    def check(self, events):
        """Against the log as it is in the end. Versions of one stream are its order: an operation
        that was over before another began must not be behind it."""
        places = {event["command_id"]: event for event in events}
        assert len(places) == len(events), "a command id is in the log twice"
        for id, (_, _, offset, version) in self._appends.items():
            assert (places[id]["offset"], places[id]["version"]) == (offset, version), id
        # By the time they were over: the highest version that was certain by then.
        done = sorted([(answered, version) for _, answered, _, version in self._appends.values()] +
                      [(answered, version) for _, answered, version in self._reads])
        begun = sorted([(invoked, version, "append") for invoked, _, _, version
                        in self._appends.values()] +
                       [(invoked, version, "read") for invoked, _, version in self._reads])
        certain, i = 0, 0
        for invoked, version, kind in begun:
            while i < len(done) and done[i][0] < invoked:
                certain = max(certain, done[i][1])
                i += 1
            if kind == "append":
                assert version > certain, f"append {version} began when {certain} was over"
            else:
                assert version >= certain, f"a read saw {version} when {certain} was over"
        # What was read had been begun to be appended.
        begins = {version: invoked for invoked, _, _, version in self._appends.values()}
        for _, answered, version in self._reads:
            assert begins.get(version, 0) <= answered


class Recorder:
    """One client: an append or a read at a time."""

    def __init__(self, connect, history, name):
        self._client = connect()
        self._history = history
        self._name = name
        self._random = random.Random(name)
        self._stopping = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a client did not stop"
        assert self._failure is None, self._failure

    def _run(self):
        try:
            number = 0
            while not self._stopping.is_set():
                if self._random.random() < 0.5:
                    number += 1
                    self._append(f"{self._name}-{number}")
                else:
                    self._read()
        except Exception as failure:  # told by `stop`, in the test's own thread
            self._failure = repr(failure)

    def _append(self, id):
        invoked = time.monotonic()
        while True:  # to the end: an append that may have happened has to be known
            answer = self._ask("POST", STREAM, [{"type": "t", "data": {}}],
                               {"Idempotency-Key": id})
            if answer is not None:
                outcome = answer.json()
                return self._history.appended(id, invoked, outcome["offset"], outcome["version"])

    def _read(self):
        invoked = time.monotonic()
        answer = self._ask(
            "GET", STREAM + "?consistency=linearizable&direction=backward&limit=1")
        if answer is not None:
            found = answer.status == 200 and answer.json()["events"]
            self._history.read(invoked, found[0]["version"] if found else 0)

    def _ask(self, method, path, body=None, headers=None):
        try:
            answer = self._client.request(method, path, body, headers)
        except CONNECTION_ERRORS:
            return None
        if answer.status in (307, 503, 504):
            time.sleep(0.02)
            return None
        none_yet = answer.status == 404 and method == "GET"
        assert answer.status == 200 or none_yet, (method, path, answer.status, answer.body)
        return answer
