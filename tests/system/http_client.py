"""One keep-alive HTTP connection to the server, as a client in any language would hold it."""

import contextlib
import http.client
import json
import select
import time
import urllib.parse
from dataclasses import dataclass

# What a connection does when the server is killed, closes it, or does not answer.
CONNECTION_ERRORS = (http.client.HTTPException, OSError)


@dataclass
class Answer:
    status: int
    headers: dict  # names in lower case
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def replayed(self):
        return self.headers.get("idempotency-replayed") == "true"


class Client:
    """Not thread-safe. Connects when needed: after an error the next request connects again, and
    when the server has closed the connection for being idle."""

    def __init__(self, port, timeout=30, host="127.0.0.1"):
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def close(self):
        self._connection.close()

    def request(self, method, path, body=None, headers=None):
        """`body`: bytes as they are, anything else as JSON. Raises one of CONNECTION_ERRORS."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if self._closed_while_idle():
            self._connection.close()
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()},
                            response.read())
        except CONNECTION_ERRORS:
            self._connection.close()
            raise
        return answer

    def _closed_while_idle(self):
        """All that was asked is answered, so what can be read now is the connection's end."""
        socket = self._connection.sock
        if socket is None:
            return False
        readable = select.poll()
        readable.register(socket, select.POLLIN)
        return bool(readable.poll(0))

    def get(self, path, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.request("GET", path, headers=headers)

    def get_json(self, path, **query):
        answer = self.get(path, **query)
        assert answer.status == 200, (path, query, answer.status, answer.body)
        return answer.json()

    def command(self, aggregate, id, command, body, key=None, headers=None):
        """POST /v1/aggregates/{aggregate}/{id}/{command}"""
        headers = dict(headers or {})
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.request("POST", f"/v1/aggregates/{aggregate}/{id}/{command}", body, headers)

    # --- reading what the bank knows ---

    def ends(self, topic="bank"):
        """End (the next event's offset) of every partition."""
        partitions = self.get_json(f"/v1/topics/{topic}")["partitions"]
        return {p["partition"]: p["end"] for p in partitions}

    def events(self, partition, first=0, topic="bank"):
        """Every event of a partition from `first` to its end now, page by page."""
        while True:
            page = self.get_json(f"/v1/topics/{topic}/partitions/{partition}/events",
                                 **{"from": first, "limit": 1000})
            yield from page["events"]
            if not page["events"]:
                return
            first = page["events"][-1]["offset"] + 1

    def all_events(self, topic="bank"):
        return [e for p in sorted(self.ends(topic)) for e in self.events(p, topic=topic)]

    def query(self, projection, sql, params=None, at=None):
        body = {"sql": sql, "params": params or []}
        if at is not None:
            body["at"] = at
        answer = self.request("POST", f"/v1/projections/{projection}/query", body)
        assert answer.status == 200, (sql, at, answer.status, answer.body)
        return answer.json()


def command_until_done(client, aggregate, id, command, body, key, timeout=30):
    """Sent until it is acknowledged, with the same key: a cluster may be without a leader for a
    moment."""
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(*CONNECTION_ERRORS):
            answer = client.command(aggregate, id, command, body, key)
            if answer.status == 200:
                return answer
            assert answer.status in (307, 503, 504), answer.body
        assert time.monotonic() < deadline, (id, command)
        time.sleep(0.05)
