"""terminal - sewactl on a pseudo-terminal: the bar, Ctrl-C, colours, and what must not get through."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import unittest

from ctl import CtlTest
from fake import API, Content, Fake, job, reply, routes, wait_for_request
from scratch import DEADLINE_S

WAIT = "GET %s/jobs/job_1" % API
TRACE = WAIT + "/trace"
AT_WORK = job("running", progress={"iteration": 30, "iterations": 60, "evaluations": 240,
                                   "evaluations_total": 480, "eta_seconds": 12})
LOSS = reply(200, {"items": [{"iteration": 30, "loss": 0.5}]})


class Terminal:
    """sewactl with a terminal as its stderr, and as its stdout unless that is a pipe."""

    def __init__(self, ctl, *words, columns=100, pipe=False):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        ctl.environment.setdefault("TERM", "xterm")

        def own_terminal():
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        self.process = ctl.start(*words, stdin=slave, stderr=slave,
                                 stdout=subprocess.PIPE if pipe else slave,
                                 start_new_session=True, preexec_fn=own_terminal)
        os.close(slave)
        self.text = ""

    def _read(self, seconds):
        """More of what is shown; False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # nobody holds the other end any more
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, word):
        end = time.monotonic() + DEADLINE_S
        while word not in self.text:
            if time.monotonic() > end or not self._read(0.5):
                raise AssertionError("%r is not shown: %r" % (word, self.text))

    def drain(self):
        """What was written since the last time, and is there already."""
        before = len(self.text)
        while select.select([self.master], [], [], 0)[0] and self._read(0):
            pass
        return self.text[before:]

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """The exit status; all that was shown is in text, what went through a pipe in out."""
        end = time.monotonic() + DEADLINE_S
        while self._read(0.5):
            if time.monotonic() > end:
                self.process.kill()
        self.out = ""
        if self.process.stdout:
            self.out = self.process.stdout.read().decode()
            self.process.stdout.close()
        os.close(self.master)
        return self.process.wait()

    def screen(self):
        """The lines that stay: what a bar has drawn over is gone."""
        lines = []
        for line in self.text.replace("\r\n", "\n").split("\n"):
            drawn = [part for part in re.split("\r", line) if part]
            lines.append(re.sub(r"\033\[[JK]", "", drawn[-1]) if drawn else "")
        return [line for line in lines if line]

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


class Emulator:
    """What is to be seen of a terminal that breaks its lines anew when its width changes: whole
    lines, and the cursor as a place in one of them. Without a last row."""

    def __init__(self, columns):
        self.columns = columns
        self.lines = [""]
        self.row, self.at = 0, 0

    def feed(self, text):
        for piece in re.findall(r"\033\[\d*[A-Za-z]|[^\033]", text):
            line = self.lines[self.row]
            first = self.at // self.columns * self.columns  # of what looks like a line
            if piece == "\r":
                self.at = first
            elif piece == "\n":
                assert self.at + self.columns >= len(line), "a line end within a broken line"
                self.row += 1
                self.at = 0
                if self.row == len(self.lines):
                    self.lines.append("")
            elif piece == "\033[J":
                del self.lines[self.row + 1:]
                self.lines[self.row] = line[:self.at]
            elif piece == "\033[K":
                rest = line[first + self.columns:]
                self.lines[self.row] = line[:self.at].ljust(first + self.columns) + rest if rest \
                    else line[:self.at]
            else:
                assert len(piece) == 1, piece
                self.lines[self.row] = line[:self.at] + piece + line[self.at + 1:]
                self.at += 1

    def rows(self):
        shown = []
        for line in self.lines:
            shown += [line[i:i + self.columns] for i in range(0, max(1, len(line)), self.columns)]
        return [row for row in shown if row.strip()]


class TerminalTest(CtlTest):
    def run_ctl(self, answer, *words, environment=None, **more):
        with Fake(answer if callable(answer) else lambda request: answer) as fake:
            terminal = Terminal(self.ctl(fake.url, **(environment or {})), *words, **more)
            self.status = terminal.end()
            self.requests = fake.paths()
            return terminal


