"""fake - a server that answers as a test wants, down to the bytes and to when they stop.

A real sewad never sends half an answer, garbage, or the wrong digest; something else at its address
may. A Fake has one function, answer(request), which returns the bytes of an answer, or an iterator
of pieces (bytes to send, a number of seconds to wait, RESET to break the connection off). When the
pieces are at their end the connection is closed.
"""
import base64
import hashlib
import json
import os
import socket
import struct
import threading
import time

RESET = object()
API = "/api/v1"


class Request:
    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers  # names in lower case
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%s %s %r %r" % (self.method, self.path, self.headers, self.body)


def reply(status, body=b"", **headers):
    """The bytes of an answer. A dict becomes JSON; header names have _ for -."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content_Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    headers.setdefault("Content_Length", len(body))
    lines = ["HTTP/1.1 %d Status" % status, "Connection: close"]
    lines += ["%s: %s" % (k.replace("_", "-"), v) for k, v in headers.items() if v is not None]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def problem(status, code, detail, **more):
    return reply(status, dict({"status": status, "code": code, "detail": detail}, **more),
                 Content_Type="application/problem+json")


def job(state, uid="job_1", **more):
    return dict({"id": uid, "state": state, "run": "digits", "method": "sewa"}, **more)


class Content:
    """The bytes of an artifact and what is said about them."""

    def __init__(self, data, name="model.safetensors"):
        self.data = data
        self.name = name
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.etag = '"sha256-%s"' % self.sha256

    def item(self, **more):
        return dict({"name": self.name, "size": len(self.data), "sha256": self.sha256}, **more)

    def listing(self, **more):
        return reply(200, {"items": [self.item(**more)]})

    def headers(self):
        digest = base64.b64encode(bytes.fromhex(self.sha256)).decode()
        return {"ETag": self.etag, "Repr_Digest": "sha-256=:%s:" % digest}

    def answer(self, request):
        """As a sewad does, ranges included."""
        wanted = request.headers.get("range")
        if wanted and request.headers.get("if-range") == self.etag:
            first = int(wanted[len("bytes="):-1])
            return reply(206, self.data[first:], **self.headers(), Content_Range="bytes %d-%d/%d" % (
                first, len(self.data) - 1, len(self.data)))
        return reply(200, self.data, **self.headers())


class Fake:
    """Listens on loopback, or on a unix socket when a path is given; used as a context manager."""

    def __init__(self, answer, path=None):
        self.answer = answer
        self.requests = []
        self.failure = None
        family = socket.AF_UNIX if path else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen(16)
        self.closing = threading.Event()
        self.threads = [threading.Thread(target=self._accept)]
        self.url = None if path else "http://127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
        if self.failure:
            raise AssertionError("the answer of the test failed") from self.failure

    def paths(self):
        return [r.method + " " + r.path for r in self.requests]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self.threads.append(thread)

    def _serve(self, connection):
        with connection:
            try:
                request = self._read(connection)
                if request:
                    self.requests.append(request)
                    self._send(connection, self.answer(request))
            except OSError:
                pass  # the client has had enough
            except Exception as error:  # pylint: disable=broad-except
                self.failure = error

    def _read(self, connection):
        connection.settimeout(60)
        with connection.makefile("rb") as file:
            line = file.readline().decode().split()
            if len(line) < 3:
                return None
            headers = {}
            for header in iter(lambda: file.readline().strip().decode(), ""):
                name, value = header.split(":", 1)
                headers[name.lower()] = value.strip()
            body = file.read(int(headers.get("content-length", 0)))
            return Request(line[0], line[1], headers, body)

    def _send(self, connection, pieces):
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            if piece is RESET:
                # no polite end: what is closed with bytes still to send is reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if isinstance(piece, bytes):
                connection.sendall(piece)
            else:
                self.closing.wait(piece)


def routes(table):
    """An answer function from {"GET /path": bytes or function or list of these, one each time}."""
    counts = {}

    def answer(request):
        key = request.method + " " + request.path.split("?")[0]
        if key not in table:
            return problem(404, "not_found", "there is no '%s' here" % key)
        found = table[key]
        if isinstance(found, list):
            n = counts[key] = counts.get(key, -1) + 1
            found = found[min(n, len(found) - 1)]
        return found(request) if callable(found) else found
    return answer


def part_of(path):
    """The hidden files of downloads in a folder."""
    return [f for f in os.listdir(path) if f.startswith(".") and f.endswith(".part")]


def wait_for_request(fake, count=1, seconds=60):
    end = time.monotonic() + seconds
    while len(fake.requests) < count:
        if time.monotonic() > end:
            raise AssertionError("no request came: %r" % fake.requests)
        time.sleep(0.01)
