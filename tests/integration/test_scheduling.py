"""scheduling - slots for workers go from job to job, and to jobs that already run.

A gate holds evaluations, so that who works is seen while nothing ends. The times after which a
worker would go by itself (a heartbeat, a question for work that nobody answers, a kill) are made so
long that only being told can have ended it.
"""
import concurrent.futures
import os
import unittest

from sewa import ServiceTest, needs_failpoints, toy_evaluator, wait_until
from toys import toy_service

# none of these may be what frees a slot
NEVER = ",".join("%s=value:%d" % (name, number) for name, number in (
    ("jobs_heartbeat_s", 3600), ("jobs_lease_ms", 7200000), ("jobs_lease_wait_ms", 3600000),
    ("jobs_kill_ms", 3600000)))
# sewa-worker itself gives up a call that nobody answers after 60 s
SOON_S = 45


@needs_failpoints
class Slots(ServiceTest):
    def set_up(self, local_workers):
        self.addCleanup(lambda: [self.open(n) for n in ("a", "b")])
        self.sewad = toy_service(
            self, {n: toy_evaluator({"gate": self.gate(n), "count": self.scratch.join("count-" + n)})
                   for n in ("a", "b")},
            {"local_workers": local_workers}, SEWA_FAILPOINT=NEVER)

    def gate(self, name):
        return self.scratch.join("gate-" + name)

    def open(self, name):
        self.scratch.write("gate-" + name, "")

    def submit(self, evaluator, workers):
        return self.sewad.submit(run="toy", evaluator=evaluator, select=3, workers=workers,
                                 params={"iterations": 4, "polish": 4})["id"]

    def at_work(self, name):
        """The evaluators that have begun to evaluate for this job."""
        path = self.scratch.join("count-" + name)
        if not os.path.exists(path):
            return set()
        with open(path, encoding="ascii") as file:
            return {int(line) for line in file}

    # the first batch of such a job has three tasks: no more workers than that are seen at work
    def wait_at_work(self, name, number, why):
        wait_until(lambda: len(self.at_work(name)) >= number, why, SOON_S)
        self.assertEqual(len(self.at_work(name)), number)

    def test_the_next_job_gets_all_slots_of_the_last_one(self):
        self.set_up(local_workers=3)
        self.open("a")
        self.sewad.wait_job(self.submit("a", 3))
        second = self.submit("b", 3)
        self.wait_at_work("b", 3, "three workers evaluate for the second job")
        self.open("b")
        self.sewad.wait_job(second)
        wait_until(lambda: not self.sewad.workers(), "nobody is left when all is done", SOON_S)

    def test_a_running_job_gets_slots_that_become_free(self):
        self.set_up(local_workers=4)
        first, second = self.submit("a", 2), self.submit("b", 3)
        self.wait_at_work("a", 2, "the first job has its two workers")
        self.wait_at_work("b", 2, "the second one has two of three")
        self.sewad.request("POST", "/api/v1/jobs/%s/cancel" % first, {}).expect(202)
        self.wait_at_work("b", 3, "the second one has its third worker")
        self.sewad.wait_job(first, "cancelled")
        # one slot is free, and nobody wants it
        wait_until(lambda: len(self.sewad.workers()) == 3, "the job has what it asked for", SOON_S)
        self.open("b")
        self.sewad.wait_job(second)


@needs_failpoints
class Limit(ServiceTest):
    def test_requests_at_the_same_time_respect_the_limit(self):
        gate = self.scratch.join("gate")
        self.addCleanup(self.scratch.write, "gate", "")
        sewad = toy_service(self, {"toy": toy_evaluator({"gate": gate})},
                            SEWA_FAILPOINT="jobs_unfinished_max=value:4,"
                                           "submission_plan=sleep:300@1+")
        job = {"run": "toy", "evaluator": "toy", "method": "best"}

        def submit(_):
            return sewad.request("POST", "/api/v1/jobs", job)
        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            replies = list(threads.map(submit, range(12)))
        taken = [r.json()["id"] for r in replies if r.status == 201]
        self.assertEqual(len(taken), 4)
        for reply in replies:
            if reply.status != 201:
                reply.problem(429, "too_many_requests", "at most 4")
        self.assertEqual(len(sewad.pages("/api/v1/jobs")), 4)
        # a plan alone takes no place, a request that is refused gives its own back
        sewad.post("/api/v1/jobs", job, 200, dry_run="true")
        self.scratch.write("gate", "")
        for uid in taken:
            sewad.wait_job(uid)
        for _ in range(5):
            sewad.request("POST", "/api/v1/jobs", dict(job, run="nobody")).problem(
                422, "unknown_name")
        wait_until(lambda: submit(None).status == 201, "there is room again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