class Bar(TerminalTest):
    def table(self, *answers):
        return routes({WAIT: list(answers), TRACE: LOSS})

    def test_it_moves_and_goes(self):
        answer = self.table(reply(200, job("queued"), ETag='"v1"'), reply(200, AT_WORK, ETag='"v2"'),
                            iter([0.3, reply(200, job("succeeded"), ETag='"v3"')]))
        terminal = self.run_ctl(answer, "job", "watch", "job_1", pipe=True)
        self.assertEqual(self.status, 0)
        self.assertIn("\r\033[Jqueued [", terminal.text)
        self.assertRegex(terminal.text, r"\r\033\[Jrunning \[#{20}\.{20}\] 30/60  loss 0\.5000  12 s left")
        self.assertTrue(terminal.text.endswith("\r\033[J"), terminal.text)
        self.assertEqual(terminal.screen(), [])
        self.assertIn("state           succeeded\n", terminal.out)
        self.assertNotIn("\033", terminal.out)

    def test_it_fits_a_narrow_terminal(self):
        for columns in (10, 25, 47):
            answer = self.table(reply(200, AT_WORK, ETag='"v1"'),
                                iter([0.2, reply(200, job("succeeded"), ETag='"v2"')]))
            terminal = self.run_ctl(answer, "job", "wait", "job_1", columns=columns, pipe=True)
            drawn = [d.replace("\033[J", "") for d in terminal.text.split("\r")]
            self.assertLess(max(map(len, drawn)), columns)
            self.assertGreater(max(map(len, drawn)), 5)

    def test_a_terminal_made_narrower_and_wider(self):
        """Nothing is left of a bar that was broken into several lines, and the next one fits."""
        turns = [threading.Event() for _ in range(3)]
        count = []

        def answer(request):
            if "trace" in request.path:
                return LOSS
            n = len(count)
            count.append(n)
            if n == 0:
                return reply(200, AT_WORK, ETag='"v0"')
            turns[n - 1].wait(DEADLINE_S)
            state = job("succeeded") if n == len(turns) else dict(AT_WORK, labels={"n": str(n)})
            return reply(200, state, ETag='"v%d"' % n)
        with Fake(answer) as fake:
            terminal = Terminal(self.ctl(fake.url), "job", "watch", "job_1", columns=100, pipe=True)
            emulator = Emulator(100)
            for n, columns in enumerate((31, 17, 100)):
                end = time.monotonic() + DEADLINE_S
                while len(count) < n + 2 and time.monotonic() < end:
                    time.sleep(0.01)
                emulator.feed(terminal.drain())  # it draws before it asks
                self.assertEqual([row[:7] for row in emulator.rows()], ["running"], emulator.rows())
                terminal.resize(columns)
                emulator.columns = columns
                turns[n].set()
            before = len(terminal.text)
            self.assertEqual(terminal.end(), 0)
            emulator.feed(terminal.text[before:])
        self.assertEqual(emulator.rows(), [])

    def test_there_is_none_when_it_is_not_wanted(self):
        for words in (["-q"], ["--progress", "none"]):
            answer = self.table(reply(200, AT_WORK), iter([0.2, reply(200, job("succeeded"))]))
            terminal = self.run_ctl(answer, "job", "wait", "job_1", *words, pipe=True)
            self.assertEqual((self.status, terminal.text), (0, ""))
            self.assertFalse([r for r in self.requests if "trace" in r])

    def test_of_a_transfer(self):
        content = Content(bytes(3000000))

        def file(request):
            whole = content.answer(request)
            return iter([whole[:1000000], 0.3, whole[1000000:2000000], 0.3, whole[2000000:]])
        listing = "GET %s/jobs/job_1/artifacts" % API
        answer = routes({listing: content.listing(), listing + "/model.safetensors": file})
        terminal = self.run_ctl(answer, "job", "pull", "job_1", "-O", "m", pipe=True)
        self.assertEqual((self.status, terminal.out), (0, "m\n"))
        self.assertRegex(terminal.text, r"\r\033\[Jmodel.safetensors \[#+\.+\] [0-9.]+ [kM]B of 3\.0 MB  [0-9]")
        self.assertEqual(terminal.screen(), ["sewactl: 'm': 3.0 MB"])


