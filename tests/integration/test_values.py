"""values - the artifact equals the definition to the bit, and its loss what a stranger computes.

The definition (equal weights): the sum of the values in float64, oldest first, divided by their
number, and one rounding to the type of the output, to nearest even. Each number here was computed
once more by tests/support/reference.py, which shares nothing with the C code.
"""
import json
import math
import os
import random
import struct
import unittest

import reference
import tensors
from sewa import DIGITS, SharedServiceTest, digits_evaluator
from tensors import Tensor
from toys import train_digits

DTYPES = ("F32", "BF16", "F16", "F64")


def awkward(dtype, n, seed):
    """Numbers over all magnitudes of a type, with subnormals, zeros and both signs."""
    rng = random.Random(seed)
    exponents = {"F64": (-1074, 1020), "F32": (-149, 124), "BF16": (-133, 124), "F16": (-24, 12)}
    low, high = exponents[dtype]
    values = [0.0, -0.0]
    while len(values) < n:
        wide = rng.random() < 0.3
        exponent = rng.randint(low, high) if wide else rng.randint(-4, 2)
        values.append(math.ldexp(rng.uniform(1, 2) * rng.choice((-1, 1)), exponent))
    return values


class Averages(SharedServiceTest):
    """K files of one type, averaged by uniform: bit for bit, for every type and output."""

    @classmethod
    def prepare(cls):
        cls.directories, runs = {}, {}
        for dtype in DTYPES:
            # 1, 2, 3 and 7 are the divisors that round differently; 1031 crosses every block size
            directory = cls.scratch.directory(dtype)
            for step in range(7):
                tensors.write(os.path.join(directory, "step-%d.safetensors" % step), {
                    "odd": Tensor(dtype, [1031], awkward(dtype, 1031, step)),
                    "one": Tensor(dtype, [], [0.1 * (step + 1)]),
                    "none": Tensor(dtype, [0, 5], b""),
                    "matrix": Tensor(dtype, [33, 65], awkward(dtype, 33 * 65, 100 + step)),
                    "zero": Tensor(dtype, [4], [-0.0, 0.0, -0.0, 0.0]),
                    "count": Tensor("I64", [2], [step, -step]),
                    "flag": Tensor("BOOL", [3], [step % 2 == 0, True, False]),
                })
            cls.directories[dtype] = directory
            runs[dtype] = {"path": directory}
        cls.sewad = cls.service({"run": runs, "worker_threads": 2})
        for dtype in DTYPES:
            cls.sewad.wait_complete(dtype, 7)

    def files(self, dtype, steps):
        return [os.path.join(self.directories[dtype], "step-%d.safetensors" % s) for s in steps]

    def check(self, dtype, steps, output, **job):
        """Average these steps, and compare every bit with the definition."""
        done = self.sewad.run_job(run=dtype, output={"dtype": output},
                                  exclude_steps=[s for s in range(7) if s not in steps],
                                  **dict({"method": "uniform"}, **job))
        ours, metadata = tensors.parse(self.sewad.artifact(done["id"]))
        wanted = reference.average(self.files(dtype, steps), None if output == "input" else output)
        self.assertEqual(reference.differences(ours, wanted), "", (dtype, steps, output))
        weights = [s["weight"] for s in done["result"]["selected"]]
        self.assertEqual(weights, [1.0 / len(steps)] * len(steps))
        return metadata

    def test_every_type_and_number_of_ingredients(self):
        for dtype in DTYPES:
            for count in (1, 2, 3, 7):
                with self.subTest(dtype=dtype, count=count):
                    self.check(dtype, list(range(count)), "input")

    def test_every_output_type(self):
        for dtype in DTYPES:
            for output in ("F32", "BF16", "F16"):
                with self.subTest(dtype=dtype, output=output):
                    # the widest numbers become infinite in a smaller type
                    self.check(dtype, [0, 2, 5], output, allow_nonfinite=True)

    def test_an_average_that_overflows_its_type_is_refused(self):
        self.sewad.fail_job("nonfinite", "F16", run="F64", method="uniform",
                            output={"dtype": "F16"})

    def test_lawa_and_last_too(self):
        for dtype in DTYPES:
            with self.subTest(dtype=dtype):
                done = self.sewad.run_job(run=dtype, method="lawa", select=3)
                ours, _ = tensors.parse(self.sewad.artifact(done["id"]))
                wanted = reference.average(self.files(dtype, [4, 5, 6]))
                self.assertEqual(reference.differences(ours, wanted), "")
                done = self.sewad.run_job(run=dtype, method="last")
                ours, _ = tensors.parse(self.sewad.artifact(done["id"]))
                self.assertEqual(reference.differences(
                    ours, tensors.read(self.files(dtype, [6])[0])[0]), "")

    def test_rounding_once_is_not_rounding_twice(self):
        """Sums whose nearest bfloat16 is another one when float32 stands between."""
        tie = 1.0 + 2.0 ** -8  # half way between two bfloat16
        cases = [tie + 2.0 ** -30, tie - 2.0 ** -30, -(tie + 2.0 ** -30), tie]
        directory = self.scratch.directory("twice")
        for step, part in enumerate((0.25, 1.75)):
            tensors.write(os.path.join(directory, "step-%d.safetensors" % step),
                          {"w": Tensor("F64", [4], [c * part for c in cases])})
        service = self.service({"run": {"twice": {"path": directory}}})
        service.wait_complete("twice", 2)
        done = service.run_job(run="twice", method="uniform", output={"dtype": "BF16"})
        ours, _ = tensors.parse(service.artifact(done["id"]))
        up = 1.0 + 2.0 ** -7
        self.assertEqual(ours["w"].values(), [up, 1.0, -up, 1.0])


