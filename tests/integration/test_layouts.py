"""layouts - what people have: PyTorch files, shards with an index, directories of a trainer.

Each is found, admitted by the rule that fits it, and averaged to what the definition says of the
same numbers in plain files.
"""
import json
import os
import shutil
import unittest
import zipfile
from collections import OrderedDict

import reference
import tensors
import torch_file
from scratch import wait_until
from sewa import ServiceTest
from tensors import Tensor
from torch_file import Storage, View
from toys import mixed_model

STEPS = (100, 200, 300)


class Layouts(ServiceTest):
    def setUp(self):
        super().setUp()
        self.run_directory = self.scratch.directory("run")
        self.plain = []  # the same numbers in safetensors files, for the definition
        for step in STEPS:
            self.plain.append(self.scratch.join("plain-%d.safetensors" % step))
            tensors.write(self.plain[-1], mixed_model(step))

    def path(self, *names):
        return os.path.join(self.run_directory, *names)

    def watch(self, **options):
        run = dict({"path": self.run_directory}, **options)
        self.sewad = self.service({"run": {"r": run}, "settle_seconds": 1,
                                   "scan_interval_seconds": 1})

    def assert_average(self, method="uniform", names=None, **fields):
        """The artifact is the average of the plain files."""
        done = self.sewad.run_job(run="r", method=method, **fields)
        self.assertEqual(done["state"], "succeeded", done)
        expected = reference.average(self.plain)
        if names:
            expected = {names.get(n, n): t for n, t in expected.items()}
        path = self.scratch.write("average.safetensors", self.sewad.artifact(done["id"]))
        ours, metadata = tensors.read(path)
        self.assertEqual(reference.differences(ours, expected), "")
        return metadata


class TorchFiles(Layouts):
    def test_state_dicts(self):
        for step in STEPS:
            torch_file.write(self.path("step-%d.pt" % step),
                             torch_file.state_dict(mixed_model(step)))
        torch_file.write(self.path("optimizer.pt"), {"state": {}})
        self.watch()
        rows = self.sewad.wait_complete("r", 3)
        self.assertEqual([(c["step"], c["format"]) for c in rows], [(s, "torch") for s in STEPS])
        self.assert_average()
        self.assertEqual([c["file"] for c in self.sewad.checkpoints("r")],
                         ["step-%d.pt" % s for s in STEPS])  # optimizer.pt is no candidate

    def test_a_trainers_file_with_wrapped_names(self):
        for step in STEPS:
            state = OrderedDict(("module." + n, t)
                                for n, t in torch_file.state_dict(mixed_model(step)).items())
            torch_file.write(self.path("epoch=1-step=%d.ckpt" % step),
                             {"epoch": 1, "global_step": step, "state_dict": state,
                              "optimizer_states": [{"state": {}}]})
        self.watch()
        rows = self.sewad.wait_complete("r", 3)
        self.assert_average()
        table = self.sewad.get("/api/v1/checkpoints/%s/tensors" % rows[0]["id"])
        self.assertEqual(table["state_key"], "state_dict")
        self.assertIn("prefixes of training wrappers", " ".join(table["notes"]))

    def test_the_state_key_of_the_run(self):
        for step in STEPS:
            other = {n: Tensor(t.dtype, t.shape, t.data[::-1])
                     for n, t in mixed_model(step).items()}
            torch_file.write(self.path("step-%d.pth" % step),
                             {"mine": {"weights": torch_file.state_dict(mixed_model(step)),
                                       "others": torch_file.state_dict(other)}})
        self.watch(state_key="mine.weights")
        self.sewad.wait_complete("r", 3)
        self.assert_average()

    def test_a_damaged_file(self):
        """What is asked for its digest is read whole, and held against its own checksums."""
        paths = [self.path("step-%d.pt" % step) for step in STEPS]
        for step, path in zip(STEPS, paths):
            torch_file.write(path, torch_file.state_dict(mixed_model(step)))
        with zipfile.ZipFile(paths[1]) as archive:
            storage = max(archive.infolist(), key=lambda m: m.file_size * ("/data/" in m.filename))
        with open(paths[1], "r+b") as file:
            data = file.read()
            begin = data.index(storage.filename.encode()) + len(storage.filename)
            at = begin + storage.file_size // 2
            file.seek(at)
            file.write(bytes([data[at] ^ 1]))
        self.watch()
        rows = self.sewad.wait_complete("r", 3)  # its structure is as it should be
        job = self.sewad.submit(run="r", method="uniform", digests=True)
        reason = self.sewad.wait_job(job["id"], "failed")["reason"]
        self.assertEqual(reason["code"], "corrupt")
        for word in (rows[1]["id"], "step-200.pt", "%d bytes at offset %d" %
                     (storage.file_size, begin), "says %08x" % storage.CRC):
            self.assertIn(word, reason["detail"])

    def test_views_and_ties(self):
        for step in STEPS:
            m = mixed_model(step)
            state = torch_file.state_dict(m)
            t = m["body.weight"]
            columns = [t.data[2 * (i * 9 + j):2 * (i * 9 + j) + 2]
                       for j in range(9) for i in range(33)]
            state["body.weight"] = View(Storage("BF16", b"".join(columns)), [33, 9], [1, 33])
            state["head.weight"] = View(state["embed.weight"].storage, [7, 5])
            torch_file.write(self.path("step-%d.pt" % step), state)
        self.watch()
        rows = self.sewad.wait_complete("r", 3)
        table = self.sewad.get("/api/v1/checkpoints/%s/tensors" % rows[0]["id"])
        ties = {t["name"]: t["tied_to"] for t in table["items"] if t["tied_to"]}
        self.assertEqual(len(ties), 1)
        (second, first), = ties.items()
        self.assertEqual({second, first}, {"embed.weight", "head.weight"})
        # written once, under the name that safetensors.torch.load_model() looks for
        metadata = self.assert_average(names={"embed.weight": first})
        self.assertEqual(metadata[second], first)


