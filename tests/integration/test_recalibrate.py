"""recalibrate - batch norm: an average with averaged and with recalibrated buffers.

The toy evaluator recalibrates tensor b. Its losses and the bytes of the artifact are computed again
here, from the checkpoints.
"""
import json
import math
import os
import struct
import unittest

import reference
import tensors
from outcomes import assert_same, outcome_of
from sewa import ServiceTest, SharedServiceTest, needs_failpoints, toy_evaluator
from toys import STEPS, toy_run, toy_service

JOB = {"run": "toy", "method": "uniform", "evaluator": "good", "baselines": ["last", "best"]}
SEWA = {"run": "toy", "evaluator": "good", "select": 3, "seed": 5,
        "params": {"iterations": 6, "samples": 2, "polish": 5}}


def evaluator(shift=0, **more):
    return toy_evaluator(dict({"recalibrate": ["b"], "shift": shift, "paired": True}, **more))


def as_float32(values):
    return list(struct.unpack("<%df" % len(values), struct.pack("<%df" % len(values), *values)))


def recalibrated(average, shift, dtype):
    """What the toy evaluator makes of b, in the type of the file."""
    nudge = 0.001 * average["b"].values()[0]
    fresh = as_float32([math.sin(0.7 * place) + 10.0 * shift + nudge for place in range(3)])
    return dict(average, b=tensors.Tensor(dtype, [3], fresh))


def losses_of(average, spread=0.1):
    """The loss of the toy evaluator: floats in order of their names."""
    values = [x for name in ("b", "w") for x in average[name].values()]

    def loss(shift):
        return sum((x - math.sin(0.7 * i) - shift * math.cos(1.3 * i)) ** 2
                   for i, x in enumerate(values)) / len(values)
    return {"selection": loss(0.0), "report": loss(spread)}


