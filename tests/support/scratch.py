"""scratch - a directory for one test, and whatever was started for it.

Every process that a test starts carries the path of its scratch directory in its environment, and
so do the workers and evaluators that sewad starts on its behalf. That is how they are found again
(never by name: other tests run at the same time), and how a test notices that one was left behind.
Sanitized programs write their reports into the directory, so that a leak in a worker that nobody
waits for fails the test too.
"""
import os
import shutil
import signal
import tempfile
import time

MARK = "SCRATCH_OF_TEST"
DEADLINE_S = float(os.environ.get("SEWA_TEST_DEADLINE_S", "120"))


class Waiting(AssertionError):
    """Something did not come about within its deadline."""


def wait_until(question, what, seconds=DEADLINE_S, pause=0.02):
    """Ask until the answer is true, and return it; @what is said when it never is."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Waiting("%s: not within %g s, the last answer was %r" % (what, seconds, answer))
        time.sleep(pause)


def processes_of(path):
    """Pids of all living processes that were started for this directory."""
    wanted = ("%s=%s" % (MARK, path)).encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % entry, "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue  # it has ended, or is somebody else's
        if wanted in environment:
            found.append(int(entry))
    return found


def name_of(pid):
    """What the kernel calls a process, or "" when it has ended."""
    try:
        with open("/proc/%d/comm" % pid, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _make_writable(function, path, _):
    """A test may have taken rights away: give them back and try once more."""
    for each in (os.path.dirname(path), path):
        try:
            os.chmod(each, 0o700)
        except OSError:
            pass
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)
    except OSError:
        pass  # close() says that it is still there


class Scratch:
    """A directory that is removed at the end, with the processes that belong to it."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sewa-test-")
        self.sanitizer = self.join("sanitizer")
        os.mkdir(self.sanitizer)

    def join(self, *parts):
        return os.path.join(self.path, *parts)

    def directory(self, *parts):
        path = self.join(*parts)
        os.makedirs(path, exist_ok=True)
        return path

    def write(self, name, content):
        path = self.join(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def environment(self, **more):
        """For a process of this test: ours, marked, and with the reports of sanitizers caught."""
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith("SEWA_") and k not in ("NOTIFY_SOCKET", "LISTEN_FDS")}
        environment[MARK] = self.path
        report = "log_path=" + os.path.join(self.sanitizer, "report")
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            given = environment.get(name)
            environment[name] = given + ":" + report if given else report
        environment["UBSAN_OPTIONS"] += ":print_stacktrace=1"
        environment["TSAN_OPTIONS"] += ":second_deadlock_stack=1"
        environment.update(more)
        return environment

    def processes(self, name=None):
        """Pids, of one program when it is named (the kernel keeps 15 characters of a name)."""
        pids = processes_of(self.path)
        return [p for p in pids if name is None or name_of(p) == name[:15]]

    def _end_processes(self):
        """Those that do not end by themselves within some seconds were left behind."""
        end = time.monotonic() + 30
        while self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        left = [(pid, name_of(pid)) for pid in self.processes()]
        for pid, _ in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return left

    def kill_processes(self):
        """End what a killed sewad has left alive; no complaint about it."""
        while True:
            pids = self.processes()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    def reports(self):
        """What sanitizers have said."""
        texts = []
        for name in sorted(os.listdir(self.sanitizer)):
            with open(os.path.join(self.sanitizer, name), encoding="utf-8",
                      errors="replace") as file:
                texts.append("%s:\n%s" % (name, file.read()))
        return texts

    def close(self):
        """Remove everything; the complaints as one text, "" when all was left clean."""
        complaints = []
        left = self._end_processes()
        if left:
            complaints.append("processes were left behind: %r" % left)
        complaints += self.reports()
        shutil.rmtree(self.path, onerror=_make_writable)
        if os.path.exists(self.path):
            complaints.append("'%s' could not be removed" % self.path)
        return "\n".join(complaints)