class Directories(Layouts):
    SHARDS = {"embed.weight": 1, "body.weight": 2, "body.scale": 1, "steps": 2}

    def write_shards(self, directory, step):
        os.makedirs(directory, exist_ok=True)
        names = {s: "model-%05d-of-00002.safetensors" % s for s in (1, 2)}
        for shard, name in names.items():
            tensors.write(os.path.join(directory, name),
                          {n: t for n, t in mixed_model(step).items() if self.SHARDS[n] == shard})
        return {n: names[s] for n, s in self.SHARDS.items()}

    def write_index(self, directory, weight_map):
        with open(os.path.join(directory, "model.safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": 1}, "weight_map": weight_map}, f)

    def test_shards_with_an_index(self):
        self.watch()
        for step in STEPS:
            directory = self.path("checkpoint-%d" % step)
            weight_map = self.write_shards(directory, step)
            with open(os.path.join(directory, "optimizer.pt"), "wb") as f:
                f.write(b"anything")
            self.write_index(directory, weight_map)
        rows = self.sewad.wait_complete("r", 3)
        for row in rows:
            self.assertEqual(row["evidence"]["rule"], "last_file", row)
            self.assertEqual(row["evidence"]["file"], "model.safetensors.index.json")
        self.assertEqual([(c["step"], c["file"]) for c in rows],
                         [(s, "checkpoint-%d" % s) for s in STEPS])
        table = self.sewad.get("/api/v1/checkpoints/%s/tensors" % rows[0]["id"])
        self.assertEqual({t["file"] for t in table["items"]},
                         {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"})
        self.assert_average(output={"max_shard_bytes": 0})  # in shards: test_shards
        self.assert_average("lawa", select=3, output={"max_shard_bytes": 0})

    def test_a_shard_that_is_missing_or_replaced(self):
        directory = self.path("checkpoint-100")
        weight_map = self.write_shards(directory, 100)
        second = os.path.join(directory, "model-00002-of-00002.safetensors")
        os.rename(second, second + ".part")
        self.write_index(directory, weight_map)
        self.watch()
        row = self.sewad.wait_file("r", "checkpoint-100", "incomplete", "incomplete",
                                   "model-00002-of-00002")
        os.rename(second + ".part", second)
        row = self.sewad.wait_complete("r", 1)[0]
        # a shard of another step in its place, with the time of the old one
        stat = os.stat(second)
        self.write_shards(directory, 200)
        os.utime(second, ns=(stat.st_atime_ns, stat.st_mtime_ns - 5))
        wait_until(lambda: [c["state"] for c in self.sewad.checkpoints("r") if
                            c["id"] == row["id"]] == ["changed"], "the old row is changed")
        again = self.sewad.wait_complete("r", 1)[0]
        self.assertNotEqual(again["id"], row["id"])

    def test_directories_of_a_trainer(self):
        for step in STEPS:
            directory = self.path("checkpoint-%d" % step)
            os.mkdir(directory)
            torch_file.write(os.path.join(directory, "pytorch_model.bin"),
                             torch_file.state_dict(mixed_model(step)))
            for name in ("rng_state.pth", "scheduler.pt", "training_args.bin"):
                with open(os.path.join(directory, name), "wb") as f:
                    f.write(b"anything")
            with open(os.path.join(directory, "trainer_state.json"), "w") as f:
                f.write("{}")
        os.mkdir(self.path("runs"))  # tensorboard's
        self.watch()
        rows = self.sewad.wait_complete("r", 3)
        self.assertEqual({c["evidence"]["file"] for c in rows}, {"trainer_state.json"})
        self.assert_average()
        # a job finds out when a directory has changed since
        shutil.rmtree(self.path("checkpoint-200"))
        done = self.sewad.wait_job(self.sewad.submit(
            method="uniform", checkpoints=[c["id"] for c in rows])["id"], "failed")
        self.assertEqual(done["reason"]["code"], "gone")

    def test_a_file_that_comes_later_makes_no_other_checkpoint(self):
        for step in STEPS:
            os.mkdir(self.path("checkpoint-%d" % step))
            torch_file.write(self.path("checkpoint-%d" % step, "pytorch_model.bin"),
                             torch_file.state_dict(mixed_model(step)))
        self.watch()
        rows = self.sewad.wait_complete("r", 3)
        for step in STEPS:
            with open(self.path("checkpoint-%d" % step, "trainer_state.json"), "w") as f:
                f.write("{}")
        sizes = {c["id"]: c["size"] + 2 for c in rows}
        wait_until(lambda: {c["id"]: c["size"] for c in self.sewad.complete("r")} == sizes,
                   "they have been seen again")
        self.assertEqual(len(self.sewad.checkpoints("r")), 3)
        done = self.sewad.run_job(method="uniform", checkpoints=[c["id"] for c in rows])
        self.assertEqual(done["state"], "succeeded")
        self.sewad.stop()
        with open(self.path("checkpoint-100", "trainer_state.json"), "w") as f:
            f.write("{ }")
        self.sewad.start()
        sizes[[c["id"] for c in rows if c["file"] == "checkpoint-100"][0]] += 1
        wait_until(lambda: {c["id"]: c["size"] for c in self.sewad.checkpoints("r")} == sizes,
                   "the one that changed meanwhile has been seen again")
        torch_file.write(self.path("checkpoint-100", "pytorch_model.bin"),
                         torch_file.state_dict(mixed_model(7)))
        wait_until(lambda: len(self.sewad.checkpoints("r")) == 4, "other weights are another one")

    def test_what_cannot_be_read_says_what_it_is(self):
        for name, files in (("global_step100", ["mp_rank_00_model_states.pt"]),
                            ("step-7", ["model-00001-of-00002.safetensors"]),
                            ("step-8", [".metadata", "__0_0.distcp"])):
            os.mkdir(self.path(name))
            for file in files:
                with open(self.path(name, file), "wb") as f:
                    f.write(b"\x80\x02}.")
        self.watch()
        for name, word in (("global_step100", "DeepSpeed"), ("step-7", "index"), ("step-8", "")):
            row = self.sewad.wait_file("r", name, "incomplete", None, word)
            self.assertIn(row["reason"]["code"], ("unsupported", "incomplete", "corrupt"))

    def test_shards_without_a_directory_of_their_own(self):
        self.write_shards(self.run_directory, 100)
        self.watch()
        self.sewad.wait_file("r", "model-00001-of-00002.safetensors", "incomplete", "unsupported",
                             "shard 1 of 2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
