"""determinism - the same answers of the evaluator give the same bytes, however they were computed.

One job on the digits: twice in one service, with one and two numeric threads, with the plain
kernels, with two workers, and in a service that keeps nothing of the first. Everything that a job
has learned is compared to the bit: every probability of every iteration, the losses, the artifact.
"""
import unittest

from outcomes import assert_same, outcome_of
from sewa import SANITIZED, ServiceTest, digits_evaluator, toy_evaluator
from toys import toy_run, train_digits


def outcome(sewad, job):
    return outcome_of(sewad, sewad.run_job(**job))


class SameBytes(ServiceTest):
    def setUp(self):
        super().setUp()
        self.directory = self.scratch.join("digits")
        self.files = train_digits(self.scratch, self.directory, steps=200 if SANITIZED else 600)

    def service_with(self, options=None, **environment):
        options = dict({"run": {"digits": {"path": self.directory}},
                        "evaluator": {"digits": digits_evaluator()}}, **(options or {}))
        sewad = self.service(options, **environment)
        sewad.wait_complete("digits", len(self.files))
        return sewad

    def assert_same(self, ours, theirs, what):
        assert_same(self, ours, theirs, what)

    def test_one_job_computed_in_many_ways(self):
        iterations, candidates = 20 if SANITIZED else 60, len(self.files)
        job = {"run": "digits", "evaluator": "digits", "select": 8, "seed": 7,
               "params": {"iterations": iterations}}
        first = self.service_with({"worker_threads": 1})
        reference = outcome(first, job)
        self.assertEqual([len(t["probabilities"]) for t in reference["trace"]],
                         [candidates] * iterations)
        self.assert_same(outcome(first, job), reference, "the same job once more")
        for what, options, environment, more in [
            ("two threads", {"worker_threads": 2}, {}, {}),
            ("the plain kernels", {}, {"SEWA_KERNELS": "reference"}, {}),
            ("two workers", {"local_workers": 2}, {}, {"workers": 2}),
            ("two workers, plain kernels, three threads", {"local_workers": 2, "worker_threads": 3},
             {"SEWA_KERNELS": "reference"}, {"workers": 2}),
        ]:
            with self.subTest(what=what):
                ours = outcome(self.service_with(options, **environment), dict(job, **more))
                self.assert_same(ours, reference, what)
        other = outcome(first, dict(job, seed=8))
        self.assertNotEqual(other["trace"], reference["trace"])

    def test_every_method_and_estimator(self):
        one = self.service_with({"worker_threads": 1})
        two = self.service_with({"local_workers": 2, "worker_threads": 2},
                                SEWA_KERNELS="reference")
        for method, fields in [
            ("best", {}), ("lawa", {"select": 3, "evaluator": "digits"}),
            ("uniform", {"evaluator": "digits", "baselines": ["best"]}),
            ("sewa", {"select": "auto", "params": {"iterations": 15}}),
            ("sewa", {"select": 5, "params": {"iterations": 15, "polish": 0}}),
            ("sewa", {"select": 5, "params": {"iterations": 10, "estimator": "straight_through"}}),
            ("sewa", {"select": 5, "params": {"iterations": 10, "estimator": "score_function"}}),
            ("sewa", {"select": 5, "params": {"iterations": 10, "batch": 4, "temperature": {
                "start": 2, "end": 0.2, "schedule": "cosine"}}}),
        ]:
            with self.subTest(method=method, fields=fields):
                job = dict({"run": "digits", "method": method, "evaluator": "digits"}, **fields)
                self.assert_same(outcome(two, dict(job, workers=2)), outcome(one, job), method)

    def test_memory_for_one_average_at_a_time(self):
        """With little memory points are evaluated in smaller groups; with less, files are streamed."""
        toy = self.scratch.join("toy")
        toy_run(toy, size=300000)
        options = {"run": {"toy": {"path": toy}},
                   "evaluator": {"toy": toy_evaluator({"gradient": False})}}
        job = {"run": "toy", "evaluator": "toy", "select": 2,
               "baselines": [], "params": {"iterations": 1, "polish": 2}}

        def run(memory_mib):
            sewad = self.service(dict(options, worker_memory_mib=memory_mib, worker_threads=1))
            sewad.wait_complete("toy", 6)
            plan = sewad.request("POST", "/api/v1/jobs", job, dry_run="true").json()["plan"]
            return plan, outcome(sewad, job)

        mib, average = 1 << 20, 2 * 4 * 300003  # with its gradient
        plan, ample = run(64)
        self.assertEqual((plan["averages_at_a_time"], plan["streams"]), (8, False))
        candidates = plan["peak_memory_bytes"] - 8 * average
        plan, one = run((candidates + average + average // 2) // mib + 1)
        self.assertEqual((plan["averages_at_a_time"], plan["streams"]), (1, False))
        self.assert_same(one, ample, "little memory")
        plan, streamed = run((candidates + average) // mib - 1)
        self.assertTrue(plan["streams"])
        self.assertIn("reads them again", streamed["result"].pop("notes")[0])
        ample["result"].pop("notes")
        self.assert_same(streamed, ample, "streamed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