class Interrupt(TerminalTest):
    def press(self, *words):
        """Ctrl-C while a job is waited for."""
        waiting = lambda request: (iter([60]) if "wait=" in request.path  # noqa: E731
                                   else reply(200, AT_WORK, ETag='"v1"'))
        answer = routes({WAIT: waiting, TRACE: LOSS, WAIT + "/logs": lambda request: iter([60]),
                         "POST %s/jobs" % API: reply(201, job("queued"), ETag='"v0"')})
        with Fake(answer) as fake:
            terminal = Terminal(self.ctl(fake.url), *words, pipe=True)
            if "logs" in words:
                wait_for_request(fake)
            else:
                wait_for_request(fake, 2)
            time.sleep(0.2)  # in the middle of something
            terminal.type(b"\x03")
            status = terminal.end()
            self.assertEqual(status, 130, terminal.text)
            self.assertFalse([r for r in fake.paths() if "cancel" in r or r.startswith("DELETE")])
        return terminal

    def test_it_detaches_and_says_how_to_come_back(self):
        for words in (["job", "watch", "job_1"], ["job", "wait", "job_1"],
                      ["job", "submit", "-r", "d", "--wait"],
                      ["job", "wait", "job_1", "--progress", "none"]):
            terminal = self.press(*words)
            self.assertEqual(terminal.screen()[-1], "sewactl: the job goes on; come back with: "
                             "sewactl job watch job_1")
            self.assertEqual(terminal.out, "")

    def test_of_a_log(self):
        self.press("job", "logs", "job_1", "-f")

    def test_quietly(self):
        self.assertEqual(self.press("job", "wait", "job_1", "-q").screen(), ["^C"])

    def test_one_that_is_ignored_stays_ignored(self):
        go_on = []
        answer = routes({WAIT: lambda r: reply(200, job("succeeded" if go_on else "running"))})
        with Fake(answer) as fake:
            process = self.ctl(fake.url).start(
                "job", "wait", "job_1",
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
            wait_for_request(fake, 2)
            process.send_signal(signal.SIGINT)
            count = len(fake.requests)
            wait_for_request(fake, count + 2)
            go_on.append(True)
            process.communicate()
            self.assertEqual(process.returncode, 0)


class Screen(TerminalTest):
    JOBS = reply(200, {"items": [job("succeeded", "job_%026d" % 1, run="a-very-long-name-of-a-run" * 3),
                                 job("failed", "job_%026d" % 2)], "next_page_token": None})

    def test_colors(self):
        terminal = self.run_ctl(self.JOBS, "job", "list")
        self.assertIn("\033[32msucceeded\033[0m", terminal.text)
        self.assertIn("\033[31mfailed\033[0m", terminal.text)
        for words, environment in ((["--no-color"], {}), ([], {"NO_COLOR": "1"}),
                                   ([], {"TERM": "dumb"}), ([], {"TERM": ""})):
            terminal = self.run_ctl(self.JOBS, "job", "list", *words, environment=environment)
            self.assertNotIn("\033", terminal.text)
        self.assertNotIn("\033", self.run_ctl(self.JOBS, "job", "list", pipe=True).out)

    def test_tables_fit(self):
        terminal = self.run_ctl(self.JOBS, "job", "list", "--no-color", columns=110)
        lines = terminal.screen()
        self.assertEqual(len(lines), 3)
        self.assertLessEqual(max(map(len, lines)), 110)
        self.assertIn("a-very-long-name", lines[1])
        self.assertIn("\u2026", lines[1])
        wide = self.run_ctl(self.JOBS, "job", "list", pipe=True).out
        self.assertIn("a-very-long-name-of-a-run" * 3, wide)

    def test_logs(self):
        text = "a\033[2Jb\r50%\r\n\u00e4\u4e2d\tc\u009b31m\n".encode() + b"\xff"
        terminal = self.run_ctl(reply(200, text), "job", "logs", "job_1")
        self.assertEqual(terminal.text.replace("\r\n", "\n"),
                         "a\\u001b[2Jb\n50%\n\u00e4\u4e2d\tc\\u009b31m\n\\xff")
        self.assertEqual(self.run_ctl(reply(200, b"plain\n"), "job", "logs", "job_1",
                                      pipe=True).out, "plain\n")

    def test_characters_that_arrive_in_two_pieces(self):
        text = "\u00e4\u4e2d\U0001f600\r\n".encode()
        whole = reply(200, text)
        at = len(whole) - len(text)
        for cut in range(at, len(whole)):
            terminal = self.run_ctl(lambda r, n=cut: iter([whole[:n], 0.05, whole[n:]]),
                                    "job", "logs", "job_1")
            self.assertEqual(terminal.text, text.decode())

    def test_json(self):
        body = '{"id":"job_1","state":"queued","x":"\u009b31m\u202eabc"}'
        terminal = self.run_ctl(reply(200, body), "job", "show", "job_1", "-o", "json")
        self.assertIn("\\u009b31m\\u202eabc", terminal.text)
        self.assertEqual(self.run_ctl(reply(200, body), "job", "show", "job_1", "-o", "json",
                                      pipe=True).out, body + "\n")


if __name__ == "__main__":
    unittest.main()