class Recalibrated(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.files = toy_run(cls.scratch.join("toy"))
        cls.wide = toy_run(cls.scratch.join("wide"), dtype="F64")
        cls.asked = cls.scratch.join("asked")
        cls.sewad = cls.service({
            "run": {"toy": {"path": cls.scratch.join("toy")},
                    "wide": {"path": cls.scratch.join("wide")}},
            "evaluator": {"good": evaluator(recalibrations=cls.asked), "bad": evaluator(1),
                          "none": evaluator(recalibrate=[]), "cannot": toy_evaluator(),
                          "losses": evaluator(gradient=False)}})
        for run in ("toy", "wide"):
            cls.sewad.wait_complete(run, len(STEPS))

    def average(self, dtype="F32"):
        return reference.average([self.files[s] for s in STEPS], dtype)

    def assert_losses(self, numbers, average):
        for split, loss in losses_of(average).items():
            self.assertAlmostEqual(numbers["loss"][split], loss, delta=1e-9 * loss + 1e-12)
            self.assertAlmostEqual(numbers["metrics"][split]["closeness"], 1 / (1 + loss), places=9)

    def artifact_of(self, job):
        return tensors.parse(self.sewad.artifact(job["id"]))

    def manifest_of(self, job):
        return json.loads(self.sewad.artifact(job["id"], "manifest.json"))

    def test_better_buffers_are_published(self):
        for dtype in ("F32", "BF16", "F16"):
            with self.subTest(dtype=dtype):
                done = self.sewad.run_job(**dict(JOB, output={"dtype": dtype}))
                average = self.average(dtype)
                fresh = recalibrated(average, 0, dtype)
                content, metadata = self.artifact_of(done)
                self.assertEqual(reference.differences(content, fresh), "")
                self.assertEqual(metadata["sewa.buffers"], "recalibrated")
                result, manifest = done["result"], self.manifest_of(done)
                self.assertEqual(manifest["recalibrated_tensors"], ["b"])
                for said in (result, manifest):
                    self.assertEqual(said["buffers"], "recalibrated")
                    self.assert_losses(said, fresh)
                    self.assert_losses(said["recalibrated"], fresh)
                    self.assert_losses(said["averaged"], average)
                    self.assertEqual(said["recalibrated"]["tensors"], 1)
                self.assertIn("%.4g" % losses_of(fresh)["report"], result["verdict_detail"])
                self.assertIn("those of the baselines were not", " ".join(result["notes"]))

    def test_values_of_float32_in_a_model_of_float64(self):
        done = self.sewad.run_job(**dict(JOB, run="wide"))
        average = reference.average([self.wide[s] for s in STEPS])
        # the evaluator sees all of the weights: its first value is a float64
        self.assertEqual(reference.differences(self.artifact_of(done)[0],
                                               recalibrated(average, 0, "F64")), "")

    def test_in_several_files(self):
        done = self.sewad.run_job(**dict(JOB, output={"max_shard_bytes": 1}))
        names = [a["name"] for a in done["artifacts"] if a["name"].startswith("model-")]
        content = {}
        for name in names:
            content.update(tensors.parse(self.sewad.artifact(done["id"], name))[0])
        self.assertEqual(len(names), 3)  # a tensor is never cut
        self.assertEqual(reference.differences(content, recalibrated(self.average(), 0, "F32")), "")
        self.assertEqual(self.manifest_of(done)["recalibrated_tensors"], ["b"])

    def test_worse_buffers_are_measured_and_left(self):
        done = self.sewad.run_job(**dict(JOB, evaluator="bad"))
        average = self.average()
        content, metadata = self.artifact_of(done)
        self.assertEqual(reference.differences(content, average), "")
        self.assertNotIn("sewa.buffers", metadata)
        result = done["result"]
        self.assertEqual(result["buffers"], "averaged")
        self.assert_losses(result, average)
        self.assert_losses(result["averaged"], average)
        self.assert_losses(result["recalibrated"], recalibrated(average, 1, "F32"))
        self.assertEqual(self.manifest_of(done)["recalibrated_tensors"], [])
        self.assertNotIn("baselines were not", " ".join(result["notes"]))

    def test_an_evaluator_that_finds_nothing_to_recalibrate(self):
        result = self.sewad.run_job(**dict(JOB, evaluator="none"))["result"]
        self.assertEqual(result["buffers"], "averaged")
        self.assertEqual(result["recalibrated"]["tensors"], 0)
        self.assertEqual(result["recalibrated"]["loss"], result["loss"])

    def test_an_evaluator_that_cannot(self):
        done = self.sewad.run_job(**dict(JOB, evaluator="cannot"))
        self.assertEqual([done["result"][n] for n in ("buffers", "averaged", "recalibrated")],
                         ["averaged", None, None])
        self.assertEqual(reference.differences(self.artifact_of(done)[0], self.average()), "")

    def test_a_single_checkpoint_keeps_its_own_buffers(self):
        done = self.sewad.run_job(run="toy", method="last", evaluator="good", baselines=[])
        self.assertIsNone(done["result"]["recalibrated"])
        self.assertEqual(self.artifact_of(done)[0], tensors.read(self.files[STEPS[-1]])[0])

    def test_without_gradients_too(self):
        done = self.sewad.run_job(**dict(SEWA, evaluator="losses", params={
            "iterations": 6, "samples": 4, "polish": 5}))
        steps = sorted(s["step"] for s in done["result"]["selected"])
        average = reference.average([self.files[s] for s in steps])
        self.assertEqual(done["result"]["buffers"], "recalibrated")
        self.assertEqual(reference.differences(self.artifact_of(done)[0],
                                               recalibrated(average, 0, "F32")), "")

    def test_it_is_asked_twice_and_not_for_each_point(self):
        before = self.count()
        self.sewad.run_job(**SEWA)
        self.assertEqual(self.count() - before, 2)  # for the verdict, and for the file

    def count(self):
        if not os.path.exists(self.asked):
            return 0
        with open(self.asked, encoding="ascii") as file:
            return len(file.readlines())


class SameBytes(ServiceTest):
    """Whoever does the work, and whatever ends on the way."""

    def setUp(self):
        super().setUp()
        toy_run(self.scratch.join("toy"), size=4000)

    def service_with(self, options=None, **environment):
        sewad = self.service(dict({"run": {"toy": {"path": self.scratch.join("toy")}},
                                   "evaluator": {"good": evaluator()}}, **(options or {})),
                             **environment)
        sewad.wait_complete("toy", len(STEPS))
        return sewad

    def outcome(self, sewad, **more):
        result = outcome_of(sewad, sewad.run_job(**dict(SEWA, **more)))
        self.assertEqual(result["result"]["buffers"], "recalibrated")
        return result

    def test_in_many_ways(self):
        first = self.service_with({"worker_threads": 1})
        wanted = self.outcome(first)
        assert_same(self, self.outcome(first), wanted, "once more")
        two = self.service_with({"local_workers": 2, "worker_threads": 2},
                                SEWA_KERNELS="reference")
        assert_same(self, self.outcome(two, workers=2), wanted, "two workers, plain kernels")

    @needs_failpoints
    def test_when_a_worker_ends_while_it_recalibrates(self):
        wanted = self.outcome(self.service_with())
        asked = self.scratch.join("asked")
        # the second time is that for the file; the worker that comes next has its first
        frail = self.service_with({"evaluator": {"good": evaluator(recalibrations=asked)}},
                                  SEWA_FAILPOINT="worker_recalibrate=kill@2")
        assert_same(self, self.outcome(frail), wanted, "after the end of a worker")
        with open(asked, encoding="ascii") as file:
            pids = file.read().split()
        self.assertEqual((len(pids), len(set(pids))), (2, 2))  # two evaluators, of two workers

    @needs_failpoints
    def test_when_the_service_is_killed_between_verdict_and_file(self):
        sewad = self.service_with()
        wanted = self.outcome(sewad)
        sewad.stop()
        sewad.start(SEWA_FAILPOINT="worker_average=sleep:600000")
        uid = sewad.submit(**SEWA)["id"]
        sewad.wait_state(uid, "publishing")
        sewad.kill()
        self.scratch.kill_processes()
        sewad.start()
        assert_same(self, outcome_of(sewad, sewad.wait_job(uid)), wanted, "after the kill")


class Failures(SharedServiceTest):
    ROWS = [
        ("exit", "evaluator_died", "status 7"),
        ("die", "evaluator_died", "SIGKILL"),
        ("hang", "evaluator_timeout", "gave no answer within 1 s"),
        ("rubbish", "evaluator_protocol", "not valid JSON"),
        ("error", "evaluator_error", "the data is not what it was"),
        ("unknown", "evaluator_mismatch", "'no.such.tensor' is no tensor"),
        ("integers", "evaluator_mismatch", "'steps' holds integers"),
        ("no_values", "evaluator_protocol", "wrote no values"),
        ("result", "evaluator_protocol", "no answer to request"),
        ("no_names", "evaluator_protocol", "'tensors'"),
    ]

    @classmethod
    def prepare(cls):
        evaluators = {}
        for fault, _, _ in cls.ROWS:
            timeout = 1 if fault == "hang" else 600
            for name, more in ((fault, {}), (fault + "_once", {"once": cls.scratch.join(fault)})):
                options = dict({"recalibrate": ["b"], "recalibrate_fault": fault}, **more)
                evaluators[name] = toy_evaluator(options, timeout_seconds=timeout)
        cls.sewad = toy_service(cls, evaluators)

    def test_the_job_fails_and_says_why(self):
        for fault, code, word in self.ROWS:
            with self.subTest(fault=fault):
                job = self.sewad.fail_job(code, "recalibration", word,
                                          **dict(JOB, evaluator=fault))
                self.assertIsNone(job["result"])
                self.assertEqual(job["artifacts"], [])

    def test_what_fails_once_is_tried_again(self):
        for fault, code, _ in self.ROWS:
            if code == "evaluator_mismatch":
                continue  # another attempt would not help
            with self.subTest(fault=fault):
                done = self.sewad.run_job(**dict(JOB, evaluator=fault + "_once"))
                self.assertEqual(done["result"]["buffers"], "recalibrated")


if __name__ == "__main__":
    unittest.main(verbosity=2)
