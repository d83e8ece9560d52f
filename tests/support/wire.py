"""wire - bytes on a socket, and the answers that come back: for what a well-behaved library would
never send.
"""
import socket

from scratch import DEADLINE_S

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return "%d %r %r" % (self.status, self.headers, self.body[:500])


class Wire:
    """A connection that sends what it is told, and reads answers one by one."""

    def __init__(self, address):
        """@address is host and port, or the path of a socket."""
        if address.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE_S)
            self.socket.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # it was closed on us; what was answered before is still to be read
        return self

    def fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.bytes += data
        return bool(data)

    def take(self, count):
        while len(self.bytes) < count:
            if not self.fill():
                raise AssertionError("the connection ended after %r" % self.bytes[:500])
        data, self.bytes = self.bytes[:count], self.bytes[count:]
        return data

    def line(self):
        while b"\r\n" not in self.bytes:
            if not self.fill():
                raise AssertionError("the connection ended after %r" % self.bytes[:500])
        line, self.bytes = self.bytes.split(b"\r\n", 1)
        return line.decode("latin-1")

    def chunks(self):
        body = b""
        while True:
            size = int(self.line(), 16)
            body += self.take(size)
            self.take(2)
            if size == 0:
                return body

    def answer(self, head=False):
        version, status, _ = (self.line() + " ").split(" ", 2)
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise AssertionError("no status line: %r" % version)
        headers = {}
        while True:
            line = self.line()
            if not line:
                break
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        if head or status in ("204", "304") or status.startswith("1"):
            return Answer(int(status), headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(int(status), headers, self.chunks())
        return Answer(int(status), headers, self.take(int(headers.get("content-length", 0))))

    def last_answer(self):
        """The same, or None when the connection ends without one."""
        return self.answer() if self.bytes or self.fill() else None

    def ended(self):
        """Whether the other side has closed, without another byte."""
        while self.fill():
            pass
        return self.bytes == b""
