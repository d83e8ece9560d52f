"""sewa - a sewad under test: its configuration, its process, and requests to it.

The tests are black boxes: they know the binaries (SEWA_BIN), the HTTP interface and the files of
the state directory that are documented. Everything waits for facts with generous deadlines; nothing
sleeps and hopes.
"""
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.parse

from scratch import DEADLINE_S, Scratch, Waiting, name_of, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
DIGITS = os.path.join(REPOSITORY, "deploy", "quickstart", "digits.safetensors")
EVALUATOR = os.path.join(HERE, "evaluator.py")
FINAL = ("succeeded", "failed", "cancelled")
LONG = os.environ.get("SEWA_TEST_LONG") == "1"
# Everything takes several times as long there: what is repeated is repeated less often.
SANITIZED = os.environ.get("SEWA_IS_SANITIZED") == "1"

# A build without them has no places to fail at: those tests are skipped, and say so.
HAS_FAILPOINTS = os.environ.get("SEWA_HAS_FAILPOINTS") == "1"
needs_failpoints = unittest.skipUnless(HAS_FAILPOINTS, "built without -DSEWA_FAILPOINTS=ON")


def binary(name):
    """The path of one of our programs."""
    directory = os.environ.get("SEWA_BIN")
    if not directory:
        raise RuntimeError("SEWA_BIN must say where sewad, sewa-worker and sewa-mlp are")
    path = os.path.join(directory, name)
    if not os.access(path, os.X_OK):
        raise RuntimeError("'%s' is not there: build it first" % path)
    return path


# ---- configuration ----


def _value(value):
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_value(v) for v in value) + "}"
    if isinstance(value, dict):
        return _value(json.dumps(value))
    if isinstance(value, int):
        return str(value)
    # single quotes: nothing in them is replaced, but for a backslash and a quote
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


SECTIONS = ("run", "root", "evaluator", "launcher")


def configuration(options):
    """The text of a configuration file: {"settle_seconds": 0, "run": {"digits": {...}}}."""
    lines = []
    for key, value in options.items():
        if key not in SECTIONS:
            lines.append("%s = %s" % (key, _value(value)))
    for section in SECTIONS:
        for title, inner in options.get(section, {}).items():
            lines.append('%s "%s" {' % (section, title))
            lines += ["    %s = %s" % (k, _value(v)) for k, v in inner.items()]
            lines.append("}")
    return "\n".join(lines) + "\n"


def digits_evaluator(**more):
    """The configuration of sewa-mlp on the data of the quickstart."""
    return dict({"command": [binary("sewa-mlp"), "serve"], "options": {"data": DIGITS}}, **more)


def toy_evaluator(options=None, **more):
    """The configuration of tests/support/evaluator.py."""
    return dict({"command": [sys.executable, EVALUATOR], "options": options or {}}, **more)


# ---- requests ----


class Reply:
    """status, headers, body; json() of the body, problem() when it must be one."""

    def __init__(self, what, status, headers, body):
        self.what = what
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError("%s: no JSON in %s" % (self.what, self)) from None

    def __str__(self):
        return "%d %r %s" % (self.status, dict(self.headers), self.body[:2000])

    def expect(self, *statuses):
        if self.status not in statuses:
            raise AssertionError("%s: expected status %s, got %s"
                                 % (self.what, " or ".join(map(str, statuses)), self))
        return self

    def problem(self, status, code, *words):
        """Check that this is problem+json with this status and code, and return it."""
        self.expect(status)
        problem = self.json()
        if self.headers.get("Content-Type") != "application/problem+json":
            raise AssertionError("%s: an error without problem+json: %s" % (self.what, self))
        for field in ("type", "title", "status", "detail", "code", "request_id"):
            if field not in problem:
                raise AssertionError("%s: no '%s' in %r" % (self.what, field, problem))
        if problem["code"] != code or problem["status"] != status:
            raise AssertionError("%s: expected code '%s', got %r" % (self.what, code, problem))
        for word in words:
            if word not in problem["detail"]:
                raise AssertionError("%s: '%s' is not in %r" % (self.what, word, problem))
        return problem


