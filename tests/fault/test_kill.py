"""kill - sewad dies by SIGKILL, in every state of a job and at any instant.

After a restart the job finishes, and trace, result and average equal to the bit what the same job
gives when nobody disturbs it. Workers live on meanwhile, or are killed too.
"""
import http.client
import os
import random
import signal
import time

import unittest

from outcomes import assert_same, outcome_of
from sewa import (DEADLINE_S, FINAL, LONG, SANITIZED, ServiceTest, Waiting, needs_failpoints,
                  toy_evaluator, wait_until)
from toys import toy_service

JOBS = "/api/v1/jobs"
JOB = {"run": "toy", "evaluator": "toy", "select": 3, "params": {"iterations": 4, "polish": 6}}


class Killed(ServiceTest):
    """One service that is killed again and again, and the outcome of a job in peace."""

    def set_up(self, job, **evaluator):
        self.job = job
        self.keys = 0
        self.sewad = toy_service(self, {"toy": toy_evaluator(evaluator)},
                                 {"local_workers": job.get("workers", 1)})
        began = time.monotonic()
        self.peace = outcome_of(self.sewad, self.sewad.run_job(**job))
        self.seconds = time.monotonic() - began

    def new_key(self):
        self.keys += 1
        return {"Idempotency-Key": "key %d" % self.keys}

    def post(self, key):
        return self.sewad.request("POST", JOBS, self.job, key).expect(201).json()["id"]

    def post_to_a_doomed_service(self, key):
        """It may die before it answers."""
        try:
            return self.post(key)
        except (http.client.HTTPException, OSError):
            return None

    def start_doomed(self, failpoint):
        """Start it with a place to die at; False when it died before it listened."""
        try:
            self.sewad.start(ready=False, SEWA_FAILPOINT=failpoint)
        except AssertionError:
            if self.sewad.process.returncode != -signal.SIGKILL:
                raise
            return False
        return True

    def has_died(self, uid):
        """Wait until the service is dead; False when the job came to its end instead."""
        end = time.monotonic() + DEADLINE_S
        while self.sewad.is_alive():
            if time.monotonic() > end:
                raise Waiting("it neither died nor ended the job")
            try:
                if uid and self.sewad.job(uid)["state"] in FINAL:
                    return False
            except (http.client.HTTPException, OSError):
                pass
            time.sleep(0.02)
        self.assertEqual(self.sewad.wait_end(), -signal.SIGKILL, self.sewad.log_text())
        return True

    def assert_peaceful(self, uid, what):
        """The job has succeeded, as it does in peace, and nothing is left of other attempts."""
        done = self.sewad.wait_job(uid)
        assert_same(self, outcome_of(self.sewad, done), self.peace, what)
        folder = os.path.join(self.sewad.state, "artifacts")
        wait_until(lambda: not [n for n in os.listdir(folder) if n.startswith(".")],
                   "%s: no hidden folders are left" % what)

    def die_at(self, failpoint):
        """Kill it at this place of a job, start it again, judge. False: the place never came."""
        self.sewad.stop()
        key, uid = self.new_key(), None
        if self.start_doomed(failpoint):
            uid = self.post_to_a_doomed_service(key)
            if not self.has_died(uid):
                self.sewad.kill()  # now, before it comes to that place after all
                return False
        else:
            self.sewad.wait_end()
        self.sewad.start()
        # whoever has got no answer asks once more, and there is one job
        again = self.post(key)
        self.assertIn(uid, (None, again))
        self.assert_peaceful(again, failpoint)
        self.assertEqual(len(self.sewad.pages(JOBS)), self.keys + 1)
        return True


