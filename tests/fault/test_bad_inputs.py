"""bad_inputs - one table of what can be wrong, each with its code and words of its message.

After every row the same service still answers, and makes an average.
"""
import os
import re
import subprocess
import sys
import unittest

import tensors
from sewa import (DEADLINE_S, SharedServiceTest, binary, configuration, digits_evaluator,
                  toy_evaluator)
from toys import toy_run, toy_service, toy_tensors

JOBS = "/api/v1/jobs"
RUNS = "/api/v1/runs"
CKPT = "/api/v1/checkpoints/ckpt_01M80RZV076AQ7VDGFJNS8N6Y0"

# ---- requests: (what, method, path, body, status, code, words) ----

REQUESTS = [
    ("no JSON at all", "POST", JOBS, b"{run: toy}", 400, "bad_json", ["1"]),
    ("cut off", "POST", JOBS, b'{"run": "toy"', 400, "bad_json", []),
    ("not UTF-8", "POST", JOBS, b'{"run": "\xff\xfe"}', 400, "bad_json", []),
    ("a key twice", "POST", JOBS, b'{"run": "toy", "run": "toy"}', 400, "bad_json", ["run"]),
    ("a list", "POST", JOBS, b"[]", 422, "invalid", ["object"]),
    ("a hundred levels", "POST", JOBS, b'{"labels": ' + b"[" * 5000, 400, "bad_json", []),
    ("larger than allowed", "POST", JOBS, b" " * (3 << 20), 413, "too_large", []),
    ("an unknown field", "POST", JOBS, {"run": "toy", "metod": "last"}, 422, "unknown_field",
     ["metod"]),
    ("a number for a text", "POST", JOBS, {"run": 7}, 422, "invalid", ["run"]),
    ("a run that is not there", "POST", JOBS, {"run": "nobody", "method": "last"}, 422,
     "unknown_name", ["nobody"]),
    ("a run that is nearly there", "POST", JOBS, {"run": "yot", "method": "last"}, 422,
     "unknown_name", ["'yot'; is it 'toy'?"]),
    ("neither run nor checkpoints", "POST", JOBS, {"method": "last"}, 422, "invalid",
     ["checkpoints"]),
    ("an unknown method", "POST", JOBS, {"run": "toy", "method": "magic"}, 422, "unknown_name",
     ["magic", "there are last, best, uniform"]),
    ("no evaluator", "POST", JOBS, {"run": "toy"}, 422, "invalid", ["evaluator"]),
    ("an unknown evaluator", "POST", JOBS, {"run": "toy", "evaluator": "no"}, 422, "unknown_name",
     ["'no'", "toy"]),
    ("an evaluator that is nearly there", "POST", JOBS, {"run": "toy", "evaluator": "toi"}, 422,
     "unknown_name", ["'toi'", "is it 'toy'?"]),
    ("an unknown evaluator to be shown", "GET", "/api/v1/evaluators/toi", None, 404, "not_found",
     ["is it 'toy'?"]),
    ("an unknown evaluator to be checked", "POST", "/api/v1/evaluators/toi/check", {"run": "toy"},
     404, "not_found", ["is it 'toy'?"]),
    ("no window", "POST", JOBS, {"run": "toy", "method": "last", "window": 0}, 422, "invalid",
     ["window", "0"]),
    ("half a checkpoint", "POST", JOBS, {"run": "toy", "method": "last", "window": 1.5}, 422,
     "invalid", ["window"]),
    ("a whole number beyond 64 bits", "POST", JOBS,
     b'{"run": "toy", "method": "last", "params": {"iterations": 99999999999999999999}}', 422,
     "invalid", ["99999999999999999999", "64 bits"]),
    ("more than any number", "POST", JOBS, b'{"run": "toy", "method": "last", "seed": 1e999}', 400,
     "bad_json", []),
    ("select of uniform", "POST", JOBS, {"run": "toy", "method": "uniform", "select": 2}, 422,
     "invalid", ["select"]),
    ("select of more than there are", "POST", JOBS,
     {"run": "toy", "evaluator": "toy", "select": 7}, 422, "invalid", ["7", "6"]),
    ("an unknown parameter", "POST", JOBS,
     {"run": "toy", "evaluator": "toy", "params": {"iteration": 3}}, 422, "unknown_field",
     ["'iteration'; is it 'iterations'?", "learning_rate"]),
    ("no iterations", "POST", JOBS, {"run": "toy", "evaluator": "toy", "params": {"iterations": 0}},
     422, "invalid", ["iterations"]),
    ("a window that nothing is in", "POST", JOBS, {"run": "toy", "method": "last", "min_step": 900},
     422, "no_candidates", ["toy"]),
    ("an output that is no type", "POST", JOBS,
     {"run": "toy", "method": "last", "output": {"dtype": "F8"}}, 422, "invalid", ["F8"]),
    ("labels that are no texts", "POST", JOBS, {"run": "toy", "method": "last", "labels": {"a": 1}},
     422, "invalid", ["labels"]),
    ("a checkpoint that is not there", "POST", JOBS,
     {"checkpoints": [CKPT.rsplit("/", 1)[1]], "method": "last"}, 422, "unknown_name", ["ckpt_"]),
    ("a run outside of the roots", "POST", RUNS, {"name": "x", "path": "/etc"}, 403, "forbidden",
     ["/etc", "allowed_roots"]),
    ("a name that is no name", "POST", RUNS, {"name": "../x", "path": "/etc"}, 422, "invalid",
     ["name"]),
    ("a patch of what cannot be set", "PATCH", RUNS + "/toy", {"id": "run_1"}, 422,
     "unknown_field", ["id"]),
    ("a metric that is no number", "PATCH", CKPT, {"metrics": {"a": "b"}}, 422, "invalid",
     ["metric 'a'"]),
    ("a checkpoint to be shown", "GET", CKPT, None, 404, "not_found", ["ckpt_"]),
    ("a path that is not there", "GET", "/api/v1/nothing", None, 404, "not_found", ["nothing"]),
    ("a method that is not allowed", "PUT", JOBS, {}, 405, "method_not_allowed", ["method"]),
    ("a limit that is none", "GET", JOBS + "?limit=many", None, 422, "invalid", ["limit"]),
    ("a token that is none", "GET", JOBS + "?page_token=zz", None, 422, "invalid", ["page_token"]),
    ("a query that is not known", "GET", JOBS + "?stat=failed", None, 422, "unknown_field",
     ["stat", "is it 'state'? There are limit, "]),
    ("a worker without a token", "POST", "/api/v1/worker/hello", {}, 404, "not_found", []),
]

