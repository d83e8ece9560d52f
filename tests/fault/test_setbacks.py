"""setbacks - a worker fails, hangs, or cannot be started: the job goes on with those that are left.

A job ends only when nobody is left who could do better, and then with what the last one said.
"""
import contextlib
import os
import resource
import signal
import sqlite3
import sys
import time
import unittest

from sewa import EVALUATOR, needs_failpoints, wait_until
from test_workers import JOB, JOBS, Workers
from toys import toy_service

# Leases and pauses of seconds; a busy machine must not be too slow for a heartbeat.
SHORT = "jobs_heartbeat_s=value:1,jobs_lease_ms=value:4000,jobs_rest_ms=value:50"


def armed(place, path):
    """A place that fails while there is this file."""
    return "%s@1+?%s" % (place, path)


class Setbacks(Workers):
    def set_up_script(self, script, options=None, **environment):
        """The evaluator of Workers, behind a shell script that may refuse to start it."""
        self.gate, self.count = self.scratch.join("gate"), self.scratch.join("count")
        self.starts = self.scratch.join("starts")
        self.addCleanup(self.open_gate)
        command = ["/bin/sh", "-c", 'echo x >>"$1"; shift; %s; exec "$@"' % script, "sh",
                   self.starts, sys.executable, EVALUATOR]
        self.sewad = toy_service(
            self, {"toy": {"command": command,
                           "options": {"count": self.count, "gate": self.gate}}},
            options, **environment)

    def started(self):
        with open(self.starts, encoding="ascii") as file:
            return len(file.readlines())

    def wait_said(self, words, times=1):
        wait_until(lambda: self.sewad.log_text().count(words) >= times,
                   "the log says '%s' %d times" % (words, times))

    def wait_gone(self, pid):
        wait_until(lambda: pid not in self.sewad.workers(), "worker %d is gone" % pid)


class Starting(Setbacks):
    def test_an_evaluator_that_starts_only_once(self):
        """The first worker is at work; the second one's evaluator never starts."""
        lock = self.scratch.join("lock")
        self.set_up_script('mkdir %s 2>&1 || { echo "no device is left"; exit 9; }' % lock,
                           {"local_workers": 2}, SEWA_FAILPOINT="jobs_rest_ms=value:50")
        uid = self.sewad.submit(**dict(JOB, workers=2))["id"]
        worker = self.wait_evaluations(1)
        self.wait_said("no device is left", 4)  # more often than a job alone would bear
        self.assertEqual(self.sewad.job(uid)["state"], "running")
        self.open_gate()
        self.sewad.wait_job(uid)
        self.assertEqual(set(self.evaluations()), {worker})

    def test_one_that_never_starts_ends_the_job(self):
        self.set_up_script('echo "the data is not there"; exit 9', {"local_workers": 2})
        done = self.sewad.fail_job("evaluator_start", "the data is not there", "status 9",
                                   "3 tries", **JOB)
        self.assertEqual(self.started(), 3)
        self.assertEqual(done["result"], None)

    def test_all_of_several_workers_fail(self):
        """Bounded too, however many there are."""
        self.set_up_script('echo "the data is not there"; exit 9', {"local_workers": 3})
        self.sewad.fail_job("evaluator_start", "the data is not there", "3 tries",
                            **dict(JOB, workers=3))
        self.assertLessEqual(self.started(), 9)

    def test_a_bad_device_is_passed_over(self):
        self.set_up_script('test "$CUDA_VISIBLE_DEVICES" = 1 || { echo "bad device"; exit 9; }',
                           {"device_slots": ["0", "1"]})
        self.open_gate()
        self.sewad.run_job(**JOB)
        self.assertEqual(self.started(), 2)
        self.assertIn("bad device", self.sewad.log_text())

    def test_no_descriptors_for_a_worker(self):
        """Whatever lasts as long as it likes and then passes is not the job's failure."""
        self.set_up(SEWA_FAILPOINT="jobs_rest_ms=value:50")
        uid, peace = self.hold()
        pid = self.sewad.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # fewer than are open
        worker, = self.sewad.workers()
        os.kill(worker, signal.SIGKILL)
        self.wait_said("Too many open files", 4)  # one more than a job would bear
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        self.open_gate()
        self.assert_peaceful(uid, peace, "no descriptors for a while")


