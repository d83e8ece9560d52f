"""golden - jobs give what they gave when tests/golden/service was written: on any machine.

test_determinism compares the service with itself; this compares it with a committed file. The
evaluator's arithmetic is exact (multiples of 1/64, sums rounded once), so that nothing but the
service decides: its random numbers, the method, the average. Twice, with the fastest kernels and the
C library's functions for this processor, and with the plain ones.

SEWA_GOLDEN_WRITE=1 writes the file anew, for a change that is meant to change results.
"""
import hashlib
import json
import os
import struct
import unittest

import tensors
from sewa import REPOSITORY, ServiceTest, toy_evaluator

GOLDEN = os.path.join(REPOSITORY, "tests", "golden", "service", "jobs.json")
STEPS = range(10, 90, 10)
PLAIN = {"SEWA_KERNELS": "reference", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-AVX512F"}
JOBS = {
    "sewa": {"method": "sewa", "select": 3, "seed": 5, "params": {"iterations": 12, "polish": 8}},
    "straight_through": {"method": "sewa", "select": 3, "seed": 6,
                         "params": {"iterations": 6, "estimator": "straight_through"}},
    "score_function": {"method": "sewa", "select": 2, "seed": 7,
                       "params": {"iterations": 6, "estimator": "score_function"}},
    "best": {"method": "best"},
    "lawa": {"method": "lawa", "select": 4},
    "uniform": {"method": "uniform", "output": {"dtype": "BF16"}},
}


def checkpoint(step):
    """Values that every type of float holds exactly."""
    def values(count, salt):
        return [((place * 29 + step * 7 + salt) % 128 - 64) / 64 for place in range(count)]
    return {"w": tensors.Tensor("F32", [5, 4], values(20, 0)),
            "b": tensors.Tensor("BF16", [7], values(7, 31)),
            "steps": tensors.Tensor("I64", [], [step])}


def digest_of(model):
    """SHA-256 of a published file, but for the version that it names."""
    size, = struct.unpack_from("<Q", model)
    header = json.loads(model[8:8 + size])
    del header["__metadata__"]["sewa.version"]
    text = json.dumps(header, sort_keys=True).encode()
    return hashlib.sha256(text + model[8 + size:]).hexdigest()


class Golden(ServiceTest):
    def outcomes(self, **environment):
        directory = self.scratch.directory("exact")
        for step in STEPS:
            path = os.path.join(directory, "step-%d.safetensors" % step)
            if not os.path.exists(path):
                tensors.write(path, checkpoint(step))
        sewad = self.service({"run": {"exact": {"path": directory}},
                              "evaluator": {"exact": toy_evaluator({"exact": True})}},
                             **environment)
        sewad.wait_complete("exact", len(STEPS))
        return {name: self.outcome(sewad, job) for name, job in JOBS.items()}

    def outcome(self, sewad, job):
        done = sewad.run_job(run="exact", evaluator="exact", **job)
        result, trace = done["result"], sewad.trace(done["id"])
        return {"selected": [[s["step"], s["weight"], s["probability"]]
                             for s in result["selected"]],
                "loss": result["loss"], "verdict": result["verdict"],
                "baselines": [[b["method"], b["loss"]] for b in result["baselines"]],
                "trace": [[t["loss"], t["temperature"], t["probabilities"]]
                          for t in trace["items"]],
                "model": digest_of(sewad.artifact(done["id"]))}

    def test_as_committed(self):
        fast, plain = self.outcomes(), self.outcomes(**PLAIN)
        if os.environ.get("SEWA_GOLDEN_WRITE") == "1":
            with open(GOLDEN, "w", encoding="ascii") as file:
                json.dump(fast, file, indent=1)
                file.write("\n")
        with open(GOLDEN, encoding="ascii") as file:
            golden = json.load(file)
        self.assertEqual(set(golden), set(JOBS))
        self.assertTrue(all(golden[name]["trace"] for name in ("sewa", "score_function")))
        for what, ours in (("fast", fast), ("plain", plain)):
            for name in JOBS:
                with self.subTest(what=what, job=name):
                    self.assertEqual(ours[name], golden[name])


if __name__ == "__main__":
    unittest.main(verbosity=2)
