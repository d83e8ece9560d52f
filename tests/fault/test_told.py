"""told - what a client was told was written first.

Each verb is tried on a service whose every commit takes long, and the service is killed right
behind the answer: whatever is put into the database after an answer is lost then. What was told is
there after a restart.
"""
import os
import unittest

from sewa import ServiceTest, needs_failpoints, toy_evaluator, wait_until
from toys import toy_run, toy_service

JOBS = "/api/v1/jobs"
RUNS = "/api/v1/runs"
# Long against the time from an answer to the kill behind it, also on a busy machine.
SLOW_DISK = "store_before_commit=sleep:500@1+"


@needs_failpoints
class Told(ServiceTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.scratch.write, "gate", "")  # before the services are stopped
        toy_run(self.scratch.join("own"))
        self.sewad = toy_service(
            self, {"toy": toy_evaluator({"gate": self.scratch.join("gate")})},
            {"allowed_roots": [self.scratch.path], "local_workers": 1})

    def told(self, method, path, body, status, headers=None):
        """Ask a service with a slow disk, kill it right behind the answer, start it again."""
        self.sewad.kill()
        self.sewad.start(SEWA_FAILPOINT=SLOW_DISK)
        reply = self.sewad.request(method, path, body, headers)
        self.sewad.process.kill()
        self.sewad.wait_end()
        reply.expect(status)
        self.sewad.start()
        return reply

    def gated_job(self):
        return self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]

    def check_cancel(self, uid):
        reply = self.told("POST", "%s/%s/cancel" % (JOBS, uid), {}, 202)
        self.assertEqual(reply.json(), {"id": uid, "state": "cancelling"})
        # the gate is shut: it does not come to an end of its own
        done = self.sewad.wait_job(uid, "cancelled")
        self.assertIsNone(done["result"])

    def test_submit(self):
        job = {"run": "toy", "method": "uniform"}
        reply = self.told("POST", JOBS, job, 201, {"Idempotency-Key": "one"})
        uid = reply.json()["id"]
        self.sewad.wait_job(uid)
        again = self.sewad.request("POST", JOBS, job, {"Idempotency-Key": "one"}).expect(201)
        self.assertEqual(again.headers["Idempotent-Replayed"], "true")
        self.assertEqual(again.json(), reply.json())
        self.assertEqual([j["id"] for j in self.sewad.pages(JOBS)], [uid])

    def test_check(self):
        reply = self.told("POST", "/api/v1/evaluators/toy/check", {"run": "toy"}, 202)
        self.assertEqual(self.sewad.job(reply.json()["id"])["method"], "check")

    def test_cancel_of_a_queued_and_of_a_running_job(self):
        running, queued = self.gated_job(), self.gated_job()
        self.sewad.wait_state(running, "running")
        self.check_cancel(queued)
        self.assertEqual(self.sewad.job(running)["state"], "running")
        self.check_cancel(running)

    def test_cancel_of_a_publishing_job(self):
        self.sewad.stop()
        self.sewad.start(SEWA_FAILPOINT="worker_average=sleep:600000")
        uid = self.sewad.submit(run="toy", method="uniform")["id"]
        self.sewad.wait_state(uid, "publishing")
        self.check_cancel(uid)
        self.assertEqual(os.listdir(os.path.join(self.sewad.state, "artifacts")), [])

    def test_cancel_while_the_job_ends_by_itself(self):
        """The word is on its way to the disk when the job succeeds: whoever was told 202 is right."""
        place = self.scratch.join("sewad0", "state", "artifacts")
        self.sewad.stop()
        self.sewad.start(SEWA_FAILPOINT="publish_after_rename=sleep:300,"
                                        "store_before_commit=sleep:600@1+")
        uid = self.sewad.submit(run="toy", method="uniform")["id"]
        wait_until(lambda: uid in os.listdir(place), "the average is in place")
        reply = self.sewad.request("POST", "%s/%s/cancel" % (JOBS, uid), {})
        if reply.status == 409:
            return  # this machine is so slow that the job had ended before the question
        reply.expect(202)
        done = self.sewad.wait_job(uid, "cancelled")
        self.assertEqual((done["result"], done["artifacts"]), (None, []))
        wait_until(lambda: not os.listdir(place), "the average is taken away")
        self.sewad.wait_job(self.sewad.submit(run="toy", method="last")["id"])

    def test_retry(self):
        uid = self.sewad.run_job(run="toy", method="uniform")["id"]
        reply = self.told("POST", "%s/%s/retry" % (JOBS, uid), {}, 201)
        again = self.sewad.wait_job(reply.json()["id"])
        self.assertEqual(again["retry_of"], uid)

    def test_delete_of_a_job(self):
        uid = self.sewad.run_job(run="toy", method="uniform")["id"]
        self.told("DELETE", "%s/%s" % (JOBS, uid), None, 204)
        self.sewad.request("GET", "%s/%s" % (JOBS, uid)).expect(404)
        for place in ("artifacts", "jobs"):
            self.assertEqual(os.listdir(os.path.join(self.sewad.state, place)), [], place)

    def test_create_change_and_delete_of_a_run(self):
        run = {"name": "own", "path": self.scratch.join("own"), "labels": {"a": "b"}}
        self.told("POST", RUNS, run, 201)
        self.assertEqual(self.sewad.get(RUNS + "/own")["labels"], {"a": "b"})
        patch = {"labels": {"a": None, "c": "d"}, "pattern": "step-{step}.safetensors"}
        shown = self.told("PATCH", RUNS + "/own", patch, 200).json()
        after = self.sewad.get(RUNS + "/own")
        for field in ("labels", "pattern", "path", "id", "updated_at"):
            self.assertEqual(after.get(field), shown.get(field), field)
        self.assertEqual(after["labels"], {"c": "d"})
        self.told("DELETE", RUNS + "/own", None, 204)
        self.sewad.request("GET", RUNS + "/own").expect(404)

    def test_change_of_a_checkpoint(self):
        path = "/api/v1/checkpoints/" + self.sewad.complete("toy")[0]["id"]
        patch = {"labels": {"a": "b"}, "metrics": {"accuracy": 0.5}, "pinned": True}
        self.told("PATCH", path, patch, 200)
        after = self.sewad.get(path)
        self.assertEqual({field: after[field] for field in patch}, patch)


if __name__ == "__main__":
    unittest.main(verbosity=2)
