"""ctl - sewactl under test: run it in an environment that says nothing, and look at its two voices."""
import json
import os
import subprocess
import unittest

from scratch import DEADLINE_S, Scratch
from sewa import binary


class Outcome:
    """What a command has left: its exit status, and stdout and stderr as text."""

    def __init__(self, words, status, out, err):
        self.words = words
        self.status = status
        self.out = out
        self.err = err

    def __str__(self):
        return "sewactl %s\nstatus %d\nstdout: %s\nstderr: %s" % (
            " ".join(self.words), self.status, self.out[:3000], self.err[:3000])

    def json(self):
        return json.loads(self.out)

    def expect(self, status, *words):
        """Check the exit status, and that stderr holds these words."""
        missing = [w for w in words if w not in self.err]
        if self.status != status or missing:
            raise AssertionError("expected status %d, and %r on stderr:\n%s" % (status, missing, self))
        return self


class Ctl:
    """A sewactl that talks to one address."""

    def __init__(self, scratch, url=None, **environment):
        self.folder = scratch.directory("ctl")
        more = {"HOME": self.folder, "XDG_CONFIG_HOME": self.folder, "LC_ALL": "C.UTF-8"}
        if url:
            more["SEWA_URL"] = url
        more.update(environment)
        self.environment = scratch.environment(**more)
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_COLOR"):
            for each in (name, name.upper()):
                if each not in environment:
                    self.environment.pop(each, None)

    def start(self, *words, **more):
        """The bare process."""
        options = dict({"cwd": self.folder, "env": self.environment, "stdin": subprocess.DEVNULL,
                        "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}, **more)
        return subprocess.Popen([binary("sewactl"), *words], **options)

    def __call__(self, *words, stdin=None, **more):
        if stdin is not None:
            more["stdin"] = subprocess.PIPE
        process = self.start(*words, **more)
        try:
            out, err = process.communicate(stdin, timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError("sewactl %s does not end" % " ".join(words)) from None
        return Outcome(words, process.returncode, (out or b"").decode("utf-8", "surrogateescape"),
                       (err or b"").decode("utf-8", "surrogateescape"))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)


class CtlTest(unittest.TestCase):
    """A test with a scratch directory, where reports of sanitizers fail it."""

    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self._close)

    def _close(self):
        complaints = self.scratch.close()
        if complaints:
            self.fail(complaints)

    def ctl(self, url=None, **environment):
        return Ctl(self.scratch, url, **environment)

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()
