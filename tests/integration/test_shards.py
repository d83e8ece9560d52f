"""shards - an average in several files: cut at a size, or as its input is.

The files are read by an implementation of their own and compared with the average in one file and
with the definition; what the index, the API, the manifest and sewactl say of them must agree.
"""
import hashlib
import json
import os
import subprocess
import unittest

import reference
import tensors
from sewa import ServiceTest, binary
from toys import mixed_model

STEPS = (100, 200, 300)
INDEX = "model.safetensors.index.json"
SHARDS = {"model-00001-of-00002.safetensors": ("embed.weight", "body.scale"),
          "model-00002-of-00002.safetensors": ("body.weight", "steps")}


class Shards(ServiceTest):
    def setUp(self):
        super().setUp()
        self.plain = []
        for step in STEPS:
            model = mixed_model(step, rows=70)
            self.plain.append(self.scratch.join("plain", "step-%d.safetensors" % step))
            os.makedirs(os.path.dirname(self.plain[-1]), exist_ok=True)
            tensors.write(self.plain[-1], model)
            directory = self.scratch.join("sharded", "checkpoint-%d" % step)
            os.makedirs(directory)
            for name, keys in SHARDS.items():
                tensors.write(os.path.join(directory, name), {k: model[k] for k in keys})
            with open(os.path.join(directory, INDEX), "w") as f:
                json.dump({"weight_map": {k: n for n, keys in SHARDS.items() for k in keys}}, f)
        self.sewad = self.service({"run": {"plain": {"path": self.scratch.join("plain")},
                                           "sharded": {"path": self.scratch.join("sharded")}},
                                   "settle_seconds": 1, "scan_interval_seconds": 1})
        for run in ("plain", "sharded"):
            self.sewad.wait_complete(run, 3)

    def average(self, run, output=None):
        done = self.sewad.run_job(run=run, method="uniform",
                                  **({} if output is None else {"output": output}))
        self.assertEqual(done["state"], "succeeded", done)
        return done

    def names(self, done):
        """All files of the average, the index last as in the manifest; its own facts are checked."""
        manifest = json.loads(self.sewad.artifact(done["id"], "manifest.json"))
        rows = {a["name"]: a for a in done["artifacts"]}
        listed = self.sewad.get("/api/v1/jobs/%s/artifacts" % done["id"])["items"]
        self.assertEqual(listed, done["artifacts"])
        for a in manifest["artifacts"]:
            content = self.sewad.artifact(done["id"], a["name"])
            self.assertEqual(a["size"], len(content))
            self.assertEqual(a["sha256"], hashlib.sha256(content).hexdigest())
            self.assertEqual({k: rows[a["name"]][k] for k in a}, a)
        names = [a["name"] for a in manifest["artifacts"]]
        self.assertEqual(sorted(rows), sorted(names + ["manifest.json"]))
        directory = os.path.join(self.sewad.state, "artifacts", done["id"])
        self.assertEqual(sorted(os.listdir(directory)), sorted(rows))
        return names

    def assert_average(self, done, expected_files):
        """Shards have what the index says, and together the average; returns who is where."""
        names = self.names(done)
        self.assertEqual(names, expected_files)
        index = json.loads(self.sewad.artifact(done["id"], INDEX))
        together, where, total = {}, {}, 0
        for name in names[:-1]:
            ours, metadata = tensors.parse(self.sewad.artifact(done["id"], name))
            self.assertEqual(metadata["sewa.method"], "uniform")
            where.update({k: name for k in ours})
            together.update(ours)
            total += sum(len(t.data) for t in ours.values())
        self.assertEqual(index, {"metadata": {"total_size": total}, "weight_map": where})
        self.assertEqual(list(index["weight_map"]), sorted(where))
        self.assertEqual(reference.differences(together, reference.average(self.plain)), "")
        return where

    def test_sharded_input_gives_sharded_output(self):
        done = self.average("sharded")
        self.assertIsNone(done["output"]["max_shard_bytes"])
        where = self.assert_average(done, list(SHARDS) + [INDEX])
        self.assertEqual(where, {k: n for n, keys in SHARDS.items() for k in keys})
        one = self.average("sharded", {"max_shard_bytes": 0})
        self.assertEqual(self.names(one), ["model.safetensors"])
        ours, _ = tensors.parse(self.sewad.artifact(one["id"]))
        self.assertEqual(reference.differences(ours, reference.average(self.plain)), "")

    def test_a_limit_for_plain_input(self):
        self.assertEqual(self.names(self.average("plain")), ["model.safetensors"])
        self.assertEqual(self.names(self.average("plain", {"max_shard_bytes": 10 ** 9})),
                         ["model.safetensors"])
        each = self.average("plain", {"max_shard_bytes": 1})
        self.assert_average(each, ["model-%05d-of-00004.safetensors" % i for i in (1, 2, 3, 4)] +
                            [INDEX])
        largest = max(a["size"] for a in each["artifacts"] if a["name"].endswith(".safetensors"))
        two = self.average("plain", {"max_shard_bytes": largest + 500})
        self.assertLessEqual(max(a["size"] for a in two["artifacts"]
                                 if a["name"].endswith(".safetensors")), largest + 500)
        count = len(two["artifacts"]) - 2
        self.assertIn(count, (2, 3))
        self.assert_average(two, ["model-%05d-of-%05d.safetensors" % (i + 1, count)
                                  for i in range(count)] + [INDEX])

    def pull(self, job, path):
        return subprocess.run([binary("sewactl"), "job", "pull", job, "-O", path], text=True,
                              env=dict(os.environ, SEWA_URL="http://" + self.sewad.address),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)

    def test_all_files_are_pulled(self):
        done = self.average("plain", {"max_shard_bytes": 1})
        folder = self.scratch.join("sharded", "checkpoint-400")
        out = self.pull(done["id"], folder)
        self.assertEqual(out.returncode, 2, out)
        self.assertRegex(out.stderr, r"'(.+)' must be a folder; '\1/' is made")
        out = self.pull(done["id"], folder + "/")
        self.assertEqual(out.returncode, 0, out)
        self.assertEqual(sorted(os.listdir(folder)), sorted(a["name"] for a in done["artifacts"]))
        for a in done["artifacts"]:
            with open(os.path.join(folder, a["name"]), "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), a["sha256"])
        # found and understood by its index, and known for what it is
        self.sewad.wait_file("sharded", "checkpoint-400", "incomplete", "unsupported",
                             "an average that sewad has made")

    def test_the_same_bytes_again(self):
        digests = [{a["name"]: a["sha256"] for a in done["artifacts"] if a["name"] != "manifest.json"}
                   for done in (self.average("sharded"), self.average("sharded"))]
        self.assertEqual(digests[0], digests[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
