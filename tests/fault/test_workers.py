"""workers - what runs on behalf of sewad is killed, and what outlives sewad is taken up again."""
import contextlib
import os
import signal
import sqlite3
import subprocess
import time
import unittest

from outcomes import assert_same, outcome_of
from sewa import (FINAL, LONG, ServiceTest, name_of, needs_failpoints, toy_evaluator,
                  wait_until)
from toys import toy_service

JOBS = "/api/v1/jobs"
JOB = {"run": "toy", "evaluator": "toy", "select": 3, "params": {"iterations": 6, "polish": 6}}


class Workers(ServiceTest):
    """A job whose evaluations are counted; from one of them on they wait for a gate."""

    def set_up(self, evaluator=None, options=None, **environment):
        self.gate, self.count = self.scratch.join("gate"), self.scratch.join("count")
        self.addCleanup(self.open_gate)
        fields = dict({"count": self.count, "gate": self.gate}, **(evaluator or {}))
        self.sewad = toy_service(self, {"toy": toy_evaluator(fields)}, options, **environment)

    def open_gate(self):
        self.scratch.write("gate", "")

    def close_gate(self):
        os.unlink(self.gate)

    def evaluations(self):
        """The pid of each evaluation that has begun, oldest first."""
        if not os.path.exists(self.count):
            return []
        with open(self.count, encoding="ascii") as file:
            return [int(line) for line in file]

    def wait_evaluations(self, number):
        """Wait until so many have begun, and return the pid of the last one."""
        wait_until(lambda: len(self.evaluations()) >= number, "evaluation %d begins" % number)
        return self.evaluations()[-1]

    def in_peace(self, **job):
        self.open_gate()
        peace = outcome_of(self.sewad, self.sewad.run_job(**dict(JOB, **job)))
        self.close_gate()
        os.unlink(self.count)
        return peace

    def hold(self, **job):
        """A job that waits in its first evaluation, and what becomes of it in peace."""
        peace = self.in_peace()
        uid = self.sewad.submit(**dict(JOB, **job))["id"]
        self.wait_evaluations(1)
        return uid, peace

    def assert_peaceful(self, uid, peace, what):
        assert_same(self, outcome_of(self.sewad, self.sewad.wait_job(uid)), peace, what)


class Kills(Workers):
    """The gate holds an evaluation while somebody dies: it is certain that work was under way."""

    def check(self, kill, **options):
        self.set_up(options=options)
        peace = self.in_peace()
        uid = self.sewad.submit(**JOB)["id"]
        for number in (1, 3):
            pid = self.wait_evaluations(number)
            kill(pid)
            if number == 1:
                self.let_one_through(number)
        self.wait_evaluations(4)
        self.open_gate()
        self.assert_peaceful(uid, peace, kill.__name__)
        self.sewad.stop()

    def let_one_through(self, number):
        """Once more the first, which then ends, and the next one is held."""
        self.wait_evaluations(number + 1)
        self.open_gate()
        self.wait_evaluations(number + 2)
        self.close_gate()

    def test_the_worker_is_killed(self):
        def kill_the_worker(_):
            for pid in self.sewad.workers():
                os.kill(pid, signal.SIGKILL)
        self.check(kill_the_worker)

    def test_the_worker_is_asked_to_end(self):
        def end_the_worker(_):
            for pid in self.sewad.workers():
                os.kill(pid, signal.SIGTERM)
        self.check(end_the_worker)

    def test_the_evaluator_is_killed(self):
        def kill_the_evaluator(pid):
            os.kill(pid, signal.SIGKILL)
        self.check(kill_the_evaluator)

    def test_both_are_killed(self):
        def kill_both(pid):
            for victim in [pid] + self.sewad.workers():
                with contextlib.suppress(ProcessLookupError):  # one may follow the other at once
                    os.kill(victim, signal.SIGKILL)
        self.check(kill_both)

    def test_one_of_two_workers_is_killed(self):
        self.set_up(options={"local_workers": 2})
        uid, peace = self.hold(workers=2)
        wait_until(lambda: len(self.sewad.workers()) == 2, "there are two workers")
        os.kill(self.sewad.workers()[0], signal.SIGKILL)
        wait_until(lambda: len(self.sewad.workers()) == 2, "there are two again")
        self.open_gate()
        self.assert_peaceful(uid, peace, "one of two")

    def test_a_worker_that_dies_again_and_again_ends_the_job(self):
        self.set_up()
        uid = self.sewad.submit(**JOB)["id"]
        dead = set()
        for number in (1, 2, 3):
            self.wait_evaluations(number)
            for pid in self.sewad.workers():
                dead.add(pid)
                os.kill(pid, signal.SIGKILL)
        done = self.sewad.wait_job(uid, "failed")
        self.assertEqual(done["reason"]["code"], "worker_died")
        self.assertIn("signal 9", done["reason"]["detail"])
        self.assertIn("3", done["reason"]["detail"])
        self.assertEqual(len(dead), 3)

    def test_the_evaluator_follows_a_killed_worker(self):
        self.set_up()
        uid = self.sewad.submit(**JOB)["id"]
        evaluator = self.wait_evaluations(1)
        os.kill(self.sewad.workers()[0], signal.SIGKILL)
        self.wait_evaluations(2)
        wait_until(lambda: not name_of(evaluator), "the evaluator of the dead worker has ended")
        self.open_gate()
        self.sewad.wait_job(uid)


