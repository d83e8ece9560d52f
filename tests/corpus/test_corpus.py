"""corpus - what sewad says of checkpoints that it has never seen: the layouts of some ninety trainers,
files that other people's programs wrote, and directories of a real PyTorch.

The data are not part of the repository: they lie in ../shared/data beside it, or where SEWA_TEST_DATA
says. What is held against them: nothing is taken that is no part of the model, what is taken is all of
one state that an independent reader found, and what was read once goes on being read.
"""
import json
import os
import re
import sys
import unittest

import reference
import tensors
from sewa import REPOSITORY, SharedServiceTest, wait_until

DATA = os.path.realpath(os.environ.get("SEWA_TEST_DATA") or
                        os.path.join(REPOSITORY, "..", "shared", "data"))
SKIPPED = 77
CENTURIES, THREE = {500, 1000, 1500}, {0, 1, 2}

# Trainers' layouts: the steps of the checkpoints that are complete, no more and no less.
STEPS = {
    "accelerate": THREE, "dcp-app": CENTURIES, "dcp-cut": {500, 1500}, "dcp-ema": CENTURIES,
    "dcp-missing-file": {500, 1500}, "dcp-plain": CENTURIES, "detectron2": {4999, 9999},
    "fairseq-epochs": {1, 2, 3}, "ft-model": THREE, "hf-bin": CENTURIES,
    "hf-bin-sharded": CENTURIES, "hf-both": CENTURIES, "hf-deepspeed3": CENTURIES,
    "hf-final-beside": CENTURIES, "hf-missing-shard": {500, 1500}, "hf-nostate": CENTURIES,
    "hf-one-shard": CENTURIES, "hf-order": {500}, "hf-sharded": CENTURIES, "hf-single": CENTURIES,
    "lr-names": {100, 200, 300}, "meg-1rank": CENTURIES, "meg-1rank-planner": {500, 1000},
    "mlx": {100, 200, 300}, "mmengine": {10, 11, 12}, "modules-saved": CENTURIES,
    "nanochat": {1000, 2000, 3000}, "nanogpt": set(), "nemo1": {1000, 2000},
    "nemo2-1rank": CENTURIES, "openclip": {1, 2, 3}, "peft": CENTURIES, "peft-bin": CENTURIES,
    "pl-default": {400, 800, 1200}, "pl-ema": CENTURIES, "pl-fsdp-dir": CENTURIES,
    "pl-last-copy": {400, 800, 1200}, "pl-last-link": {400, 800, 1200},
    "pl-metric-step": {400, 800, 1200}, "pl-v1": {800, 1200}, "rl-pair": {1000, 2000},
    "seeds": {100, 200, 300}, "titan-1rank": CENTURIES, "titan-flat-1rank": CENTURIES,
    "titan-hf": CENTURIES, "titan-writing": set(), "torchtune": THREE, "torchvision": THREE,
    "vits": {1000, 2000, 3000},
}

# The others are only looked at for what is taken of them: whether they are read is still to be decided.
OPEN = {
    "steps that the name does not say plainly": """best-acc espnet fairseq-best fairseq-updates icefall
        k-suffix kohya metric-fraction mixed pl-metric pl-metric2 steps-word ultralytics""",
    "parts of one checkpoint": "ddp-ranks fairseq-shard llama-mp rank-names",
    "several models, or states, in one": """accelerate-two d3 diffusers diffusers-lora ema-beside
        lerobot-pm lora-peft-multi torchtune-step value-head""",
    "not read yet": """composer composer-key deepspeed deepspeed-stage1 fsdp-dtensor-marker
        hf-deepspeed3-nogather hf-fsdp-sharded legacy lerobot litgpt megatron-dist
        megatron-legacy nemo2 olmo-core olmo-unsharded orbax speechbrain tf timm timm-pattern
        titan-2ranks titan-flat-2ranks verl""",
}

# What was left of the state is said: of these layouts, exactly this.
LEFT = {
    "dcp-app": ("app.model", ["app.optim"]), "dcp-ema": ("model", ["ema", "optimizer"]),
    "meg-1rank": ("", ["optimizer"]), "nemo2-1rank": ("module", ["optimizer"]),
    "pl-fsdp-dir": ("model", ["optimizer_0"]), "titan-1rank": ("model", ["optimizer", "train_state"]),
    "titan-flat-1rank": ("", ["optimizer", "train_state", "lr_scheduler", "dataloader"]),
}

# Complete, but not to be averaged.
ADAPTERS = {"peft", "peft-bin"}

# The model of all those layouts, and what some trainers have beside it as a checkpoint of its own.
MODEL = {"emb.weight", "lin.weight", "lin.bias", "bn.num_batches_tracked"}
OTHERS = [{"q.weight"}, {"x.weight"}]
PREFIX = re.compile(r"^(model|decoder|base_model\.model)\.")

