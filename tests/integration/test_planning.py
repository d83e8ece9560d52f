"""planning - a job may take long to plan, and nobody waits for that but who has asked for it."""
import http.client
import json
import select
import unittest

from sewa import DEADLINE_S, ServiceTest, needs_failpoints, toy_evaluator
from toys import toy_run

JOBS = "/api/v1/jobs"
JOB = {"run": "toy", "method": "uniform"}


@needs_failpoints
class Planning(ServiceTest):
    def start(self, milliseconds):
        """A service with a finished job, whose later plans take so long."""
        toy_run(self.scratch.join("toy"))
        self.sewad = self.service({"run": {"toy": {"path": self.scratch.join("toy")}},
                                   "evaluator": {"toy": toy_evaluator()}},
                                  SEWA_FAILPOINT="submission_plan=sleep:%d@2+" % milliseconds)
        self.sewad.wait_complete("toy", 6)
        return self.sewad.run_job(**JOB)["id"]

    def post(self, path, body):
        """Send a request and do not wait for its answer."""
        connection = http.client.HTTPConnection(self.sewad.address, timeout=DEADLINE_S)
        self.addCleanup(connection.close)
        connection.request("POST", path, body=json.dumps(body),
                           headers={"Content-Type": "application/json"})
        return connection

    @staticmethod
    def is_answered(connection):
        return bool(select.select([connection.sock], [], [], 0)[0])

    def test_others_are_answered_meanwhile(self):
        done = self.start(2000)
        for path, body, status in [(JOBS + "?dry_run=true", JOB, 200), (JOBS, JOB, 201),
                                   ("%s/%s/retry" % (JOBS, done), {}, 201),
                                   ("/api/v1/evaluators/toy/check", {"run": "toy"}, 202)]:
            with self.subTest(path=path):
                connection = self.post(path, body)
                others = 0
                while not self.is_answered(connection):
                    self.sewad.request("GET", "/healthz").expect(200)
                    others += 1
                answer = connection.getresponse()
                text = answer.read()
                self.assertEqual(answer.status, status, text)
                # one or two come before the request is read; the rest during its two seconds
                self.assertGreater(others, 5)
        for job in self.sewad.pages(JOBS):
            self.sewad.wait_job(job["id"])

    def test_the_configuration_changes_meanwhile(self):
        """A job has what was configured when it was asked for."""
        self.start(1500)
        connection = self.post(JOBS, {"run": "toy", "method": "best", "evaluator": "toy"})
        self.sewad.request("GET", "/healthz").expect(200)  # the request has been read
        self.sewad.configure(evaluator={})
        self.sewad.hang_up()
        answer = connection.getresponse()
        job = json.loads(answer.read())
        self.assertEqual(answer.status, 201, job)
        self.assertEqual(self.sewad.wait_job(job["id"])["evaluator"], "toy")

    def test_the_service_ends_meanwhile(self):
        self.start(1500)
        connections = [self.post(JOBS, JOB) for _ in range(3)]
        self.sewad.request("GET", "/healthz").expect(200)
        self.sewad.stop()  # a clean end, whatever becomes of them
        for connection in connections:
            try:
                self.assertIn(connection.getresponse().status, (201, 503))
            except (http.client.HTTPException, OSError):
                pass
        self.sewad.start()
        for job in self.sewad.pages(JOBS):
            self.sewad.wait_job(job["id"])


if __name__ == "__main__":
    unittest.main()
