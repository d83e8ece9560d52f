"""service - every command of sewactl against a real sewad, with workers and evaluators."""
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import unittest

from ctl import Ctl
from sewa import DIGITS, ServiceTest, SharedServiceTest, binary, digits_evaluator, toy_evaluator, \
    wait_until
from toys import toy_run, toy_service

COUNT = 20


def train(scratch, directory):
    subprocess.run([binary("sewa-mlp"), "train", "--data", DIGITS, "--out", directory,
                    "--layers", "64,16,10", "--burn-in", "200", "--steps", "200", "--every", "10",
                    "--label-noise", "0.3", "--seed", "1"],
                   check=True, stdout=subprocess.DEVNULL, env=scratch.environment())


def end(connection):
    """Whoever reads from it or writes to it gets to know."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already


class Door:
    """A unix socket that leads to a sewad, wherever it listens by now: an address that stays."""

    def __init__(self, path, sewad):
        self.path = path
        self.sewad = sewad
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.connections = []
        self.threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        end(self.listener)
        self.threads[0].join()
        for connection in self.connections:
            end(connection)
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                inside = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(inside)
            self.threads.append(threading.Thread(target=self._serve, args=(inside,)))
            self.threads[-1].start()

    def _serve(self, inside):
        with inside:
            host, port = self.sewad.address.rsplit(":", 1)
            try:
                outside = socket.create_connection((host, int(port)))
            except OSError:
                return
            with outside:
                back = threading.Thread(target=self._carry, args=(outside, inside))
                back.start()
                self._carry(inside, outside)
                back.join()

    def _carry(self, source, sink):
        """Until one side ends; then both do."""
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        end(source)
        end(sink)


class Digits(SharedServiceTest):
    """A run, jobs of some tenths of a second, and what is left of them."""

    @classmethod
    def prepare(cls):
        train(cls.scratch, cls.scratch.join("digits"))
        toy_run(cls.scratch.join("toy"))
        toy_run(cls.scratch.join("cron"))
        broken = {"fault": "die", "say": ["about to \033[31mdie"]}
        once = {"fault": "mismatch", "once": cls.scratch.join("once"),
                "gate": cls.scratch.join("cron-gate")}
        cls.sewad = cls.service({
            "run": {"digits": {"path": cls.scratch.join("digits")},
                    "toy": {"path": cls.scratch.join("toy")},
                    "cron": {"path": cls.scratch.join("cron")}},
            "evaluator": {"digits": digits_evaluator(), "broken": toy_evaluator(broken),
                          "once": toy_evaluator(once)},
            "allowed_roots": [cls.scratch.path]})
        cls.sewad.wait_complete("digits", COUNT)
        cls.sewad.wait_complete("toy", 6)
        cls.sewad.wait_complete("cron", 6)
        cls.ctl = Ctl(cls.scratch, "http://" + cls.sewad.address)

    def submit(self, *words):
        return self.ctl("job", "submit", "-r", "digits", "-q", *words).expect(0).out.strip()

    def done(self, *words):
        """The id of a job that has succeeded."""
        return self.ctl("job", "submit", "-r", "digits", "-m", "lawa", "-k", "5", "--wait", "-o", "name",
                        *words).expect(0).out.strip()

    def test_the_lines_of_the_readme(self):
        shown = self.ctl("job", "submit", "--run", "digits", "--method", "sewa", "--window", "100",
                         "--select", "10", "--evaluator", "digits", "--wait").expect(0).out
        uid = shown.split()[1]
        self.assertTrue(uid.startswith("job_"))
        for word in ("succeeded", "verdict ", "selected        10 of %d" % COUNT, "REPORT LOSS",
                     "uniform ", "lawa ", "model.safetensors ("):
            self.assertIn(word, shown)
        self.assertEqual(self.ctl("job", "show", uid).expect(0).out, shown)
        outcome = self.ctl("job", "pull", uid, "-O", "averaged/").expect(0)
        self.assertEqual(set(outcome.out.split()), {"averaged/model.safetensors",
                                                    "averaged/manifest.json"})
        job = self.sewad.job(uid)
        for artifact in job["artifacts"]:
            with open(self.ctl.path("averaged", artifact["name"]), "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).hexdigest(), artifact["sha256"])
        cron = ("job", "submit", "--run", "digits", "--method", "sewa", "--evaluator", "digits",
                "--if-new-checkpoints", "10", "--idempotency-key", "auto")
        outcome = self.ctl(*cron).expect(0, "nothing to do")
        self.assertEqual(outcome.out, "")
        self.ctl(*cron).expect(0, "nothing to do")

    def test_runs(self):
        table = self.ctl("run", "list").expect(0).out
        self.assertIn("digits", table)
        self.assertEqual(set(self.ctl("run", "list", "-o", "name").out.split()) & {"digits", "toy"},
                         {"digits", "toy"})
        self.assertEqual(self.ctl("run", "show", "digits", "-o", "json").json(),
                         self.sewad.get("/api/v1/runs/digits"))
        path = self.scratch.directory("new")
        outcome = self.ctl("run", "create", "new", "--path", path, "--pattern", "s-{step}.safetensors",
                           "--settle-seconds", "0", "-l", "a=b", "-l", "c=d", "-o", "json").expect(0)
        self.assertEqual(outcome.json()["labels"], {"a": "b", "c": "d"})
        self.assertIn(path, self.ctl("run", "show", "new").expect(0).out)
        self.ctl("run", "create", "new", "--path", path).expect(4)
        self.ctl("run", "create", "etc", "--path", "/etc").expect(5)
        self.ctl("run", "create", "x").expect(2, "--path is missing")
        self.ctl("run", "create", "a b", "--path", path).expect(1)
        self.ctl("run", "delete", "digits").expect(4)
        self.ctl("run", "delete", "nope", "new").expect(3, "run 'new' is forgotten")
        self.ctl("run", "show", "new").expect(3)

    def test_checkpoints(self):
        names = self.ctl("checkpoint", "list", "digits", "-o", "name").expect(0).out.split()
        self.assertEqual(len(names), COUNT)
        outcome = self.ctl("checkpoint", "list", "digits", "--state", "complete", "--min-step", "250",
                           "--max-step", "300", "--order-by", "step desc", "-o", "jsonl").expect(0)
        steps = [json.loads(line)["step"] for line in outcome.out.splitlines()]
        self.assertEqual(steps, [300, 290, 280, 270, 260, 250])
        self.assertIn("step-300.safetensors", self.ctl("checkpoint", "list", "digits").out)
        shown = self.ctl("checkpoint", "show", names[0]).expect(0).out
        self.assertIn("parameters      1210 in 4 tensors", shown)
        self.assertEqual(self.ctl("checkpoint", "list", "digits", "--all", "-o", "json").json(),
                         self.sewad.get("/api/v1/runs/digits/checkpoints"))
        more = self.ctl("checkpoint", "list", "digits", "--limit", "7").expect(0, "there are more")
        self.assertEqual(len(more.out.splitlines()), 8)
        table = self.ctl("checkpoint", "tensors", names[0]).expect(0).out
        self.assertEqual(len(table.splitlines()), 5)
        self.assertRegex(table, r"\nlayers?\.\S+weight +F32 +\d+ x \d+ +[0-9.]+ k?B +- +-\n")
        path = "/api/v1/checkpoints/%s/tensors" % names[0]
        self.assertEqual(self.ctl("checkpoint", "tensors", names[0], "-o", "json").json(),
                         self.sewad.get(path))
        parts = self.ctl("checkpoint", "tensors", names[0], "--limit", "3", "-o", "name").expect(
            0, "there are more tensors")
        self.assertEqual(parts.out.split(), [t["name"] for t in self.sewad.get(path)["items"]][:3])
        self.ctl("checkpoint", "tensors", "ckpt_nope").expect(3)
        self.ctl("checkpoint", "pin", names[0], names[1]).expect(0, "'%s' is pinned" % names[1])
        self.assertIn("pinned          yes\n", self.ctl("checkpoint", "show", names[1]).out)
        self.ctl("checkpoint", "unpin", "ckpt_nope", names[0], names[1]).expect(3, "pinned no more")
        self.assertFalse(self.sewad.get("/api/v1/checkpoints/" + names[1])["pinned"])
        self.ctl("checkpoint", "list", "nope").expect(3)
        self.ctl("checkpoint", "show", "ckpt_nope").expect(3)
        self.ctl("checkpoint", "list", "digits", "--order-by", "colour").expect(1)

    def test_names_that_are_not_there(self):
        """Whatever names them, a path or a request: exit status 3, and what was meant."""
        for words, said in (
                (("-r", "digist", "-m", "last"), "--run: there is no run 'digist'; is it 'digits'?"),
                (("-r", "digits", "-m", "unifrom"),
                 "--method: there is no method 'unifrom'; is it 'uniform'? There are last, best, "),
                (("-r", "digits", "-e", "digit"), "--evaluator: there is no evaluator 'digit' in the "
                 "configuration; is it 'digits'? There are "),
                (("--checkpoint", "ckpt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "-m", "last"),
                 "--checkpoint: there is no checkpoint")):
            self.ctl("job", "submit", *words).expect(3, said)
            self.ctl("job", "plan", *words).expect(3, said)
        self.ctl("job", "list", "-r", "nobody").expect(3, "there is no run 'nobody'")
        self.ctl("job", "list", "-r", "digts").expect(3, "'digts'; is it 'digits'?")
        self.ctl("run", "show", "digts").expect(3, "there is no run 'digts'; is it 'digits'?")
        self.ctl("checkpoint", "list", "tyo").expect(3, "is it 'toy'?")
        self.ctl("evaluator", "show", "digit").expect(3, "is it 'digits'?")
        self.ctl("evaluator", "check", "digit", "-r", "digits").expect(3, "is it 'digits'?")
        self.ctl("job", "submit", "-r", "digits", "-e", "digits", "-p", "iteration=3").expect(
            1, "--param: unknown field 'iteration'; is it 'iterations'? There are estimator, ")

    def test_methods(self):
        table = self.ctl("method", "list").expect(0).out
        self.assertRegex(table, r"\nlast +not needed +none +0 +the newest checkpoint\n")
        self.assertRegex(table, r"\nsewa +losses +10, or auto +8 +")
        everything = self.ctl("method", "list", "-o", "json").expect(0).json()
        self.assertEqual(everything, self.sewad.get("/api/v1/methods"))
        names = self.ctl("method", "list", "-o", "name").out.split()
        self.assertEqual(names, [m["name"] for m in everything["items"]])
        lines = self.ctl("method", "list", "-o", "jsonl").out.splitlines()
        self.assertEqual([json.loads(line) for line in lines], everything["items"])
        for name in names:
            self.assertEqual(self.ctl("method", "show", name, "-o", "json").json(),
                             self.sewad.get("/api/v1/methods/" + name))
        shown = self.ctl("method", "show", "sewa").expect(0).out
        self.assertIn("select          default 10, or auto\n", shown)
        self.assertRegex(shown, r"\niterations +integer +60 +1 to 100000 +steps of Adam\n")
        self.assertRegex(shown, r"\nlearning_rate +number +0\.1 +1e-06 to 10 ")
        self.assertRegex(shown, r"\nestimator +string +auto +auto, gumbel_softmax, straight_through, ")
        shown = self.ctl("method", "show", "best").expect(0).out
        self.assertRegex(shown, r"\nmetric +string +loss +string +")
        self.assertRegex(shown, r"\ndirection +string +- +min, max +")
        self.assertIn("parameters      none\n", self.ctl("method", "show", "lawa").out)
        self.ctl("method", "show", "unifrom").expect(3, "is it 'uniform'? There are last, best, ")

    def test_evaluators(self):
        self.assertIn("sewa-mlp serve", self.ctl("evaluator", "list").expect(0).out)
        self.assertEqual(set(self.ctl("evaluator", "list", "-o", "name").out.split()),
                         {"digits", "broken", "once"})
        self.assertIn("command         %s serve\n" % binary("sewa-mlp"),
                      self.ctl("evaluator", "show", "digits").expect(0).out)
        self.assertEqual(self.ctl("evaluator", "show", "digits", "-o", "json").json(),
                         self.sewad.get("/api/v1/evaluators/digits"))
        self.ctl("job", "submit", "-r", "digits").expect(1, "--evaluator: method 'sewa' needs")
        outcome = self.ctl("evaluator", "check", "digits", "--run", "digits", "--wait").expect(0)
        self.assertIn(", 5 % is allowed\n", outcome.out)
        self.assertIn("gradient        right: slope", outcome.out)
        self.assertIn("metrics         accuracy (max)", outcome.out)
        self.ctl("evaluator", "check", "broken", "--run", "toy", "--wait").expect(7)
        self.ctl("evaluator", "check", "nope", "--run", "digits").expect(3)

    def test_plans(self):
        words = ("-r", "digits", "-e", "digits", "-k", "4", "--window", "12", "--exclude-step", "400")
        before = self.ctl("job", "list", "--all", "-o", "name").out
        outcome = self.ctl("job", "plan", *words).expect(0)
        self.assertIn("candidates      12\n", outcome.out)
        self.assertIn("select          4\n", outcome.out)
        self.assertEqual(self.ctl("job", "submit", *words, "--dry-run").expect(0).out, outcome.out)
        plan = self.ctl("job", "plan", *words, "-o", "json").expect(0).json()
        self.assertEqual(len(plan["plan"]["checkpoints"]), 12)
        self.assertNotIn(400, [c["step"] for c in plan["plan"]["checkpoints"]])
        self.assertEqual(self.ctl("job", "list", "--all", "-o", "name").out, before)
        self.ctl("job", "plan", "-r", "digits", "-e", "digits", "-k", "99").expect(1, "--select: ")

    def test_every_field_of_a_request(self):
        path = self.scratch.write("request.json", json.dumps({"seed": 5, "labels": {"base": "1"}}))
        uid = self.submit("-m", "lawa", "-k", "3", "--window", "9", "--min-step", "210", "--max-step",
                          "390", "--exclude-step", "300,310", "--exclude-step", "320", "--integers",
                          "oldest", "--allow-nonfinite", "--force", "--digests", "--output-dtype",
                          "BF16", "--workers", "1", "-l", "team=vision", "-l", "x=", "-e", "digits",
                          "--baseline", "last", "--request", path)
        job = self.sewad.wait_job(uid)
        self.assertEqual(job["exclude_steps"], [300, 310, 320])
        self.assertEqual(job["labels"], {"base": "1", "team": "vision", "x": ""})
        self.assertEqual((job["seed"], job["integers"], job["output"]["dtype"], job["baselines"]),
                         (5, "oldest", "BF16", ["last"]))
        self.assertEqual([job[k] for k in ("allow_nonfinite", "force", "digests")], [True] * 3)
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [370, 380, 390])
        ids = self.ctl("checkpoint", "list", "digits", "-o", "name").out.split()
        uid = self.ctl("job", "submit", "-q", "-m", "uniform", "--checkpoint", ids[0], "--checkpoint",
                       ",".join(ids[3:5]), "--no-baselines").expect(0).out.strip()
        self.assertEqual(self.sewad.wait_job(uid)["result"]["candidates"], 3)
        uid = self.submit("-e", "digits", "-k", "4", "-p", "iterations=3")
        self.assertEqual(self.sewad.wait_job(uid)["params"]["iterations"], 3)
        self.ctl("job", "submit", "-r", "digits", "-e", "digits", "-p", "iterations=many").expect(
            1, "--param: ")

    def test_jobs_that_fail(self):
        outcome = self.ctl("job", "submit", "-r", "toy", "-e", "broken", "--wait").expect(7)
        self.assertIn("state           failed: ", outcome.out)
        self.assertIn("reason          evaluator_died", outcome.out)
        uid = outcome.out.split()[1]
        self.ctl("job", "wait", uid).expect(7)
        self.ctl("job", "watch", uid).expect(7)
        self.ctl("job", "show", uid).expect(0)
        self.ctl("job", "pull", uid).expect(3)
        log = self.ctl("job", "logs", uid, "--follow").expect(0).out
        self.assertIn("about to \033[31mdie", log)
        self.ctl("job", "retry", uid, "--wait", "-q").expect(7)

    def test_finished_jobs(self):
        uid = self.done("-l", "only=this")
        self.assertEqual(self.ctl("job", "list", "--label", "only=this", "-o", "name").out, uid + "\n")
        table = self.ctl("job", "list", "--state", "succeeded", "-r", "digits").expect(0).out
        self.assertIn(uid, table)
        self.assertEqual(self.ctl("job", "show", uid, "-o", "json").json(), self.sewad.job(uid))
        again = self.ctl("job", "retry", uid, "--wait", "-o", "json").expect(0).json()
        self.assertEqual(again["retry_of"], uid)
        self.ctl("job", "cancel", uid).expect(4)
        two = self.ctl("job", "wait", uid, again["id"]).expect(0).out
        self.assertEqual(len(two.splitlines()), 3)
        self.ctl("job", "delete", uid, "job_nope", again["id"]).expect(3, "removed", "job_nope")
        for words in (["show"], ["wait"], ["watch"], ["logs"], ["pull"], ["retry"], ["cancel"]):
            self.ctl("job", *words, uid).expect(3, "there is no job '%s'" % uid)

    def test_keys(self):
        words = ("-m", "lawa", "-k", "2", "--idempotency-key")
        first = self.submit(*words, "auto")
        self.assertEqual(self.submit(*words, "auto"), first)
        other = self.submit(*words, "other")
        self.assertNotEqual(other, first)
        self.ctl("job", "submit", "-r", "digits", "-m", "last", "--idempotency-key", "other").expect(4)

    def test_cron_goes_on_after_a_failure(self):
        """What has failed, was cancelled or deleted is tried again; what runs or has run is not."""
        cron = ("job", "submit", "--run", "cron", "--method", "best", "--evaluator", "once",
                "--if-new-checkpoints", "5", "--idempotency-key", "auto")
        first = self.ctl(*cron).expect(0, "the job is queued").out.strip()
        self.sewad.wait_job(first, "failed")
        second = self.ctl(*cron).expect(0, "the job is queued").out.strip()
        self.assertNotEqual(second, first)
        self.assertEqual(self.ctl(*cron).expect(0, "was used before").out.strip(), second)
        self.ctl("job", "cancel", second).expect(0)
        self.sewad.wait_job(second, "cancelled")
        third = self.ctl(*cron).expect(0, "the job is queued").out.strip()
        self.ctl("job", "cancel", third).expect(0)
        self.sewad.wait_job(third, "cancelled")
        self.ctl("job", "delete", third).expect(0)
        self.scratch.write("cron-gate", "")
        outcome = self.ctl(*cron, "--wait", "-o", "name").expect(0)
        self.assertNotIn(outcome.out.strip(), (first, second, third))
        self.ctl(*cron).expect(0, "this key was used before", "the job is succeeded")

    def test_pulled_again_and_again(self):
        uid = self.done()
        target = self.scratch.join("again.safetensors")
        self.ctl("job", "pull", uid, "-O", target).expect(0)
        self.ctl("job", "pull", uid, "-O", target).expect(0, "is there already")
        with open(target, "rb") as file:
            whole = file.read()
        artifact = [a for a in self.sewad.job(uid)["artifacts"] if a["name"] == "model.safetensors"][0]
        part = self.scratch.join(".again.safetensors.%s.part" % artifact["sha256"][:16])
        with open(part, "wb") as file:
            file.write(whole[:1000])
        os.unlink(target)
        self.ctl("job", "pull", uid, "-O", target).expect(0, "1.0 kB of it were there")
        with open(target, "rb") as file:
            self.assertEqual(file.read(), whole)

    def test_status_and_version(self):
        shown = self.ctl("status").expect(0).out
        self.assertIn("ready           yes", shown)
        self.assertIn("at http://" + self.sewad.address, shown)
        status = self.ctl("status", "-o", "json").expect(0).json()
        self.assertEqual(status["service"], self.sewad.get("/version"))
        self.assertGreaterEqual(status["runs"]["complete"], COUNT + 6)
        self.assertIn("sewad ", self.ctl("version").expect(0).out)
        both = self.ctl("version", "-o", "json").expect(0).json()
        self.assertEqual(both["service"], self.sewad.get("/version"))
        alone = self.ctl("version", "--client", "--url", "http://127.0.0.1:1").expect(0).out
        self.assertEqual(alone, both["client"]["name"] + " " + both["client"]["version"] + "\n")

    def test_through_a_unix_socket(self):
        uid = self.done()
        with Door(self.scratch.join("socket"), self.sewad) as door:
            shown = Ctl(self.scratch)("status", "--socket", door.path).expect(0).out
            self.assertIn("at unix:" + door.path, shown)
            ctl = Ctl(self.scratch, "unix:" + door.path)
            ctl("job", "pull", uid, "-O", "by-socket/").expect(0)
            self.assertTrue(os.path.exists(ctl.path("by-socket", "model.safetensors")))


class Gated(ServiceTest):
    """Jobs that go on only when the test says so."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.open_gate)
        gate = toy_evaluator({"gate": self.scratch.join("gate"), "say": ["hello"]})
        self.sewad = toy_service(self, {"toy": gate})
        # the port is another one after a restart
        door = Door(self.scratch.join("socket"), self.sewad)
        self.addCleanup(door.__exit__)
        self.ctl = Ctl(self.scratch, "unix:" + door.__enter__().path)
        self.uid = self.ctl("job", "submit", "-r", "toy", "-e", "toy", "-m", "best", "-q").out.strip()

    def open_gate(self):
        self.scratch.write("gate", "")

    def test_cancelled(self):
        self.ctl("job", "wait", self.uid, "--timeout", "0").expect(6)
        waiter = self.ctl.start("job", "watch", self.uid)
        self.wait_running()
        self.assertIn("jobs            1 running", self.ctl("status").expect(0).out)
        self.ctl("job", "delete", self.uid).expect(4)
        self.ctl("job", "cancel", self.uid).expect(0, "told to end")
        out, _ = waiter.communicate()
        self.assertEqual(waiter.returncode, 8)
        self.assertIn(b"state           cancelled", out)
        self.ctl("job", "wait", self.uid).expect(8)

    def wait_running(self):
        wait_until(lambda: self.sewad.job(self.uid)["state"] == "running", "the job runs")

    def test_detached(self):
        self.wait_running()
        waiter = self.ctl.start("job", "wait", self.uid)
        wait_until(lambda: self.waits(waiter), "sewactl waits")
        waiter.send_signal(signal.SIGINT)
        _, err = waiter.communicate()
        self.assertEqual(waiter.returncode, 130)
        self.assertIn(b"sewactl job watch " + self.uid.encode(), err)
        self.assertEqual(self.sewad.job(self.uid)["state"], "running")
        self.open_gate()
        self.ctl("job", "watch", self.uid).expect(0)

    def waits(self, process):
        """Whether it catches SIGINT by now."""
        with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
            caught = [line for line in file if line.startswith("SigCgt:")][0]
        return int(caught.split()[1], 16) & 1 << (signal.SIGINT - 1)

    def test_a_restart_is_waited_for(self):
        self.wait_running()
        waiters = [self.ctl.start("job", "watch", self.uid),
                   self.ctl.start("job", "watch", self.uid, "--progress", "plain"),
                   self.ctl.start("job", "logs", self.uid, "-f")]
        for waiter in waiters[:2]:
            wait_until(lambda w=waiter: self.waits(w), "sewactl waits")
        self.assertEqual(waiters[2].stdout.readline(), b"hello\n")
        self.sewad.kill()
        self.sewad.start()
        self.open_gate()
        for waiter in waiters:
            out, err = waiter.communicate()
            self.assertEqual(waiter.returncode, 0, err)
            self.assertNotIn(b"hello", out)  # once is enough


if __name__ == "__main__":
    unittest.main()