class Integers(SharedServiceTest):
    """Integers are never averaged: one ingredient's, by a policy that is named."""

    @classmethod
    def prepare(cls):
        cls.directory = cls.scratch.directory("counts")
        for step, count in ((1, 30), (2, 50), (3, 40)):
            tensors.write(os.path.join(cls.directory, "step-%d.safetensors" % step), {
                "w": Tensor("F32", [2], [step, step]), "n": Tensor("I64", [], [count]),
                "small": Tensor("U8", [3], [count, 255 - count, step]),
                "mask": Tensor("BOOL", [2], [step == 2, True])})
        same = cls.scratch.directory("same")
        for step in (1, 2):
            tensors.write(os.path.join(same, "step-%d.safetensors" % step), {
                "w": Tensor("F32", [2], [step, step]), "n": Tensor("I32", [2], [7, -7])})
        cls.sewad = cls.service({"run": {"counts": {"path": cls.directory},
                                         "same": {"path": same}}})
        cls.sewad.wait_complete("counts", 3)
        cls.sewad.wait_complete("same", 2)

    def average(self, run, integers):
        done = self.sewad.run_job(run=run, method="uniform", integers=integers)
        return {k: v.values() for k, v in tensors.parse(self.sewad.artifact(done["id"]))[0].items()}

    def test_policies(self):
        for policy, n, small, mask in [
            ("newest", 40, [40, 215, 3], [False, True]),
            ("oldest", 30, [30, 225, 1], [False, True]),
            ("max", 50, [50, 225, 3], [True, True]),
        ]:
            with self.subTest(policy=policy):
                self.assertEqual(self.average("counts", policy),
                                 {"w": [2.0, 2.0], "n": [n], "small": small, "mask": mask})

    def test_equal_is_refused_where_they_differ(self):
        self.sewad.fail_job("mismatch", "'n'", run="counts", method="uniform", integers="equal")
        self.assertEqual(self.average("same", "equal"), {"w": [1.5, 1.5], "n": [7, -7]})


class NotFinite(SharedServiceTest):
    @classmethod
    def prepare(cls):
        directory = cls.scratch.directory("wild")
        for step, values in ((1, [1, 2, 3]), (2, [4, math.nan, 6]), (3, [7, 8, math.inf])):
            tensors.write(os.path.join(directory, "step-%d.safetensors" % step),
                          {"fine": Tensor("F32", [1], [step]), "w": Tensor("F32", [3], values)})
        cls.sewad = cls.service({"run": {"wild": {"path": directory}}})
        cls.sewad.wait_complete("wild", 3)

    def test_refused_with_the_name_of_file_and_tensor(self):
        done = self.sewad.fail_job("nonfinite", "'w'", run="wild", method="uniform")
        self.assertRegex(done["reason"]["detail"], "step[- ][23]")
        self.assertEqual(done["artifacts"], [])

    def test_allowed_when_somebody_says_so(self):
        done = self.sewad.run_job(run="wild", method="uniform", allow_nonfinite=True)
        values = tensors.parse(self.sewad.artifact(done["id"]))[0]["w"]
        self.assertEqual(values.values()[0], 4.0)
        # a NaN is the positive quiet one
        self.assertEqual(values.data[4:8], struct.pack("<I", 0x7fc00000))
        self.assertEqual(values.values()[2], math.inf)

    def test_what_is_not_averaged_may_be_wild(self):
        self.assertEqual(self.sewad.run_job(run="wild", method="uniform",
                                            exclude_steps=[2, 3])["state"], "succeeded")


