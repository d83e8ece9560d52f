"""recalibrate_plan - what a dry run counts for an evaluator that recalibrates.

What an evaluator can is known from the newest job that succeeded with it; before the first, nothing is
counted.
"""
import unittest

from sewa import ServiceTest, toy_evaluator
from toys import STEPS, toy_run

UNIFORM = {"run": "toy", "method": "uniform", "evaluator": "fresh", "baselines": ["last", "best"]}


class DryRuns(ServiceTest):
    def setUp(self):
        super().setUp()
        toy_run(self.scratch.join("toy"), size=4000)
        self.sewad = self.service({
            "run": {"toy": {"path": self.scratch.join("toy")}},
            "evaluator": {"fresh": toy_evaluator({"recalibrate": ["b"]}),
                          "worse": toy_evaluator({"recalibrate": ["b"], "shift": 1}),
                          "cannot": toy_evaluator()}})
        self.sewad.wait_complete("toy", len(STEPS))

    def plan(self, **job):
        return self.sewad.post("/api/v1/jobs", job, 200, dry_run="true")["plan"]

    def assert_promise(self, plan, done):
        self.assertEqual(done["result"]["cost"]["evaluations"], plan["evaluations"])
        self.assertEqual(done["progress"]["evaluations_total"], plan["evaluations"])

    def test_after_a_check(self):
        before = self.plan(**UNIFORM)
        self.assertIsNone(before["recalibrations"])
        check = self.sewad.post("/api/v1/evaluators/fresh/check", {"run": "toy"}, 202)
        self.sewad.wait_job(check["id"])
        after = self.plan(**UNIFORM)
        self.assertEqual(after["recalibrations"], 2)
        self.assertEqual(after["evaluations"], before["evaluations"] + 2)
        gradient = 4 * 4003  # its floats; padding is more
        more = after["peak_memory_bytes"] - before["peak_memory_bytes"]
        self.assertTrue(gradient <= more < gradient + 10000, more)
        self.assertGreater(after["expected_seconds"], 0)
        done = self.sewad.run_job(**UNIFORM)
        self.assertEqual(done["result"]["buffers"], "recalibrated")
        self.assert_promise(after, done)
        single = self.plan(run="toy", method="last", evaluator="fresh", baselines=[])
        self.assertEqual((single["recalibrations"], single["evaluations"]), (0, 2))

    def test_after_a_job(self):
        for name, most in (("worse", 2), ("cannot", 0)):
            with self.subTest(evaluator=name):
                job = dict(UNIFORM, evaluator=name)
                self.assertIsNone(self.plan(**job)["recalibrations"])
                self.sewad.run_job(**job)
                again = self.plan(**job)
                self.assertEqual(again["recalibrations"], most)
                self.assert_promise(again, self.sewad.run_job(**job))

    def test_where_gradients_are_held_anyway(self):
        job = {"run": "toy", "evaluator": "fresh", "select": 3, "params": {"iterations": 6}}
        before = self.plan(**job)
        self.sewad.run_job(**job)
        after = self.plan(**job)
        self.assertEqual(after["recalibrations"], 2)
        self.assertEqual(after["peak_memory_bytes"], before["peak_memory_bytes"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