class Adoption(Workers):
    def restart_by_kill(self):
        self.sewad.kill()
        self.sewad.start()

    def test_the_same_process_finishes_the_job(self):
        self.set_up()
        uid, peace = self.hold()
        evaluator = self.evaluations()[-1]
        worker, = self.sewad.workers()
        for _ in range(3):
            self.restart_by_kill()
            self.assertEqual(self.sewad.workers(), [worker])
        self.assertEqual(self.sewad.log_text().count("1 workers are alive"), 3)
        self.open_gate()
        self.assert_peaceful(uid, peace, "adopted")
        self.assertEqual(set(self.evaluations()), {evaluator})  # nobody else has evaluated
        self.assertEqual(len(self.evaluations()), peace["result"]["cost"]["evaluations"])

    def test_while_sewad_is_away_the_worker_ends_its_evaluation(self):
        """The result is not lost: it is reported to the service that comes back."""
        self.set_up()
        uid, peace = self.hold()
        evaluator = self.evaluations()[-1]
        self.sewad.kill()
        self.open_gate()
        self.sewad.start()
        self.assert_peaceful(uid, peace, "reported late")
        self.assertEqual(set(self.evaluations()), {evaluator})

    def test_an_adopted_worker_is_watched(self):
        """Its end is noticed although it is nobody's child, and so is a cancellation."""
        self.set_up()
        uid = self.sewad.submit(**JOB)["id"]
        self.wait_evaluations(1)
        self.restart_by_kill()
        worker, = self.sewad.workers()
        os.kill(worker, signal.SIGKILL)
        second = self.wait_evaluations(2)
        self.assertNotEqual(self.sewad.workers(), [worker])
        self.restart_by_kill()
        self.sewad.request("POST", "%s/%s/cancel" % (JOBS, uid), {}).expect(202)
        self.sewad.wait_job(uid, "cancelled")
        wait_until(lambda: not name_of(second), "its evaluator has ended")

    def test_a_worker_that_died_meanwhile_is_replaced(self):
        self.set_up()
        uid, peace = self.hold()
        self.sewad.kill()
        self.scratch.kill_processes()
        self.sewad.start()
        self.assertIn("0 workers are alive", self.sewad.log_text())
        self.open_gate()
        self.assert_peaceful(uid, peace, "none was left")

    def database(self, *words):
        path = os.path.join(self.sewad.state, "sewad.db")
        with contextlib.closing(sqlite3.connect(path)) as db:
            cursor = db.execute(*words)
            db.commit()
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def known(self):
        return [pid for pid, in self.database("SELECT pid FROM workers ORDER BY pid")]

    def test_who_has_gone_is_forgotten_and_nobody_else(self):
        """Of two workers one dies while sewad is away: its row goes, the other's stays."""
        self.set_up(options={"local_workers": 2})
        uid, peace = self.hold(workers=2)
        wait_until(lambda: len(self.evaluations()) == 2, "both are at work")
        wait_until(lambda: len(self.known()) == 2, "both are known")
        dead, alive = self.sewad.workers()
        self.sewad.kill()
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: dead not in self.sewad.workers(), "it is dead")
        self.sewad.start()
        self.assertIn("1 workers are alive", self.sewad.log_text())
        self.wait_evaluations(3)
        wait_until(lambda: self.known() == sorted(self.sewad.workers()), "those that live are known")
        self.assertIn(alive, self.known())
        self.assertNotIn(dead, self.known())
        self.open_gate()
        self.assert_peaceful(uid, peace, "one of two is gone")
        wait_until(lambda: self.known() == [], "nobody is known when the job has ended")

    def test_a_worker_that_nobody_knows_ends(self):
        """As if sewad had been killed between its start and the row: it is refused and goes."""
        self.set_up(SEWA_FAILPOINT="jobs_heartbeat_s=value:1")
        uid, peace = self.hold()
        worker, = self.sewad.workers()
        self.sewad.kill()
        self.assertEqual(self.database("DELETE FROM workers"), 1)
        self.sewad.start()
        self.assertIn("0 workers are alive", self.sewad.log_text())
        self.wait_evaluations(2)
        wait_until(lambda: worker not in self.sewad.workers(), "the unknown one has gone")
        self.assertEqual(len(self.sewad.workers()), 1)
        self.open_gate()
        self.assert_peaceful(uid, peace, "one was not known")

    def test_another_process_with_the_same_number_is_left_alone(self):
        self.set_up()
        uid, peace = self.hold()
        self.sewad.kill()
        self.scratch.kill_processes()
        stranger = subprocess.Popen(["sleep", "1000"], env=self.scratch.environment())
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        self.assertEqual(self.database("UPDATE workers SET pid = ?", (stranger.pid,)), 1)
        self.sewad.start()
        self.assertIn("0 workers are alive", self.sewad.log_text())
        self.open_gate()
        self.assert_peaceful(uid, peace, "a stranger")
        self.assertIsNone(stranger.poll())


