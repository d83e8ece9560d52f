"""model_only - what a trainer keeps beside the model is never part of an average, in any format, and
the plan, the result and the manifest say what was taken and what was left (row 32).
"""
import json
import os
import shutil
import sqlite3
import unittest

import reference
import tensors
import torch_file
from sewa import REPOSITORY, ServiceTest
from tensors import Tensor
from toys import mixed_model

STEPS = (100, 200, 300)
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "torch")


class ModelOnly(ServiceTest):
    def setUp(self):
        super().setUp()
        self.run_directory = self.scratch.directory("run")

    def watch(self, **options):
        run = dict({"path": self.run_directory}, **options)
        self.sewad = self.service({"run": {"r": run}, "settle_seconds": 1,
                                   "scan_interval_seconds": 1})
        return self.sewad.wait_complete("r", len(STEPS))

    def average(self):
        """The tensors of the average; and what was taken, which all three must say alike."""
        job = {"run": "r", "method": "uniform", "output": {"max_shard_bytes": 0}}
        planned = self.sewad.request("POST", "/api/v1/jobs", job, dry_run="true").expect(200).json()
        done = self.sewad.run_job(**job)
        manifest = json.loads(self.sewad.artifact(done["id"], "manifest.json"))
        state = planned["plan"]["state"]
        self.assertEqual(done["result"]["state"], state)
        self.assertEqual(manifest["state"], state)
        path = self.scratch.write("average.safetensors", self.sewad.artifact(done["id"]))
        return tensors.read(path)[0], state

    def assert_model_only(self, taken, left):
        plain = []
        for step in STEPS:
            plain.append(self.scratch.join("plain-%d.safetensors" % step))
            tensors.write(plain[-1], mixed_model(step))
        ours, state = self.average()
        self.assertEqual(state, {"taken": taken, "left": left})
        self.assertEqual(reference.differences(ours, reference.average(plain)), "")

    def test_a_distributed_checkpoint_as_the_tutorial_writes_it(self):
        for golden, state in [("app", {"taken": "app.model", "left": ["app.optim", "app.step", "foo"]}),
                              ("unplanned", {"taken": "model", "left": ["optimizer"]})]:
            with self.subTest(golden=golden):
                self.run_directory = self.scratch.directory(golden)
                for step in STEPS:
                    shutil.copytree(os.path.join(GOLDEN, golden + ".dcp"),
                                    os.path.join(self.run_directory, "step-%d" % step))
                rows = self.watch()
                table = self.sewad.get("/api/v1/checkpoints/%s/tensors" % rows[0]["id"])
                self.assertEqual((table["state_key"], table["left"]),
                                 (state["taken"], state["left"]))
                ours, said = self.average()
                self.assertEqual(said, state)
                self.assertEqual(sorted(ours), ["bias", "steps", "weight"])
                self.assertEqual(ours["weight"].values(), list(range(6)))

    def test_flat_names_in_safetensors(self):
        for step in STEPS:
            model = mixed_model(step)
            moments = {"optimizer.state.%s.exp_avg" % n: t for n, t in model.items()}
            tensors.write(os.path.join(self.run_directory, "step-%d.safetensors" % step),
                          dict(model, **moments, rng_state=Tensor("U8", [4], [1, 2, 3, step % 9])))
        self.watch()
        self.assert_model_only(".", ["optimizer", "rng_state"])

    def test_a_trainers_file(self):
        for step in STEPS:
            state = torch_file.state_dict(mixed_model(step))
            torch_file.write(os.path.join(self.run_directory, "step-%d.pt" % step),
                             {"model": state, "ema": state, "epoch": 3,
                              "optimizer": {"state": {0: {"exp_avg": state["body.weight"]}}}})
        self.watch()
        self.assert_model_only("model", ["ema", "epoch", "optimizer"])

    def migration(self, beginning):
        """The statement of the migration that begins like this: the columns are there already."""
        with open(os.path.join(REPOSITORY, "sql", "schema", "0003_read_again.sql"),
                  encoding="utf-8") as file:
            text = "".join(line for line in file if not line.startswith("--"))
        statement, = [s for s in text.split(";") if s.strip().startswith(beginning)]
        return statement

    def test_what_an_older_version_has_read_is_read_again(self):
        """Its index says of each checkpoint that the optimizer belongs to it."""
        for step in STEPS:
            model = mixed_model(step)
            path = os.path.join(self.run_directory, "step-%d.safetensors" % step)
            tensors.write(path, dict(model, **{"optimizer.x": Tensor("F32", [1], [step])}))
        more = self.scratch.directory("more")
        tensors.write(os.path.join(more, "step-1.safetensors"),
                      dict(mixed_model(1), x=Tensor("F32", [1], [1])))
        runs = {"r": {"path": self.run_directory}, "more": {"path": more}}
        self.sewad = self.service({"run": runs, "settle_seconds": 1, "scan_interval_seconds": 1})
        ids = [row["id"] for row in self.sewad.wait_complete("r", len(STEPS))]
        self.sewad.patch("/api/v1/checkpoints/" + ids[0], {"labels": {"mine": "1"}})
        self.sewad.wait_complete("more", 1)
        self.sewad.stop()
        with sqlite3.connect(os.path.join(self.sewad.state, "sewad.db")) as connection:
            connection.execute("UPDATE checkpoints SET layout_id ="
                               " (SELECT id FROM layouts ORDER BY tensor_count DESC LIMIT 1)")
            connection.execute(self.migration("UPDATE checkpoints"))
        connection.close()
        self.sewad.start()
        rows = self.sewad.wait_complete("r", len(STEPS))
        self.assertEqual([row["id"] for row in rows], ids)
        self.assertEqual(rows[0]["labels"], {"mine": "1"})
        self.assertEqual([row["tensors"] for row in rows], [len(mixed_model(1))] * len(STEPS))
        self.assert_model_only(".", ["optimizer"])