# ---- configurations: (what, lines, words of the message) ----

CONFIGURATIONS = [
    ("an unknown option", 'lisen = "127.0.0.1:0"', ["lisen"]),
    ("a text for a number", 'settle_seconds = "soon"', ["settle_seconds"]),
    ("out of range", "scan_interval_seconds = 0", ["scan_interval_seconds"]),
    ("an open quote", 'listen = "127.0.0.1', []),
    ("an open section", 'run "x" {', []),
    ("a run twice", 'run "x" { path = "/a" }\nrun "x" { path = "/b" }', ["x"]),
    ("a run without a path", 'run "x" { pattern = "step-{step}" }', ["path"]),
    ("a relative path", 'run "x" { path = "here" }', ["here"]),
    ("a pattern without a step", 'run "x" { path = "/a"\npattern = "model.bin" }', ["{step}"]),
    ("a name that is no name", 'run "../x" { path = "/a" }', ["../x"]),
    ("an evaluator without a command", 'evaluator "x" { timeout_seconds = 5 }', ["command"]),
    ("options that are no JSON", 'evaluator "x" { command = {"true"}\noptions = "{oops" }',
     ["options"]),
    ("an option twice", 'listen = "127.0.0.1:0"', ["listen is set twice"]),
    ("an address that is none", 'listen = "localhost"', ["localhost"]),
    ("an include that is not there", 'include "nowhere.conf"', ["nowhere.conf"]),
    ("an include of itself", 'include "bad.conf"', ["bad.conf"]),
    ("tokens", 'authentication = "tokens"', ["tokens"]),
]

WITHOUT_LINE = ("tokens",)

# ---- evaluators: (what, options or a configuration, code, words) ----

BEST = {"method": "best", "window": 3}
PROGRAM = [sys.executable, "-c"]