class Stopping(Workers):
    def stop_after_this_task(self):
        """SIGTERM while one is under way: it ends, its result counts, and nothing else begins."""
        said = self.sewad.log_text().count("stopping:")
        self.sewad.process.send_signal(signal.SIGTERM)
        wait_until(lambda: self.sewad.log_text().count("stopping:") > said, "it has heard")
        self.open_gate()
        self.assertEqual(self.sewad.wait_end(), 0, self.sewad.log_text())
        self.close_gate()

    def test_again_and_again(self):
        self.set_up()
        peace = self.in_peace()
        uid = self.sewad.submit(**JOB)["id"]
        for _ in range(4):
            self.wait_evaluations(len(self.evaluations()) + 1)
            self.stop_after_this_task()
            self.sewad.start()
            self.assertNotIn(self.sewad.job(uid)["state"], FINAL)
        self.open_gate()
        self.assert_peaceful(uid, peace, "stopped again and again")
        # none was lost, none was made twice
        self.assertEqual(len(self.evaluations()), peace["result"]["cost"]["evaluations"])

    def test_what_is_under_way_is_waited_for(self):
        """It goes on as long as it takes (within half a minute); its result counts."""
        self.set_up()
        peace = self.in_peace()
        uid = self.sewad.submit(**JOB)["id"]
        self.wait_evaluations(1)
        worker, = self.sewad.workers()
        self.sewad.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping:" in self.sewad.log_text(), "it has heard")
        time.sleep(1.5)  # many times as long as it takes to look whether all is done
        self.assertTrue(self.sewad.is_alive())
        self.assertEqual(self.sewad.workers(), [worker])
        self.open_gate()
        self.assertEqual(self.sewad.wait_end(), 0, self.sewad.log_text())
        self.assertNotIn("did not end within", self.sewad.log_text())
        self.sewad.start()
        self.assert_peaceful(uid, peace, "it was waited for")
        self.assertEqual(len(self.evaluations()), peace["result"]["cost"]["evaluations"])

    @unittest.skipUnless(LONG, "takes half a minute: SEWA_TEST_LONG=1")
    def test_nobody_waits_longer_than_half_a_minute(self):
        self.set_up()
        uid, peace = self.hold()
        began = time.monotonic()
        self.sewad.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.sewad.wait_end(), 0, self.sewad.log_text())
        self.assertGreater(time.monotonic() - began, 29)
        self.assertIn("did not end within 30 s", self.sewad.log_text())
        wait_until(lambda: not self.scratch.processes(), "nothing of it runs any more")
        self.sewad.start()
        self.open_gate()
        self.assert_peaceful(uid, peace, "it was given up")

    @needs_failpoints
    def test_who_outlives_its_job_does_not_outlive_sewad(self):
        setup = self.scratch.join("setup")
        super().set_up({"setup_gate": setup}, {"local_workers": 2},
                       SEWA_FAILPOINT="jobs_kill_ms=value:600000,jobs_lease_ms=value:600000")
        self.open_gate()
        uid = self.sewad.submit(**dict(JOB, workers=2))["id"]
        wait_until(lambda: len(self.scratch.processes("sewa-guard")) == 2, "both prepare")
        worker = self.sewad.workers()[0]
        os.kill(worker, signal.SIGSTOP)
        self.scratch.write("setup", "")
        self.sewad.wait_job(uid)
        self.assertIn(worker, self.sewad.workers())
        self.sewad.stop()
        wait_until(lambda: worker not in self.sewad.workers(), "it has ended")

    def test_asked_twice_it_does_not_wait(self):
        self.set_up()
        uid, peace = self.hold()
        self.sewad.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in self.sewad.log_text(), "it has heard")
        self.sewad.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.sewad.wait_end(), 0, self.sewad.log_text())
        self.sewad.start()
        self.open_gate()
        self.assert_peaceful(uid, peace, "asked twice")


if __name__ == "__main__":
    unittest.main(verbosity=2)
