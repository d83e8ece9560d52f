"""toys - small checkpoints for tests, made by hand or by sewa-mlp."""
import math
import os
import random
import subprocess

from sewa import DIGITS, binary
from tensors import Tensor, write

STEPS = [100, 200, 300, 400, 500, 600]


def toy_tensors(seed, dtype="F32", size=12):
    """A little model near the optimum of tests/support/evaluator.py, different for each seed."""
    places = range(size)
    noise = [math.sin(0.7 * p) + 0.8 * math.sin(12.9 * p + 78.2 * seed) for p in places]
    return {"w": Tensor(dtype, [size // 4, 4], noise[:size // 4 * 4]),
            "b": Tensor(dtype, [3], [math.sin(0.7 * (size + p)) + 0.5 * math.cos(5.0 * p + seed)
                                     for p in range(3)]),
            "steps": Tensor("I64", [], [seed])}


def toy_run(directory, steps=None, **more):
    """A directory of toy checkpoints step-N.safetensors; their paths by step."""
    os.makedirs(directory, exist_ok=True)
    paths = {}
    for step in steps or STEPS:
        paths[step] = os.path.join(directory, "step-%d.safetensors" % step)
        write(paths[step], toy_tensors(step, **more))
    return paths


def mixed_model(step, rows=7):
    """A model of several types, different for each step."""
    rng = random.Random(step)

    def noise(n):
        return [rng.gauss(0, 1) for _ in range(n)]
    return {"embed.weight": Tensor("F32", [rows, 5], noise(rows * 5)),
            "body.weight": Tensor("BF16", [33, 9], noise(33 * 9)),
            "body.scale": Tensor("F64", [], noise(1)),
            "steps": Tensor("I64", [], [step])}


def toy_service(test, evaluators=None, options=None, size=12, **environment):
    """A service of a test that has indexed the run "toy", a toy run in scratch/toy."""
    toy_run(test.scratch.join("toy"), size=size)
    sewad = test.service(dict({"run": {"toy": {"path": test.scratch.join("toy")}},
                               "evaluator": evaluators or {}}, **(options or {})), **environment)
    sewad.wait_complete("toy", len(STEPS))
    return sewad


def train_digits(scratch, directory, steps=1000, seed=1):
    """Train on the digits with sewa-mlp, a checkpoint every ten steps."""
    subprocess.run([binary("sewa-mlp"), "train", "--data", DIGITS, "--out", directory,
                    "--layers", "64,48,10", "--burn-in", "1500", "--steps", str(steps),
                    "--every", "10", "--label-noise", "0.3", "--seed", str(seed)],
                   check=True, stdout=subprocess.DEVNULL, env=scratch.environment())
    return sorted(os.path.join(directory, f) for f in os.listdir(directory))