WRAPPERS = re.compile(r"^module\.|(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def run_name(part, folder):
    return part[0] + "." + re.sub("[^a-z0-9.-]", "-", folder.lower())[:60]


def folders(part):
    path = os.path.join(DATA, part)
    return sorted(f for f in os.listdir(path) if os.path.isdir(os.path.join(path, f)))


class Corpus(SharedServiceTest):
    PARTS = ("trainer-layouts", "real-checkpoints", "torch-2.6-dcp")

    @classmethod
    def prepare(cls):
        runs = {run_name(part, folder): {"path": os.path.join(DATA, part, folder)}
                for part in cls.PARTS for folder in folders(part)}
        cls.sewad = cls.service({"run": runs, "settle_seconds": 1, "scan_interval_seconds": 1})

        cls.wait_still(runs)

    @classmethod
    def wait_still(cls, runs):
        """Until three more looks at everything have changed nothing: each file needs two."""
        def scans():
            return {run: cls.sewad.get("/api/v1/runs/" + run)["scan"]["scans"] for run in runs}

        def later():
            now = scans()
            return all(now[run] >= before[run] + 3 for run in runs)

        states = None
        while states != (now := {run: [(r["file"], r["state"], r["reason"])
                                       for r in cls.sewad.checkpoints(run)] for run in runs}):
            states, before = now, scans()
            wait_until(later, "all runs were looked at three times")

    def said(self, part, folder):
        return self.sewad.checkpoints(run_name(part, folder))

    def table(self, row):
        return self.sewad.get("/api/v1/checkpoints/%s/tensors" % row["id"], limit=500)

    def tensors(self, row):
        path = "/api/v1/checkpoints/%s/tensors" % row["id"]
        return {t["name"]: "%s%s" % (t["dtype"], json.dumps(t["shape"], separators=(",", ":")))
                for t in self.sewad.pages(path, limit=500)}

    def test_each_layout_is_judged(self):
        open_ones = " ".join(OPEN.values()).split()
        self.assertEqual(sorted(list(STEPS) + open_ones), folders("trainer-layouts"))

    def test_trainers_layouts(self):
        for folder in folders("trainer-layouts"):
            with self.subTest(folder=folder):
                rows = [r for r in self.said("trainer-layouts", folder) if r["state"] == "complete"]
                for row in rows:
                    names = {PREFIX.sub("", name) for name in self.tensors(row)}
                    self.assertIn(names, [MODEL] + OTHERS, row["file"])
                if folder in STEPS:
                    steps = {row["step"] for row in rows} - {None}
                    self.assertEqual(steps, STEPS[folder])
                    refused = {bool(row["averaging_refused"]) for row in rows}
                    self.assertEqual(refused, {folder in ADAPTERS} if rows else set())
                if folder in LEFT:
                    table = self.table(rows[0])
                    self.assertEqual((table["state_key"], table["left"]), LEFT[folder])

    def test_real_checkpoints(self):
        """What is complete is one of the states that the independent reader found, all of it."""
        with open(os.path.join(DATA, "real-checkpoints", "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        said = {folder: {row["file"]: row for row in self.said("real-checkpoints", folder)}
                for folder in folders("real-checkpoints")}
        complete = 0
        for entry in manifest:
            folder, _, name = entry["file"].partition("/")
            row = said[folder].get(name)
            with self.subTest(file=entry["file"]):
                if entry["version_0_1"] == "complete":
                    self.assertEqual((row["state"], row["reason"]), ("complete", None))
                if row is None or row["state"] != "complete":
                    self.assertTrue(row is None or row["reason"]["detail"])
                    continue
                complete += 1
                states = {key: {WRAPPERS.sub("", n): t for n, t in state.items()}
                          for key, state in entry["tensors"].items()}
                key = self.table(row)["state_key"]
                self.assertFalse(re.search("optim|sched|rng", key))
                self.assertIn(key, states)
                self.assertEqual(self.tensors(row), states[key])
        self.assertGreaterEqual(complete, sum(e["version_0_1"] == "complete" for e in manifest))

    def test_torch_2_6(self):
        """Whole tensors beside each step say what must be read, and what the average must be."""
        averaged = 0
        for folder in folders("torch-2.6-dcp"):
            with self.subTest(folder=folder):
                rows = [r for r in self.said("torch-2.6-dcp", folder)
                        if re.fullmatch(r"step-\d+", r["file"])]
                self.assertEqual([r["step"] for r in rows], [100, 200, 300])
                files = [r["path"] + ".full.safetensors" for r in rows]
                if rows[0]["state"] != "complete":  # in parts: not yet
                    self.assertFalse(folder.endswith("-1ranks"))
                    self.assertRegex(rows[0]["reason"]["detail"], r"in \d parts")
                    continue
                for row, file in zip(rows, files):
                    whole, _ = tensors.read(file)
                    self.assertEqual(self.tensors(row), {
                        n: "%s[%s]" % (t.dtype, ",".join(map(str, t.shape)))
                        for n, t in whole.items()})
                job = self.sewad.run_job(checkpoints=[r["id"] for r in rows], method="uniform",
                                         output={"max_shard_bytes": 0})
                path = self.scratch.write("average.safetensors", self.sewad.artifact(job["id"]))
                self.assertEqual(reference.differences(tensors.read(path)[0],
                                                       reference.average(files)), "")
                averaged += 1
        self.assertGreaterEqual(averaged, 11)


if __name__ == "__main__":
    MISSING = [p for p in Corpus.PARTS if not os.path.isdir(os.path.join(DATA, p))]
    if MISSING:
        print("skipped: there is no %s in %s" % (", ".join(MISSING), DATA))
        sys.exit(SKIPPED)
    unittest.main()
