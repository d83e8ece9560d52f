"""security - what the user's code, other users of the machine and strangers get to see.

An evaluator runs as the user of sewad, so it can read what that user can; but nothing is handed to
it, and no secret lies where processes of one user usually look.
"""
import contextlib
import glob
import hashlib
import json
import os
import re
import sqlite3
import stat
import unittest

import tensors
from sewa import Sewad, SharedServiceTest, name_of, request, toy_evaluator, wait_until
from toys import toy_run, toy_tensors

JOBS = "/api/v1/jobs"
HEX_SIZE = 64  # of a token
OURS = {k + b"=" + v for k, v in os.environb.items()}


class LooseSewad(Sewad):
    """Started by somebody whose umask takes nothing away."""

    umask = 0


class Security(SharedServiceTest):
    @classmethod
    def prepare(cls):
        toy_run(cls.scratch.join("toy"))
        cls.gate, cls.about = cls.scratch.join("gate"), cls.scratch.join("about")
        cls.sewad = LooseSewad(cls.scratch, {
            "run": {"toy": {"path": cls.scratch.join("toy")}},
            "evaluator": {"toy": toy_evaluator({"about": cls.about, "say": ["hello"],
                                                "gate": cls.gate},
                                               environment=["SEEN=by the evaluator"])}},
            SECRET="of the service", SEWA_JOB_TOKEN="of another job", NOTIFY_SOCKET="@nowhere",
            LISTEN_PID="1", LISTEN_FDS="3")
        cls.services.append(cls.sewad)
        cls.sewad.start()
        cls.sewad.wait_complete("toy", 6)
        cls.addClassCleanup(cls.scratch.write, "gate", "")
        cls.job = cls.sewad.submit(run="toy", evaluator="toy", select=2)["id"]
        cls.sewad.wait_state(cls.job, "running")
        cls.worker, = cls.sewad.workers()
        with open(cls.about, encoding="utf-8") as file:
            cls.evaluator = json.load(file)

    def state(self, *parts):
        return os.path.join(self.sewad.state, *parts)

    def test_a_what_the_evaluator_is_given(self):
        about = self.evaluator
        names = set(about["environment"])
        self.assertEqual([n for n in names if n.startswith(("SEWA_JOB", "SEWA_WORKER", "LISTEN_"))
                          or n == "NOTIFY_SOCKET"], [])
        self.assertEqual(about["environment"]["SEEN"], "by the evaluator")
        self.assertNotIn(self.sewad.state, about["command"])
        guard, = self.scratch.processes("sewa-guard")
        self.assertEqual(about["parent"], guard)
        with open("/proc/%d/stat" % guard, encoding="ascii") as file:
            self.assertEqual(int(file.read().rsplit(")", 1)[1].split()[1]), self.worker)
        self.assertEqual(about["group"], about["pid"])  # signals for the worker do not reach it
        self.assertTrue(about["stdin"])
        # 0 to 2, its socket, three memories that came over it, and the one that lists /proc/self/fd
        self.assertEqual(about["descriptors"], list(range(8)))

    def test_b_no_token_where_processes_are_looked_at(self):
        """In no argument and no environment of anybody; what the worker was given is wiped."""
        for pid in self.scratch.processes():
            for name in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, name), "rb") as file:
                    content = b" ".join(w for w in file.read().split(b"\0") if w not in OURS)
                with self.subTest(process=name_of(pid), file=name):
                    self.assertNotRegex(content, rb"[0-9a-f]{%d}" % HEX_SIZE)
        with open("/proc/%d/environ" % self.worker, "rb") as file:
            self.assertNotIn(b"SEWA_JOB_TOKEN=of another", file.read())
        with open("/proc/%d/cmdline" % self.worker, "rb") as file:
            self.assertEqual(file.read().count(b"\0"), 1)  # no arguments at all

    def test_c_no_token_in_files(self):
        """The database holds hashes, which tell a token from the digests of other things."""
        uri = "file:%s?mode=ro" % self.state("sewad.db")
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            hashes = {bytes(row[0]) for row in db.execute("SELECT token_hash FROM workers")}
        self.assertEqual(len(hashes), 1)
        words = {}
        for path in glob.glob(self.state("**"), recursive=True) + [self.sewad.log]:
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    words[path] = set(re.findall(rb"(?=([0-9a-f]{%d}))" % HEX_SIZE, file.read()))
        for path, found in words.items():
            self.assertFalse({hashlib.sha256(w).digest() for w in found} & hashes, path)
        self.assertTrue(words[self.state("sewad.db")] | words[self.state("sewad.db-wal")])

    def test_d_modes(self):
        """With any umask: others may not enter the state directory, nor write anything in it."""
        self.scratch.write("gate", "")
        done = self.sewad.wait_job(self.job)
        self.assertTrue(stat.S_ISSOCK(os.stat(self.state("worker.sock")).st_mode))
        folder = self.state("artifacts", done["id"])
        for path, mode in [
            (self.state(), 0o750), (self.state("artifacts"), 0o750), (self.state("jobs"), 0o750),
            (folder, 0o750), (self.state("worker.sock"), 0o600), (self.state("lock"), 0o640),
            (self.state("sewad.db"), 0o640), (self.state("sewad.db-wal"), 0o640),
            (self.state("sewad.db-shm"), 0o640),
            (os.path.join(folder, "model.safetensors"), 0o640),
            (os.path.join(folder, "manifest.json"), 0o640),
        ]:
            with self.subTest(path=path):
                self.assertEqual(oct(os.stat(path).st_mode & 0o7777), oct(mode))
        logs = os.listdir(self.state("jobs"))
        self.assertEqual(len(logs), 1)
        for path in glob.glob(self.state("**"), recursive=True):
            with self.subTest(path=path):
                self.assertEqual(os.stat(path).st_mode & 0o022, 0, oct(os.stat(path).st_mode))

    def test_e_the_worker_interface(self):
        """On its own socket and for those with a token; nothing else is there."""
        hello = {"protocol": 1, "version": "1"}
        for path in ("hello", "lease", "heartbeat", "result", "log"):
            self.sewad.request("POST", "/api/v1/worker/" + path, {}).problem(404, "not_found")
            for headers in ({}, {"Authorization": "Bearer " + "0" * HEX_SIZE},
                            {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}):
                with self.subTest(path=path, headers=headers):
                    status, body = self.over_the_socket("POST", "/api/v1/worker/" + path, hello,
                                                        headers)
                    self.assertEqual((status, body["code"]), (401, "unauthorized"))
        for path in (JOBS, "/api/v1/runs", "/metrics"):
            status, _ = self.over_the_socket("GET", path)
            self.assertEqual(status, 404, path)

    def over_the_socket(self, method, path, body=None, headers=None):
        reply = request(self.state("worker.sock"), method, path, body, headers)
        return reply.status, reply.json()

    def test_f_other_web_pages(self):
        """A page in somebody's browser must not reach a service on loopback."""
        port = self.sewad.address.rsplit(":", 1)[1]
        for headers, status in [
            ({"Host": "evil.example:" + port}, 403), ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403), ({"Host": "localhost:" + port}, 200),
            ({"Host": "[::1]:" + port}, 200), ({"Origin": "http://127.0.0.1:" + port}, 200),
        ]:
            with self.subTest(headers=headers):
                reply = self.sewad.request("GET", JOBS, None, headers).expect(status)
                self.assertIsNone(reply.headers["Access-Control-Allow-Origin"])

    def test_g_paths_lead_nowhere_else(self):
        done = self.sewad.run_job(run="toy", method="last")
        artifacts = "%s/%s/artifacts/" % (JOBS, done["id"])
        for name in ("..%2f..%2fsewad.db", "%2e%2e", "../../sewad.db", "..", ".", "",
                     "model.safetensors%00", "/etc/passwd", "%2fetc%2fpasswd"):
            with self.subTest(name=name):
                reply = self.sewad.request("GET", artifacts + name)
                self.assertIn(reply.status, (400, 404), reply)
        for job in ("..", "..%2f..", "job_..%2f..", "%00"):
            self.assertIn(self.sewad.request("GET", "%s/%s/logs" % (JOBS, job)).status, (400, 404))

    def test_h_links_in_the_state_directory_are_not_followed(self):
        """Whoever may write there could point a name elsewhere; the average goes nowhere else."""
        victim = self.scratch.write("victim", "precious")
        done = self.sewad.run_job(run="toy", method="uniform")
        model = self.state("artifacts", done["id"], "model.safetensors")
        os.unlink(model)
        os.symlink(victim, model)
        reply = self.sewad.request("GET", "%s/%s/artifacts/model.safetensors" % (JOBS, done["id"]))
        self.assertNotEqual(reply.status, 200)
        self.assertNotIn(b"precious", reply.body)
        self.sewad.request("DELETE", "%s/%s" % (JOBS, done["id"])).expect(204)
        wait_until(lambda: not os.path.lexists(model), "the link is removed")
        with open(victim, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_i_names_in_files_are_not_trusted(self):
        """Terminal codes in the name of a tensor or file reach nobody's terminal as such."""
        directory = self.scratch.directory("names")
        named = dict(toy_tensors(1), **{"\x1b[2Jx": tensors.Tensor("F32", [1], [1])})
        tensors.write(os.path.join(directory, "step-1.safetensors"), named)
        tensors.write(os.path.join(directory, "\x1b[31mstep-2.safetensors"), toy_tensors(1))
        service = self.service({"run": {"names": {"path": directory,
                                                  "pattern": "*step-{step}.safetensors"}}})
        service.wait_complete("names", 2)
        service.run_job(run="names", method="last", max_step=1)
        service.request("POST", JOBS, {"run": "names", "method": "uniform"}).problem(
            422, "mismatch", "step-1.safetensors")
        self.assertNotIn("\x1b", service.log_text())
        for path in ("/api/v1/runs/names/checkpoints", JOBS):
            self.assertNotIn(b"\x1b", service.request("GET", path).expect(200).body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