@needs_failpoints
class AtPlaces(Killed):
    def setUp(self):
        super().setUp()
        self.set_up(JOB)

    def test_in_every_state(self):
        for failpoint in ("job_saved=kill", "job_saved=kill@2", "job_saved=kill@5",
                          "jobs_result=kill", "jobs_result=kill@3", "publish_before_rename=kill",
                          "publish_after_rename=kill", "job_before_success=kill"):
            with self.subTest(failpoint=failpoint):
                self.assertTrue(self.die_at(failpoint), "this place never came")

    def test_around_every_commit(self):
        step = 1 if LONG else 16 if SANITIZED else 6
        for place in ("store_before_commit", "store_after_commit"):
            n = 1
            while self.die_at("%s=kill@%d" % (place, n)):
                n += step
            self.assertGreater(n, 15, "a job takes more commits")

    def test_while_the_worker_writes_the_average(self):
        folder = os.path.join(self.sewad.state, "artifacts")
        for failpoint in ("worker_average=sleep:600000", "outfile_before_rename=sleep:600000"):
            with self.subTest(failpoint=failpoint):
                self.sewad.stop()
                self.sewad.start(SEWA_FAILPOINT=failpoint)
                uid = self.sewad.submit(**JOB)["id"]
                self.sewad.wait_state(uid, "publishing")
                if failpoint.startswith("outfile"):
                    wait_until(lambda: [n for n in os.listdir(folder) if n.startswith(".")],
                               "there is a hidden folder")
                self.sewad.kill()
                self.scratch.kill_processes()
                self.sewad.start()
                self.assert_peaceful(uid, failpoint)


class InStates(Killed):
    """States that a gate holds."""

    def kill_and_start(self):
        self.sewad.kill()
        self.sewad.start()

    def test_queued(self):
        self.set_up(JOB, gate=self.scratch.write("gate", ""))
        os.unlink(self.scratch.join("gate"))
        first = self.sewad.submit(**JOB)["id"]
        self.sewad.wait_state(first, "running")
        second = self.sewad.submit(**JOB)["id"]
        self.kill_and_start()
        self.assertEqual(self.sewad.job(second)["state"], "queued")
        self.scratch.write("gate", "")
        for uid in (first, second):
            self.assert_peaceful(uid, "queued")

    def test_starting(self):
        self.set_up(JOB, setup_gate=self.scratch.write("gate", ""))
        for kill_worker in (False, True):
            os.unlink(self.scratch.join("gate"))
            uid = self.sewad.submit(**JOB)["id"]
            self.sewad.wait_state(uid, "starting")
            workers = wait_until(self.sewad.workers, "there is a worker")
            self.sewad.kill()
            if kill_worker:
                os.kill(workers[0], signal.SIGKILL)
            self.sewad.start()
            self.assertEqual(self.sewad.job(uid)["state"], "starting")
            self.scratch.write("gate", "")
            self.assert_peaceful(uid, "starting")


class AtRandom(Killed):
    """At any instant of a job, several times each; every second time its workers are killed too."""

    def test_one_worker(self):
        self.kill_at_random_instants(1)

    def test_two_workers(self):
        self.kill_at_random_instants(2)

    def kill_at_random_instants(self, workers):
        seed = int(os.environ.get("SEWA_TEST_SEED", time.time_ns() % 1000000))
        print("SEWA_TEST_SEED=%d makes the same choices" % seed)
        rng = random.Random(seed)
        self.set_up(dict(JOB, workers=workers, params={"iterations": 30, "polish": 6}), delay=0.01)
        kills = 100 if LONG else 4 if SANITIZED else 12
        uid = None
        for i in range(kills):
            if uid is None or self.sewad.job(uid)["state"] in FINAL:
                if uid:
                    self.assert_peaceful(uid, "kill %d with seed %d" % (i, seed))
                uid = self.sewad.submit(**self.job)["id"]
            time.sleep(rng.uniform(0, self.seconds / 4))
            self.sewad.kill()
            if rng.random() < 0.5:
                self.scratch.kill_processes()
            self.sewad.start()
        self.assert_peaceful(uid, "the last one with seed %d" % seed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
