"""orphans - nothing that an evaluator has started outlives it, whoever is killed.

The evaluator forks children of every kind (tests/support/evaluator.py: OFFSPRING): in its group, in
a session of their own, twice forked, a tree. In each test somebody ends, and then none of them may be
left. How long that takes is not measured here: without somebody who cares, they sleep for an hour.
"""
import contextlib
import os
import signal
import unittest

from evaluator import OFFSPRING
from sewa import ServiceTest, name_of, toy_evaluator, wait_until
from toys import toy_service

JOBS = "/api/v1/jobs"
JOB = {"run": "toy", "evaluator": "toy", "select": 3, "params": {"iterations": 3, "polish": 2}}


class Orphans(ServiceTest):
    def set_up(self, **fields):
        self.path, self.gate = self.scratch.join("family"), self.scratch.join("gate")
        self.count = self.scratch.join("count")
        options = dict({"family": self.path, "gate": self.gate, "count": self.count}, **fields)
        self.sewad = toy_service(self, {"toy": toy_evaluator(options)})
        self.addCleanup(self.scratch.write, "gate", "")

    def families(self):
        """{pid of an evaluator: {kind of descendant: pid}}"""
        families = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="ascii") as file:
                for line in file.read().splitlines():
                    parent, pid, kind = line.split()
                    families.setdefault(int(parent), {})[kind] = int(pid)
        return families

    def whole_families(self, number):
        families = self.families()
        return len(families) >= number and \
            all(len(f) == len(OFFSPRING) for f in families.values()) and families

    def hold(self):
        """A job in its first evaluation, and the pids of its evaluator and what descends from it."""
        self.uid = self.sewad.submit(**JOB)["id"]
        family, = wait_until(lambda: self.whole_families(1), "the family is there").items()
        wait_until(lambda: os.path.exists(self.count), "it evaluates")
        self.evaluator = family[0]
        return [family[0], *family[1].values()]

    def guard(self):
        return self.scratch.processes("sewa-guard")[0]

    def assert_gone(self, pids):
        wait_until(lambda: not [p for p in pids if name_of(p)], "nothing of it is left")

    def go_on(self):
        """The job is not harmed, and its end leaves nothing behind either."""
        self.scratch.write("gate", "")
        self.sewad.wait_job(self.uid)
        wait_until(lambda: not self.scratch.processes("sewa-worker"), "its worker has ended")
        for evaluator, family in self.families().items():
            self.assert_gone([evaluator, *family.values()])

    def test_the_worker_is_killed(self):
        self.set_up()
        pids = self.hold()
        os.kill(self.sewad.workers()[0], signal.SIGKILL)
        self.assert_gone(pids)
        self.go_on()

    def test_the_group_of_the_worker_is_killed(self):
        """As sewad does with one that does not end."""
        self.set_up()
        pids = self.hold()
        os.killpg(self.sewad.workers()[0], signal.SIGKILL)
        self.assert_gone(pids)
        self.go_on()

    def test_worker_and_sewad_are_killed(self):
        for first in ("sewad", "worker"):
            with self.subTest(first=first):
                self.set_up()
                pids = self.hold()
                victims = [self.sewad.process.pid, *self.sewad.workers()]
                for victim in victims if first == "sewad" else reversed(victims):
                    os.kill(victim, signal.SIGKILL)
                self.sewad.wait_end()
                self.assert_gone(pids)
                self.assertEqual(self.scratch.processes("sewa-guard"), [])
                os.unlink(self.path)
                os.unlink(self.count)

    def test_the_evaluator_is_killed(self):
        self.set_up()
        pids = self.hold()
        os.kill(self.evaluator, signal.SIGKILL)
        self.assert_gone(pids)
        self.go_on()

    def test_the_guard_is_killed(self):
        """Then the kernel ends the evaluator, and the worker the rest."""
        self.set_up()
        pids = self.hold()
        os.kill(self.guard(), signal.SIGKILL)
        self.assert_gone(pids)
        self.go_on()
        self.assertIn("its guard was killed by SIGKILL", self.sewad.log_text())

    def test_evaluator_and_guard_are_killed(self):
        self.set_up()
        pids = self.hold()
        os.kill(self.guard(), signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it follows at once
            os.kill(self.evaluator, signal.SIGKILL)
        self.assert_gone(pids)
        self.go_on()

    def test_worker_and_guard_are_killed(self):
        """Nobody is left who would know of its children, but the kernel ends the evaluator."""
        self.set_up()
        pids = self.hold()
        for victim in (self.guard(), self.sewad.workers()[0]):
            os.kill(victim, signal.SIGKILL)
        self.assert_gone([self.evaluator])
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.go_on()

    def test_the_guard_is_asked_to_end(self):
        """What a service manager sends to all processes of a service must not end a task."""
        self.set_up()
        pids = self.hold()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(self.guard(), number)
        self.go_on()
        self.assertEqual(list(self.families()), [pids[0]])

    def test_the_job_is_cancelled(self):
        self.set_up()
        pids = self.hold()
        self.sewad.request("POST", "%s/%s/cancel" % (JOBS, self.uid), {}).expect(202)
        self.sewad.wait_job(self.uid, "cancelled")
        self.assert_gone(pids)

    def test_an_evaluator_that_dies_at_start(self):
        self.set_up(fault="exit_at_start")
        uid = self.sewad.submit(**JOB)["id"]
        self.sewad.wait_job(uid, "failed")
        families = wait_until(self.families, "somebody was born")
        self.assert_gone([p for f in families.values() for p in f.values()])
        wait_until(lambda: not self.scratch.processes("sewa-guard"), "nor is a guard")

    def test_the_evaluator_dies_before_its_worker(self):
        """When memory runs out: what is made of user code counts more, the guard does not."""
        self.set_up()
        pids = self.hold()

        def score(pid):
            with open("/proc/%d/oom_score_adj" % pid, encoding="ascii") as file:
                return int(file.read())
        worker = score(self.sewad.workers()[0])
        self.assertEqual(score(self.guard()), worker)
        for pid in pids:
            self.assertEqual(score(pid), min(worker + 500, 1000))
        self.go_on()


if __name__ == "__main__":
    unittest.main(verbosity=2)
