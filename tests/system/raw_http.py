"""Bytes on a socket, for requests that no HTTP library would send."""

import socket


class RawConnection:
    def __init__(self, port, timeout=15):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data):
        """The server may answer and close while we are still sending."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def finish_sending(self):
        self._socket.shutdown(socket.SHUT_WR)

    def read_answer(self):
        """(status, body), or None when the server closed without one."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill():
                return None
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(":", 1) for line in lines[1:])
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            if not self._fill():
                break
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(lines[0].split()[1]), body

    def is_closed_by_server(self):
        """Waits for it."""
        try:
            while self._fill():
                pass
            return True
        except TimeoutError:
            return False

    def _fill(self):
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)


def post(path, body, *headers, content_type="application/json"):
    """The bytes of a POST as they go over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {content_type}",
             f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