class Losses(SharedServiceTest):
    """What a job says about the digits, computed again from the artifact that it published."""

    @classmethod
    def prepare(cls):
        cls.directory = cls.scratch.join("digits")
        cls.files = train_digits(cls.scratch, cls.directory, steps=300)
        cls.data, _ = tensors.read(DIGITS)
        cls.sewad = cls.service({"run": {"digits": {"path": cls.directory}},
                                 "evaluator": {"digits": digits_evaluator()}})
        cls.sewad.wait_complete("digits", len(cls.files))

    def path_of(self, step):
        return os.path.join(self.directory, "step-%d.safetensors" % step)

    def assert_close(self, ours, theirs):
        self.assertLessEqual(abs(ours - theirs), 1e-5 * abs(theirs), (ours, theirs))

    def test_sewa_artifact_and_losses(self):
        done = self.sewad.run_job(run="digits", evaluator="digits", select=7,
                                  params={"iterations": 20, "polish": 20})
        result = done["result"]
        self.assertEqual(len(result["selected"]), 7)
        ours, _ = tensors.parse(self.sewad.artifact(done["id"]))
        steps = sorted(s["step"] for s in result["selected"])
        wanted = reference.average([self.path_of(s) for s in steps])
        self.assertEqual(reference.differences(ours, wanted), "")
        for split in ("selection", "report"):
            loss, accuracy = reference.classification_loss(ours, self.data, split)
            self.assert_close(result["loss"][split], loss)
            self.assertAlmostEqual(result["metrics"][split]["accuracy"], accuracy, places=12)

    def test_baselines_are_what_they_say(self):
        done = self.sewad.run_job(run="digits", evaluator="digits", method="lawa", select=5,
                                  baselines=["last", "best", "uniform", "lawa"])
        steps = sorted(c["step"] for c in self.sewad.complete("digits"))
        losses = {}
        for name, chosen in (("last", steps[-1:]), ("uniform", steps), ("lawa", steps[-5:])):
            average = reference.average([self.path_of(s) for s in chosen])
            losses[name] = reference.classification_loss(average, self.data, "report")[0]
        shown = {b["method"]: b["loss"]["report"] for b in done["result"]["baselines"]}
        self.assertEqual(sorted(shown), ["best", "last", "uniform"])  # lawa is ours
        for name in ("last", "uniform"):
            self.assert_close(shown[name], losses[name])
        self.assert_close(done["result"]["loss"]["report"], losses["lawa"])

    def test_half_precision_is_judged_as_it_is_published(self):
        done = self.sewad.run_job(run="digits", evaluator="digits", method="uniform",
                                  output={"dtype": "BF16"}, baselines=["uniform"])
        ours, _ = tensors.parse(self.sewad.artifact(done["id"]))
        loss, _ = reference.classification_loss(ours, self.data, "report")
        self.assert_close(done["result"]["loss"]["report"], loss)
        full, _ = reference.classification_loss(reference.average(self.files), self.data, "report")
        self.assertGreater(abs(loss - full) / full, 1e-5)  # else this test could not tell

    def test_best_is_the_best_on_the_selection_split(self):
        done = self.sewad.run_job(run="digits", evaluator="digits", method="best", window=5)
        chosen = done["result"]["selected"]
        self.assertEqual(len(chosen), 1)
        steps = sorted(c["step"] for c in self.sewad.complete("digits"))[-5:]
        losses = {s: reference.classification_loss(tensors.read(self.path_of(s))[0], self.data,
                                                   "selection")[0] for s in steps}
        self.assertEqual(chosen[0]["step"], min(losses, key=losses.get))
        self.assert_close(done["result"]["loss"]["selection"], min(losses.values()))
        metadata = tensors.parse(self.sewad.artifact(done["id"]))[1]
        self.assertEqual(json.loads(metadata["sewa.ingredients"])[0]["step"], chosen[0]["step"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