class _UnixConnection(http.client.HTTPConnection):
    """To a socket in the file system."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(address, method, path, body=None, headers=None, timeout=DEADLINE_S):
    """One request on a connection of its own, to a host and port or to the path of a socket.

    A dict or list becomes JSON.
    """
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        patch = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers.setdefault("Content-Type", patch)
    to = _UnixConnection if address.startswith("/") else http.client.HTTPConnection
    connection = to(address, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Reply("%s %s" % (method, path), answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def with_query(path, query):
    return path + "?" + urllib.parse.urlencode(query) if query else path


# ---- the service ----


class Sewad:
    """One sewad with a state directory of its own; started, stopped, killed and started again."""

    umask = -1  # as this process has it
    descriptors = None  # how many it may open; None: as many as this process

    def __init__(self, scratch, options=None, name="sewad", **environment):
        self.scratch = scratch
        self.name = name
        self.state = scratch.join(name, "state")
        self.config = scratch.join(name, "sewad.conf")
        self.log = scratch.join(name, "log")
        self.environment = environment
        self.options = {"listen": "127.0.0.1:0", "admin_socket": "", "settle_seconds": 0,
                        "scan_interval_seconds": 1, "state_directory": self.state}
        self.options.update(options or {})
        self.process = None
        self.address = None
        scratch.directory(name)
        self.configure()

    def configure(self, **changes):
        """Write the configuration; a running service reads it at SIGHUP."""
        self.options.update(changes)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(configuration(self.options))

    def spawn(self, *arguments, **environment):
        """The bare process, without waiting for anything."""
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [binary("sewad"), "--config", self.config, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, umask=self.umask,
                preexec_fn=self._limit if self.descriptors else None,
                env=self.scratch.environment(**dict(self.environment, **environment)))

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def start(self, ready=True, **environment):
        """Start it and wait until it answers. @environment is for this start alone."""
        listen = os.path.join(self.state, "listen")
        if os.path.exists(listen):
            os.unlink(listen)
        self.process = self.spawn(**environment)
        wait_until(lambda: self._is_listening(listen), "sewad listens")
        with open(listen, encoding="ascii") as file:
            self.address = file.read().strip()
        if ready:
            self.wait_ready()
        return self

    def _is_listening(self, listen):
        if self.process.poll() is not None:
            raise AssertionError("sewad ended with status %d:\n%s"
                                 % (self.process.returncode, self.log_text()))
        return os.path.exists(listen)

    def wait_ready(self):
        wait_until(lambda: self.request("GET", "/readyz").status == 200, "sewad is ready")

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def wait_end(self, seconds=DEADLINE_S):
        """The exit status, negative for a signal."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Waiting("sewad did not end within %g s:\n%s"
                          % (seconds, self.log_text())) from None
        self.process = None
        return status

    def stop(self, seconds=DEADLINE_S):
        """SIGTERM. A clean end is status 0; sanitizers make another one of what they find."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.wait_end(seconds)
        if status != 0:
            raise AssertionError("sewad ended with status %d:\n%s" % (status, self.log_text()))

    def kill(self):
        """SIGKILL: workers and evaluators live on."""
        self.process.kill()
        self.wait_end()

    def hang_up(self, refused=False):
        """SIGHUP, and wait until the configuration was read again (or refused)."""
        said = "was not read again" if refused else "read the configuration again"
        before = self.log_text().count(said)
        self.process.send_signal(signal.SIGHUP)
        try:
            wait_until(lambda: self.log_text().count(said) > before, "the log says '%s'" % said)
        except Waiting as late:
            raise Waiting("%s\n%s" % (late, self.log_text())) from None

    def thread_state(self):
        """Of its first thread, the loop: "R" when it computes, "S" when it waits."""
        with open("/proc/%d/task/%d/stat" % (self.process.pid, self.process.pid),
                  encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def log_text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    # requests

    def request(self, method, path, body=None, headers=None, /, **query):
        return request(self.address, method, with_query(path, query), body, headers)

    def get(self, path, **query):
        return self.request("GET", path, **query).expect(200).json()

    def post(self, path, body, expect=201, headers=None, /, **query):
        return self.request("POST", path, body, headers, **query).expect(expect).json()

    def patch(self, path, body):
        return self.request("PATCH", path, body).expect(200).json()

    def metric(self, name):
        """The value of one that has no labels."""
        text = self.request("GET", "/metrics").expect(200).body.decode()
        return [int(float(line.split()[1])) for line in text.splitlines()
                if line.startswith(name + " ")][0]

    def pages(self, path, **query):
        """All items of a list, page by page."""
        items = []
        while True:
            page = self.get(path, **query)
            items += page["items"]
            if page["next_page_token"] is None:
                return items
            query["page_token"] = page["next_page_token"]

    # runs and checkpoints

    def checkpoints(self, run, **query):
        return self.pages("/api/v1/runs/%s/checkpoints" % run, limit=500, **query)

    def complete(self, run):
        return self.checkpoints(run, state="complete")

    def wait_complete(self, run, count):
        """Wait until a run has so many complete checkpoints, and return them by step.

        The run itself may still be on its way: a reload and the look at a root take a moment.
        """
        def there():
            if self.request("GET", "/api/v1/runs/" + run).status == 404:
                return None
            found = self.complete(run)
            return found if len(found) == count else None
        try:
            return wait_until(there, "run '%s' has %d complete checkpoints" % (run, count))
        except Waiting as late:
            raise Waiting("%s; there are %r" % (late, [
                (c["file"], c["state"], c["reason"]) for c in self.checkpoints(run)])) from None

    def wait_file(self, run, file, state, code=None, word=""):
        """Wait until a file has a row in this state (for this reason, said so), and return it."""
        def rows():
            return [c for c in self.checkpoints(run) if c["file"] == file]

        def there():
            for row in rows():
                reason = row["reason"] or {"code": None, "detail": ""}
                if (row["state"] == state and code in (None, reason["code"]) and
                        word in reason["detail"]):
                    return row
            return None
        what = "'%s' of run '%s' is %s %s %s" % (file, run, state, code or "", word)
        try:
            return wait_until(there, what)
        except Waiting as late:
            raise Waiting("%s; there is %r" % (late, [(c["state"], c["reason"])
                                                      for c in rows()])) from None

    # jobs

    def submit(self, **job):
        return self.post("/api/v1/jobs", job)

    def job(self, uid, **query):
        return self.get("/api/v1/jobs/" + uid, **query)

    def wait_state(self, uid, *states, seconds=DEADLINE_S):
        """Wait until a job is in one of these states, and return it."""
        def there():
            job = self.job(uid)
            if job["state"] in FINAL and job["state"] not in states:
                raise AssertionError("job is %s instead of %s: %r\n%s"
                                     % (job["state"], states, job["reason"], self.job_log(uid)))
            return job if job["state"] in states else None
        return wait_until(there, "job '%s' is %s" % (uid, " or ".join(states)), seconds)

    def wait_job(self, uid, *states, seconds=DEADLINE_S):
        """The same for a final state, without asking again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.job(uid, wait=10)
            if job["state"] in FINAL:
                if job["state"] not in (states or ("succeeded",)):
                    raise AssertionError("job is %s: %r\n%s" % (job["state"], job["reason"],
                                                                self.job_log(uid)))
                return job
        raise Waiting("job '%s' is %s after %g s" % (uid, self.job(uid)["state"], seconds))

    def run_job(self, **job):
        """Submit, wait until it has succeeded, and return it."""
        return self.wait_job(self.submit(**job)["id"])

    def fail_job(self, code, *words, **job):
        """Submit, wait until it has failed in this way, and return it."""
        done = self.wait_job(self.submit(**job)["id"], "failed")
        reason = done["reason"]
        if reason["code"] != code or not all(w in reason["detail"] for w in words):
            raise AssertionError("expected failure '%s' with %r, got %r" % (code, words, reason))
        return done

    def job_log(self, uid):
        """All that a finished job has printed: following waits for the last words of its workers."""
        reply = self.request("GET", "/api/v1/jobs/%s/logs" % uid, follow="true")
        return reply.expect(200).body.decode("utf-8", "replace")

    def artifact(self, uid, name="model.safetensors"):
        return self.request("GET", "/api/v1/jobs/%s/artifacts/%s" % (uid, name)).expect(200).body

    def trace(self, uid, **query):
        return self.get("/api/v1/jobs/%s/trace" % uid, **query)

    def workers(self):
        """Pids of the workers of this test (of all services in its scratch directory)."""
        return self.scratch.processes("sewa-worker")