class NotAveraged(ServiceTest):
    """Complete, and one of them can be chosen; but no average is made, and everybody says why."""

    def watch(self, model):
        directory = self.scratch.directory("run")
        for step in STEPS:
            tensors.write(os.path.join(directory, "step-%d.safetensors" % step), model(step))
        self.sewad = self.service({"run": {"r": {"path": directory}}, "settle_seconds": 1,
                                   "scan_interval_seconds": 1})
        return self.sewad.wait_complete("r", len(STEPS))

    def assert_not_averaged(self, rows, word):
        refusal = rows[0]["averaging_refused"]
        self.assertEqual(refusal["code"], "unsupported")
        self.assertIn(word, refusal["detail"])
        self.assertEqual(self.sewad.get("/api/v1/checkpoints/" + rows[0]["id"])["averaging_refused"],
                         refusal)
        by_id = {"checkpoints": [row["id"] for row in rows], "method": "uniform"}
        for job, pointer in [({"run": "r", "method": "lawa", "select": 2}, "/run"),
                             (by_id, "/checkpoints")]:
            for query in ({}, {"dry_run": "true"}):
                reply = self.sewad.request("POST", "/api/v1/jobs", job, **query)
                problem = reply.problem(422, "unsupported", word)
                self.assertEqual(problem["errors"][0]["pointer"], pointer)
        self.assertEqual(self.sewad.run_job(run="r", method="last")["state"], "succeeded")

    def test_an_adapter(self):
        rows = self.watch(lambda step: {
            "q.lora_A.weight": Tensor("F32", [2, 3], [step] * 6),
            "q.lora_B.weight": Tensor("F32", [3, 2], [step] * 6)})
        self.assert_not_averaged(rows, "'q.lora_A.weight' is a factor of an adapter")

    def test_quantised_weights(self):
        rows = self.watch(lambda step: {
            "q.qweight": Tensor("I32", [2], [step, 1]), "q.qzeros": Tensor("I32", [1], [0]),
            "q.scales": Tensor("F32", [1], [1])})
        self.assert_not_averaged(rows, "quantised (GPTQ or AWQ)")

    def test_the_bias_of_a_router_is_averaged_and_named(self):
        self.watch(lambda step: {
            "gate.weight": Tensor("F32", [2], [step, 0]),
            "gate.e_score_correction_bias": Tensor("F32", [2], [step, 2 * step])})
        job = {"run": "r", "method": "uniform"}
        plan = self.sewad.request("POST", "/api/v1/jobs", job, dry_run="true"
                                  ).expect(200).json()["plan"]
        self.assertEqual(plan["special_tensors"]["steered"],
                         {"count": 1, "names": ["gate.e_score_correction_bias"]})
        done = self.sewad.run_job(**job)
        path = self.scratch.write("average.safetensors", self.sewad.artifact(done["id"]))
        ours, _ = tensors.read(path)
        self.assertEqual(ours["gate.e_score_correction_bias"].values(), [200, 400])


if __name__ == "__main__":
    unittest.main()
