"""state - a state directory that is taken, too new, broken or not writable; a disk that is full.

The rule: the operation that needs the disk fails with the right code and says why, nothing half
stands under a final name, and everything else goes on; when there is room again, so does the rest.
"""
import contextlib
import glob
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import unittest

import tensors
from outcomes import assert_same, outcome_of
from sewa import (DEADLINE_S, ServiceTest, binary, needs_failpoints, request, toy_evaluator,
                  wait_until)
from toys import toy_run, toy_service

JOBS = "/api/v1/jobs"
SCHEMAS = len(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sql",
                                     "schema", "*.sql")))  # each is a commit of its own
JOB = {"run": "toy", "evaluator": "toy", "select": 3, "params": {"iterations": 3, "polish": 6}}


class StateTest(ServiceTest):
    def set_up(self):
        self.sewad = toy_service(self, {"toy": toy_evaluator()})

    def database(self, *words):
        """One statement, on a database that nobody else uses."""
        path = os.path.join(self.sewad.state, "sewad.db")
        with contextlib.closing(sqlite3.connect(path)) as db:
            rows = db.execute(*words).fetchall()
            db.commit()
            return rows


class Refused(StateTest):
    def refused(self, *words, prefix=(), sewad=None):
        """It ends at once with status 1, and says why."""
        sewad = sewad or self.sewad
        run = subprocess.run([*prefix, binary("sewad"), "--config", sewad.config],
                             env=self.scratch.environment(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=DEADLINE_S, check=False)
        said = run.stdout.decode("utf-8", "replace")
        self.assertEqual(run.returncode, 1, said)
        for word in words:
            self.assertIn(word, said)
        return said

    def test_a_second_sewad(self):
        self.set_up()
        uid = self.sewad.run_job(run="toy", method="last")["id"]
        for _ in range(3):
            self.refused("another sewad uses", self.sewad.state)
        with open(os.path.join(self.sewad.state, "listen"), encoding="ascii") as file:
            self.assertEqual(file.read().strip(), self.sewad.address)
        self.assertEqual(self.sewad.job(uid)["state"], "succeeded")
        self.sewad.run_job(**JOB)  # its workers still find it

    def test_the_lock_of_a_killed_sewad_is_free(self):
        self.set_up()
        self.sewad.kill()
        self.assertTrue(os.path.exists(os.path.join(self.sewad.state, "lock")))
        self.sewad.start()

    def test_a_database_of_a_newer_version(self):
        self.set_up()
        uid = self.sewad.run_job(run="toy", method="last")["id"]
        self.sewad.stop()
        version, = self.database("PRAGMA user_version")[0]
        self.database("PRAGMA user_version = 999")
        self.refused("schema 999", "knows up to %d" % version, "sewad.db")
        self.assertEqual(self.database("PRAGMA user_version"), [(999,)])
        self.database("PRAGMA user_version = %d" % version)
        self.sewad.start()
        self.assertEqual(self.sewad.job(uid)["state"], "succeeded")

    def test_a_database_that_is_none(self):
        self.set_up()
        self.sewad.stop()
        path = os.path.join(self.sewad.state, "sewad.db")
        shutil.copy(path, path + ".kept")
        for suffix in ("-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        with open(path, "r+b") as file:
            file.write(b"this was a database once, and its first page is lost" * 100)
        self.refused("sewad.db", "not a database")
        os.rename(path + ".kept", path)
        self.sewad.start()
        self.assertEqual(len(self.sewad.complete("toy")), 6)

    def test_places_that_cannot_be(self):
        for name, place in [("below a file", self.scratch.write("file", "") + "/state"),
                            ("a file itself", self.scratch.write("other", ""))]:
            with self.subTest(name=name):
                sewad = self.service({"state_directory": place}, start=False, name="nowhere")
                self.refused(place, sewad=sewad)

    def not_allowed_to_write(self):
        """Words before a command that take the rights of root over files away."""
        if os.geteuid() != 0:
            return []
        rights = "-dac_override,-dac_read_search"
        prefix = ["setpriv", "--bounding-set=" + rights, "--inh-caps=" + rights]
        if not shutil.which("setpriv") or subprocess.run(prefix + ["true"], check=False).returncode:
            self.skipTest("root may write anywhere, and setpriv cannot take that away")
        return prefix

    def test_not_writable(self):
        self.set_up()
        uid = self.sewad.run_job(run="toy", method="last")["id"]
        self.sewad.stop()
        prefix = self.not_allowed_to_write()
        database = os.path.join(self.sewad.state, "sewad.db")
        for what, path, mode, words in [
            ("the database", database, 0o400, ["sewad.db", "is not writable"]),
            ("the directory", self.sewad.state, 0o500, ["readonly database"]),
            ("not even readable", database, 0, ["unable to open"]),
        ]:
            with self.subTest(what=what):
                kept = os.stat(path).st_mode & 0o777
                os.chmod(path, mode)
                self.refused(self.sewad.state, *words, prefix=prefix)
                os.chmod(path, kept)
        self.sewad.start()
        self.assertEqual(self.sewad.job(uid)["state"], "succeeded")


class FullDisk(StateTest):
    def start_with(self, failpoint):
        self.sewad.stop()
        self.sewad.start(SEWA_FAILPOINT=failpoint)

    def assert_readable(self):
        """Whatever cannot be written, everything can be asked."""
        self.assertEqual(len(self.sewad.complete("toy")), 6)
        for path in ("/healthz", "/readyz", "/metrics", JOBS, "/api/v1/runs", "/api/v1/evaluators",
                     self.done_path, self.done_path + "/trace",
                     self.done_path + "/artifacts/model.safetensors"):
            self.sewad.request("GET", path).expect(200)

    def set_up(self):
        super().set_up()
        done = self.sewad.run_job(**JOB)
        self.done_path = JOBS + "/" + done["id"]
        self.peace = outcome_of(self.sewad, done)

    def artifacts(self):
        """What stands in the folder of averages but the first job's."""
        uid = self.done_path.rsplit("/", 1)[1]
        return [n for n in os.listdir(os.path.join(self.sewad.state, "artifacts")) if n != uid]

    def assert_goes_on(self):
        """A job as if nothing had been."""
        assert_same(self, outcome_of(self.sewad, self.sewad.run_job(**JOB)), self.peace, "later")

    @needs_failpoints
    def test_nothing_can_be_written_to_the_database(self):
        self.set_up()
        run = "/api/v1/runs/toy"
        checkpoint = "/api/v1/checkpoints/" + self.sewad.complete("toy")[0]["id"]

        def all_of_it():
            return (self.sewad.get(run)["labels"], self.sewad.get(checkpoint),
                    self.sewad.pages(JOBS))

        before = all_of_it()
        for error, status, code in [("ENOSPC", 507, "no_space"), ("EIO", 500, "io")]:
            with self.subTest(error=error):
                self.start_with("store_commit=errno:%s@2+" % error)
                for method, path, body in [
                    ("POST", JOBS, JOB), ("POST", JOBS, {"run": "toy", "method": "last"}),
                    ("PATCH", run, {"labels": {"a": "b"}}),
                    ("PATCH", checkpoint, {"pinned": True, "metrics": {"x": 1}}),
                    ("POST", self.done_path + "/retry", {}), ("DELETE", self.done_path, None),
                ]:
                    self.sewad.request(method, path, body).problem(status, code, "sewad.db")
                self.assert_readable()
                self.assertEqual(all_of_it(), before)
        self.sewad.stop()
        self.sewad.start()
        self.assert_goes_on()

    @needs_failpoints
    def test_the_disk_is_full_while_runs_and_checkpoints_are_found(self):
        """What a scan has seen and nobody could write down is not forgotten."""
        toy_run(self.scratch.join("toy"))
        toy_run(self.scratch.join("root", "below"))
        services = [self.service({"run": {"toy": {"path": self.scratch.join("toy")}},
                                  "root": {"lab": {"path": self.scratch.join("root")}}},
                                 SEWA_FAILPOINT="store_commit=errno:ENOSPC@%d" % n)
                    for n in range(SCHEMAS + 1, SCHEMAS + 4)]  # without a schema nothing starts
        for sewad in services:
            with self.subTest(environment=sewad.environment):
                for run in ("toy", "lab.below"):
                    path = "/api/v1/runs/" + run
                    wait_until(lambda s=sewad, p=path: s.request("GET", p).status == 200, path)
                    sewad.wait_complete(run, 6)
                self.assertIn("No space left on device", sewad.log_text())

    @needs_failpoints
    def test_the_disk_is_full_for_a_moment_of_a_job(self):
        """One write of a job fails: the job fails, says so, and the next one succeeds."""
        self.set_up()
        failed = 0
        for n in (3, 5, 8, 12, 17):
            with self.subTest(n=n):
                before = self.sewad.log_text().count("No space left on device")
                self.start_with("store_commit=errno:ENOSPC@%d" % n)
                done = self.sewad.wait_job(self.sewad.submit(**JOB)["id"], "succeeded", "failed")
                # several writes may share a commit: then it is one of the next job
                while self.sewad.log_text().count("No space left on device") == before:
                    done = self.sewad.wait_job(self.sewad.submit(**JOB)["id"], "succeeded",
                                               "failed")
                if done["state"] == "failed":
                    failed += 1
                    self.assertEqual(done["reason"]["code"], "no_space", done["reason"])
                    self.assertIn("No space left on device", done["reason"]["detail"])
                    self.assertEqual((done["artifacts"], done["result"]), ([], None))
                    wait_until(lambda u=done["id"]: not [a for a in self.artifacts() if u in a],
                               "nothing of the job is left")
                else:  # it was a write that can be done without, or again
                    assert_same(self, outcome_of(self.sewad, done), self.peace, n)
                self.assert_readable()
                self.assert_goes_on()
        self.assertGreater(failed, 1)

    @needs_failpoints
    def test_the_disk_stays_full_in_the_middle_of_a_job(self):
        """Then even the failure cannot be written; after a restart with room the job goes on."""
        self.set_up()
        for n in (6, 12):
            with self.subTest(n=n):
                self.start_with("store_commit=errno:ENOSPC@%d+" % n)
                uid = self.sewad.submit(**JOB)["id"]
                wait_until(lambda: "cannot commit" in self.sewad.log_text(), "it has no room")
                wait_until(lambda: not self.sewad.workers(), "nobody works in vain")
                self.assert_readable()
                self.assertNotEqual(self.sewad.job(uid)["state"], "succeeded")
                self.sewad.stop()
                self.sewad.start()
                done = self.sewad.wait_job(uid, "succeeded", "failed")
                if done["state"] == "failed":
                    self.assertEqual(done["reason"]["code"], "no_space", done["reason"])
                else:
                    assert_same(self, outcome_of(self.sewad, done), self.peace, n)

    @needs_failpoints
    def test_an_average_that_cannot_be_written(self):
        """In the worker (outfile), in sewad (publish, fdio): no half average under any name."""
        self.set_up()
        for failpoint, code, word in [
            ("outfile_create=errno:ENOSPC", "no_space", "cannot create"),
            ("outfile_reserve=errno:ENOSPC", "no_space", "cannot reserve"),
            ("outfile_sync=errno:ENOSPC", "no_space", "cannot sync"),
            ("outfile_sync=errno:EIO", "io", "cannot sync"),
            ("outfile_rename=errno:ENOSPC", "no_space", "cannot rename"),
            ("outfile_sync_directory=errno:EIO", "io", "cannot sync the directory"),
            ("fdio_write=errno:ENOSPC@2+", "no_space", "cannot write"),
            ("fdio_fsync=errno:EIO@2", "io", "cannot sync"),
            ("fdio_rename=errno:ENOSPC@2", "no_space", "cannot rename"),
            ("fdio_fsync_directory=errno:EIO@2", "io", "cannot sync directory"),
            ("publish_rename=errno:ENOSPC", "no_space", "cannot rename"),
            ("publish_rename=errno:EIO", "io", "cannot rename"),
        ]:
            with self.subTest(failpoint=failpoint):
                self.start_with(failpoint)
                done = self.sewad.fail_job(code, word, run="toy", method="uniform")
                self.assertEqual((done["artifacts"], done["result"]), ([], None))
                wait_until(lambda: not self.artifacts(), "nothing is left")
                self.sewad.request("GET", "%s/%s/artifacts/model.safetensors" % (
                    JOBS, done["id"])).problem(404, "not_found")
                self.assert_readable()
        self.sewad.stop()
        self.sewad.start()
        self.assert_goes_on()

    def test_a_real_limit(self):
        """No file may grow beyond a size: what SQLite meets on a full disk, without failpoints.

        The signal that comes with it ends neither sewad nor its worker.
        """
        self.set_up()
        toy_run(self.scratch.join("big"), steps=[1, 2], size=120000)
        self.sewad.configure(run=dict(self.sewad.options["run"],
                                      big={"path": self.scratch.join("big")}))
        self.sewad.hang_up()
        self.sewad.wait_complete("big", 2)
        self.sewad.stop()

        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (400000, 400000))

        listen = os.path.join(self.sewad.state, "listen")
        os.unlink(listen)
        with open(self.sewad.log, "ab") as log:
            self.sewad.process = subprocess.Popen(
                [binary("sewad"), "--config", self.sewad.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.scratch.environment(), preexec_fn=limited)
        wait_until(lambda: os.path.exists(listen), "sewad listens")
        with open(listen, encoding="ascii") as file:
            self.sewad.address = file.read().strip()
        self.sewad.wait_ready()
        self.sewad.fail_job("no_space", run="big", method="uniform")
        reply, written = None, 0
        while written < 2000:
            reply = request(self.sewad.address, "PATCH", "/api/v1/runs/toy",
                            {"labels": {"text": str(written) * 100}})
            if reply.status != 200:
                break
            written += 1
        self.assertIn(reply.status, (500, 507), reply)
        self.assertIn(reply.json()["code"], ("io", "no_space"))
        self.assertGreater(written, 1)
        for _ in range(3):
            self.assertEqual(self.sewad.get("/api/v1/runs/toy")["labels"],
                             {"text": str(written - 1) * 100})
            self.assert_readable()
        self.sewad.stop()
        self.sewad.start()
        self.assertEqual(self.sewad.get("/api/v1/runs/toy")["labels"],
                         {"text": str(written - 1) * 100})
        self.assert_goes_on()
        self.assertEqual(self.database("PRAGMA integrity_check"), [("ok",)])

    def test_too_big_for_the_disk_is_refused_beforehand(self):
        """A sparse checkpoint that no disk has room for again: nobody begins to write it."""
        directory = self.scratch.directory("huge")
        size = shutil.disk_usage(directory).free + (1 << 30)
        header = {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
        path = os.path.join(directory, "step-1.safetensors")
        tensors.place(path, tensors.pack(header, b""))
        length = os.path.getsize(path) + size
        try:
            os.truncate(path, length)
        except OSError as error:
            self.skipTest("this file system has no files of %d bytes: %s" % (length, error))
        sewad = self.service({"run": {"huge": {"path": directory}}, "worker_memory_mib": 1 << 24})
        sewad.wait_complete("huge", 1)
        sewad.request("POST", JOBS, {"run": "huge", "method": "last"}).problem(
            507, "no_space", "bytes")


@needs_failpoints
class FileSystemsThatDoNotAnswer(ServiceTest):
    def test_the_exit_does_not_wait_for_them(self):
        """The directory of a new run lies on a mount that hangs: that thread of the pool never comes back."""
        self.scratch.directory("data", "run")
        data = self.scratch.join("data")
        sewad = self.service({"allowed_roots": [data], "log_level": "debug"},
                             SEWA_FAILPOINT="run_look=sleep:3600000,app_leave_ms=value:500@1+")
        body = json.dumps({"name": "r", "path": data + "/run"}).encode()
        host, port = sewad.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            wait_until(lambda: "looks for the directory of run 'r'" in sewad.log_text(), "the look")
        sewad.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "no new requests" in sewad.log_text(), "the first signal")
        sewad.stop()  # a second one: at once, whatever is held
        self.assertIn("is left behind", sewad.log_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