class ServiceTest(unittest.TestCase):
    """A test with a scratch directory; services that it makes are stopped and judged at its end."""

    def setUp(self):
        self.scratch = Scratch()
        self.services = []
        self.addCleanup(self._close)

    def service(self, options=None, start=True, name=None, **environment):
        service = Sewad(self.scratch, options, name or "sewad%d" % len(self.services),
                        **environment)
        self.services.append(service)
        return service.start() if start else service

    def _close(self):
        close_services(self.services, self.scratch)


class SharedServiceTest(unittest.TestCase):
    """Tests that share one service: for what only reads, or uses things of its own."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.services = []
        cls.addClassCleanup(close_services, cls.services, cls.scratch)
        cls.prepare()

    @classmethod
    def prepare(cls):
        raise NotImplementedError("prepare() starts the service")

    @classmethod
    def service(cls, options, **environment):
        service = Sewad(cls.scratch, options, "sewad%d" % len(cls.services), **environment)
        cls.services.append(service)
        return service.start()


def close_services(services, scratch):
    """Stop what still runs; whatever was not clean fails the test, with the logs."""
    complaints = []
    for service in services:
        try:
            service.stop()
        except AssertionError as error:
            complaints.append(str(error))
            if service.is_alive():
                service.kill()
    logs = ["%s:\n%s" % (s.name, s.log_text()) for s in services]
    left = scratch.close()
    if left:
        complaints.append(left)
    if complaints:
        raise AssertionError("\n".join(complaints + logs))


__all__ = ["DEADLINE_S", "DIGITS", "FINAL", "HAS_FAILPOINTS", "LONG", "REPOSITORY", "Reply",
           "SANITIZED", "Scratch", "ServiceTest", "Sewad", "SharedServiceTest", "Waiting", "binary",
           "configuration", "digits_evaluator", "name_of", "needs_failpoints", "request",
           "toy_evaluator", "wait_until"]