EVALUATORS = [
    ("a program that is not there", {"command": ["/nowhere/evaluate"]}, "evaluator_start",
     ["/nowhere/evaluate", "No such file"]),
    ("a program that is a text", {"command": [__file__]}, "evaluator_start", ["test_bad_inputs"]),
    ("a program that is a directory", {"command": ["/tmp"]}, "evaluator_start", ["/tmp"]),
    ("a working directory that is not there",
     {"command": ["/bin/true"], "directory": "/nowhere/at/all"}, "evaluator_start",
     ["/nowhere/at/all"]),
    ("true: it ends at once, content", {"command": ["/bin/true"]}, "evaluator_start", ["status 0"]),
    ("it ends at once", {"fault": "exit_at_start"}, "evaluator_start", ["status 7"]),
    ("its last words are in the message", {"command": PROGRAM + ["raise SystemExit('no data')"]},
     "evaluator_start", ["no data"]),
    ("it says why it cannot start", {"fault": "give_up_at_start"}, "evaluator_start",
     ["no data at this place"]),
    ("it kills itself", {"command": PROGRAM + ["import os; os.kill(os.getpid(), 11)"]},
     "evaluator_start", ["SIGSEGV"]),
    ("rubbish instead of a greeting", {"fault": "rubbish_at_start"}, "evaluator_start",
     ["this is no JSON"]),
    ("it never gets ready", dict(toy_evaluator({"fault": "hang_at_start"}),
                                 start_timeout_seconds=1), "evaluator_start",
     ["within 1 s"]),
    ("another version of the protocol", {"fault": "protocol_2"}, "evaluator_start", ["protocol 2"]),
    ("without a split to select on", {"fault": "no_selection"}, "evaluator_start", ["selection"]),
    ("other tensors", {"tensors": ["layers.0.weight"]}, "evaluator_mismatch", ["layers.0.weight"]),
    ("other shapes", {"fault": "mismatch"}, "evaluator_mismatch", ["[12, 48]", "[10, 48]"]),
    ("parameters that are not there", {"fault": "bad_parameters"}, "evaluator_mismatch",
     ["no.such.tensor"]),
    ("a metric without a direction", {"fault": "bad_metric"}, "evaluator_start", ["direction"]),
    ("the digits' evaluator for toys", digits_evaluator(), "evaluator_mismatch",
     ["'b'", "network"]),
    ("it hangs", dict(toy_evaluator({"fault": "hang"}), timeout_seconds=1), "evaluator_timeout",
     ["within 1 s", "3 times"]),
    ("it dies", {"fault": "die"}, "evaluator_died", ["SIGKILL", "3 times"]),
    ("it exits", {"fault": "exit"}, "evaluator_died", ["status 7", "3 times"]),
    ("rubbish", {"fault": "rubbish"}, "evaluator_protocol", ["JSON"]),
    ("a line without an end", {"fault": "endless_line"}, "evaluator_protocol", ["line"]),
    ("an unknown message", {"fault": "unknown_type"}, "evaluator_protocol", ["greeting"]),
    ("an answer to another question", {"fault": "wrong_id"}, "evaluator_protocol",
     ["no answer to request"]),
    ("no loss", {"fault": "no_loss"}, "evaluator_protocol", ["loss"]),
    ("a loss in words", {"fault": "text_loss"}, "evaluator_protocol", ["loss"]),
    ("not a number, for every candidate", {"fault": "nan"}, "evaluator_nonfinite",
     ["steps 400 to 600"]),
    ("infinity, for every candidate", {"fault": "inf"}, "evaluator_nonfinite",
     ["steps 400 to 600"]),
    ("an error with its traceback", {"fault": "error"}, "evaluator_error",
     ["the data is not what it was"]),
]


# ---- checkpoints that go wrong under a job that has been accepted ----


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


def touch(path):
    os.utime(path, (1, 1))


def overwrite_header(path):
    """Same size, same time, another header."""
    times = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(8)
        file.write(b'{"x"')
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace(path):
    tensors.write(path, toy_tensors(99, size=16))


def to_directory(path):
    os.unlink(path)
    os.mkdir(path)


def to_fifo(path):
    os.unlink(path)
    os.mkfifo(path)


def to_dangling_link(path):
    os.unlink(path)
    os.symlink("nowhere", path)


def to_link_loop(path):
    os.unlink(path)
    os.symlink(path, path)


def remove_directory(path):
    os.rename(os.path.dirname(path), os.path.dirname(path) + ".away")


# (what, how, code, words)
CHECKPOINTS = [
    ("it vanishes", os.unlink, "gone", ["cannot open", "No such file"]),
    ("its directory vanishes", remove_directory, "gone", ["cannot open"]),
    ("it is cut off", cut, "changed", ["bytes"]),
    ("it grows", grow, "changed", ["bytes"]),
    ("it was touched", touch, "changed", ["was modified"]),
    ("another header in the same file", overwrite_header, "changed", ["step-600"]),
    ("another checkpoint in its place", replace, "changed", ["bytes"]),
    ("a directory in its place", to_directory, "changed", ["not the file that was indexed"]),
    ("a pipe in its place", to_fifo, "changed", ["regular file"]),
    ("a link to nowhere", to_dangling_link, "changed", ["symbolic link"]),
    ("a link to itself", to_link_loop, "changed", ["symbolic link"]),
]