@needs_failpoints
@needs_failpoints
class Accepted(Setbacks):
    """A job that was accepted, and cannot be taken up at the moment."""

    def set_up(self, place):
        self.trouble = self.scratch.join("trouble")
        super().set_up(SEWA_FAILPOINT=armed(place, self.trouble))

    def test_there_is_no_memory_for_it(self):
        self.set_up("job_take=errno:ENOMEM")
        self.open_gate()
        self.scratch.write("trouble", "")
        first, second = [self.sewad.submit(**JOB)["id"] for _ in range(2)]
        self.wait_said("no memory for job '%s'" % second)
        self.sewad.request("POST", "%s/%s/cancel" % (JOBS, second), {}).expect(202)
        self.assertEqual(self.sewad.job(first)["state"], "queued")
        os.unlink(self.trouble)
        self.sewad.wait_job(first)
        self.sewad.wait_job(second, "cancelled")

    def test_it_can_neither_be_read_nor_failed(self):
        self.set_up("store_commit=errno:EIO")
        first, broken = [self.sewad.submit(**JOB)["id"] for _ in range(2)]
        self.sewad.kill()
        with contextlib.closing(sqlite3.connect(os.path.join(self.sewad.state, "sewad.db"))) as db:
            db.execute("UPDATE jobs SET plan = '{}' WHERE uid = ?", (broken,))
            db.commit()
        self.scratch.write("trouble", "")
        self.sewad.start()
        self.wait_said("job %s: cannot write to the database" % broken)
        os.unlink(self.trouble)
        self.sewad.wait_job(broken, "failed")
        self.open_gate()
        self.sewad.wait_job(first, "succeeded", "failed")


class Tasks(Setbacks):
    def check(self, place, word):
        """The one who writes the average fails, and then another one does it."""
        path = self.scratch.write("armed", "")
        self.set_up(SEWA_FAILPOINT=armed(place, path) + ",jobs_rest_ms=value:1500")
        uid = self.sewad.submit(**JOB)["id"]
        self.open_gate()
        self.wait_said(word)
        os.unlink(path)
        self.sewad.wait_job(uid)

    def test_no_space_for_a_moment(self):
        self.check("outfile_reserve=errno:ENOSPC", "No space left")

    def test_a_disk_that_fails_once(self):
        self.check("outfile_sync=errno:EIO", "Input/output error")


@needs_failpoints
class Silence(Setbacks):
    def stop_worker(self):
        worker, = self.sewad.workers()
        os.kill(worker, signal.SIGSTOP)
        return worker

    def test_a_silent_worker_is_killed_and_its_task_given_away(self):
        """Three times and no more."""
        self.set_up(SEWA_FAILPOINT=SHORT.replace("4000", "2000"))
        uid = self.sewad.submit(**JOB)["id"]
        for number in (1, 2, 3):
            self.wait_evaluations(number)
            self.wait_gone(self.stop_worker())
        reason = self.sewad.wait_job(uid, "failed")["reason"]
        self.assertEqual(reason["code"], "worker_died")
        self.assertIn("failed 3 times", reason["detail"])
        self.assertIn("gave no sign of life for 2 s", reason["detail"])
        self.assertEqual(len(set(self.evaluations())), 3)  # a worker each

    def test_a_service_that_was_stopped_blames_nobody(self):
        self.set_up(SEWA_FAILPOINT=SHORT)
        uid, peace = self.hold()
        workers, evaluator = self.sewad.workers(), self.evaluations()[-1]
        self.sewad.process.send_signal(signal.SIGSTOP)
        time.sleep(8.5)  # longer than a lease, and than anybody may be silent
        self.sewad.process.send_signal(signal.SIGCONT)
        self.wait_said("nothing ran for")
        self.sewad.wait_state(uid, "running")
        self.assertEqual(self.sewad.workers(), workers)
        self.open_gate()
        self.assert_peaceful(uid, peace, "the service was stopped")
        self.assertEqual(set(self.evaluations()), {evaluator})

    def test_who_beats_but_does_not_get_on(self):
        """A read that hangs: heartbeats come, nothing moves. It is said what the worker did."""
        path = self.scratch.write("armed", "")
        self.set_up(SEWA_FAILPOINT=",".join(
            [SHORT, "jobs_work_ms=value:1500", armed("worker_average=sleep:600000", path)]))
        uid = self.sewad.submit(run="toy", method="uniform")["id"]
        self.wait_said("hangs: in 'read' nothing has moved for")
        os.unlink(path)
        self.sewad.wait_job(uid)

    def test_who_does_not_even_end(self):
        """As in a file system that is gone: nobody waits for such a process."""
        path = self.scratch.write("armed", "")
        self.set_up(SEWA_FAILPOINT=",".join(
            [SHORT, "jobs_kill_ms=value:200", armed("launch_kill=errno:EIO", path)]))
        uid, peace = self.hold()
        worker = self.stop_worker()
        self.wait_said("is left behind")
        os.unlink(path)
        self.wait_evaluations(2)
        self.assertIn(worker, self.sewad.workers())
        self.open_gate()
        self.assert_peaceful(uid, peace, "one was left behind")
        os.kill(worker, signal.SIGKILL)
        self.wait_gone(worker)


if __name__ == "__main__":
    unittest.main(verbosity=2)