class BadInputs(SharedServiceTest):
    @classmethod
    def prepare(cls):
        evaluators = {"toy": toy_evaluator()}
        for i, (_, given, _, _) in enumerate(EVALUATORS):
            evaluators["bad%d" % i] = given if "command" in given else toy_evaluator(given)
        # an evaluator that does not start is tried three times, with pauses
        cls.sewad = toy_service(cls, evaluators, SEWA_FAILPOINT="jobs_rest_ms=value:20")
        cls.peace = cls.sewad.artifact(cls.sewad.run_job(run="toy", method="uniform")["id"])
        cls.pid = cls.sewad.process.pid

    def assert_goes_on(self):
        self.assertTrue(self.sewad.is_alive())
        self.assertEqual(self.sewad.process.pid, self.pid)
        done = self.sewad.run_job(run="toy", method="uniform")
        self.assertEqual(self.sewad.artifact(done["id"]), self.peace)

    def test_requests(self):
        for what, method, path, body, status, code, words in REQUESTS:
            with self.subTest(what=what):
                headers = {"Content-Type": "application/json"} if isinstance(body, bytes) else None
                self.sewad.request(method, path, body, headers).problem(status, code, *words)
        self.assert_goes_on()

    def test_configurations(self):
        """Each is refused by a check, and by the running service, which keeps what it has."""
        good = configuration(self.sewad.options)
        for what, lines, words in CONFIGURATIONS:
            with self.subTest(what=what):
                with open(self.sewad.config, "w", encoding="utf-8") as file:
                    file.write(good + lines)
                check = subprocess.run(
                    [binary("sewad"), "--config", self.sewad.config, "--check-config"],
                    env=self.scratch.environment(), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=DEADLINE_S,
                    check=False)
                said = check.stderr.decode()
                self.assertEqual(check.returncode, 1, said)
                if what not in WITHOUT_LINE:
                    self.assertRegex(said, r"^%s:\d+: " % re.escape(self.sewad.config))
                for word in words:
                    self.assertIn(word, said)
                self.sewad.hang_up(refused=True)
                self.assertIn(said.strip(), self.sewad.log_text())
                self.assert_goes_on()
        self.sewad.configure()
        self.sewad.hang_up()
        self.assert_goes_on()

    def test_evaluators(self):
        for i, (what, _, code, words) in enumerate(EVALUATORS):
            with self.subTest(what=what):
                done = self.sewad.fail_job(code, *words, run="toy", evaluator="bad%d" % i, **BEST)
                self.assertEqual((done["artifacts"], done["result"]), ([], None))
                self.assert_goes_on()

    def test_checkpoints(self):
        """The job is queued behind another one while its newest checkpoint goes wrong."""
        gate = self.scratch.join("gate")
        sewad = self.service({"allowed_roots": [self.scratch.path],
                              "evaluator": {"gated": toy_evaluator({"gate": gate})}})
        self.addCleanup(self.scratch.write, "gate", "")
        toy_run(self.scratch.join("gated"))
        sewad.post(RUNS, {"name": "gated", "path": self.scratch.join("gated")})
        sewad.wait_complete("gated", 6)
        for i, (what, spoil, code, words) in enumerate(CHECKPOINTS):
            with self.subTest(what=what):
                run = "run%d" % i
                paths = toy_run(self.scratch.join(run))
                sewad.post(RUNS, {"name": run, "path": self.scratch.join(run)})
                sewad.wait_complete(run, 6)
                first = sewad.submit(run="gated", evaluator="gated", method="best")["id"]
                sewad.wait_state(first, "running")
                second = sewad.submit(run=run, method="uniform", window=3)["id"]
                spoil(paths[600])
                self.scratch.write("gate", "")
                sewad.wait_job(first)
                os.unlink(gate)
                done = sewad.wait_job(second, "failed")
                self.assertEqual(done["reason"]["code"], code, done["reason"])
                for word in words:
                    self.assertIn(word, done["reason"]["detail"])
                self.assertEqual((done["artifacts"], done["result"]), ([], None))
                # what has not changed can be averaged still
                if spoil is not remove_directory:
                    self.assertIn("step-600.safetensors", done["reason"]["detail"])
                    sewad.run_job(run=run, method="uniform", max_step=500)
        self.assert_goes_on()


if __name__ == "__main__":
    unittest.main(verbosity=2)
