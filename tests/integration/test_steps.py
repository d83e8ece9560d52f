"""steps - what the names of checkpoints mean for a run: units, copies, parts, and what has no step."""
import os
import unittest

import tensors
import torch_file
from sewa import SharedServiceTest, wait_until
from tensors import Tensor
from toys import toy_tensors

JOBS = "/api/v1/jobs"


class Steps(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.directory = cls.scratch.directory("runs")
        cls.sewad = cls.service({"allowed_roots": [cls.directory]})

    def run_of(self, run, names, complete=None, **more):
        """A run whose directory has files of these names."""
        path = self.scratch.directory("runs", run)
        for seed, name in enumerate(names):
            os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
            tensors.write(os.path.join(path, name), toy_tensors(seed))
        self.sewad.post("/api/v1/runs", dict({"name": run, "path": path}, **more))
        if complete != 0:
            self.sewad.wait_complete(run, complete or len(names))

    def show(self, run):
        return self.sewad.get("/api/v1/runs/" + run)

    def steps(self, run):
        return {c["file"]: (c["step"], c["step_unit"]) for c in self.sewad.complete(run)}

    def dry_run(self, **job):
        return self.sewad.post(JOBS, dict({"method": "uniform"}, **job), 200,
                               dry_run="true")["plan"]

    def refused(self, code, *words, **job):
        return self.sewad.request("POST", JOBS, dict({"method": "uniform"}, **job)
                                  ).problem(422, code, *words)

    def set_pattern(self, run, pattern):
        self.sewad.patch("/api/v1/runs/" + run, {"pattern": pattern})

    def test_a_metric_is_no_step(self):
        self.run_of("metric", ["checkpoint_epoch1523_loss0.0113.safetensors",
                               "checkpoint_epoch20_loss0.98.safetensors"])
        self.assertEqual(self.steps("metric"),
                         {"checkpoint_epoch1523_loss0.0113.safetensors": (1523, "epoch"),
                          "checkpoint_epoch20_loss0.98.safetensors": (20, "epoch")})
        self.assertEqual([c["step"] for c in self.dry_run(run="metric")["checkpoints"]],
                         [20, 1523])
        row = self.sewad.complete("metric")[0]
        self.sewad.patch("/api/v1/checkpoints/" + row["id"], {"metrics": {"loss": 1}})
        by_metric = self.sewad.checkpoints("metric", order_by="metric.loss")
        self.assertEqual([(c["step"], c["step_unit"]) for c in by_metric], [(20, "epoch")])

    def test_epochs_and_steps_are_never_ordered_together(self):
        self.run_of("axes", ["epoch_1.safetensors", "epoch_2.safetensors", "step-10.safetensors"])
        steps = self.show("axes")["steps"]
        self.assertEqual((steps["step"], steps["epoch"], steps["none"]), (1, 2, 0))
        self.assertIn("1 with a step and 2 with an epoch", steps["advice"])
        self.refused("invalid", "'axes'", "1 with a step and 2 with an epoch", "pattern", run="axes")
        ids = [c["id"] for c in self.sewad.complete("axes")]
        self.refused("invalid", "step 10", "epoch", checkpoints=ids)
        self.set_pattern("axes", "epoch_{step}.safetensors")
        wait_until(lambda: self.show("axes")["steps"]["advice"] is None, "one axis is left")
        job = self.sewad.run_job(run="axes", method="uniform")
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [1, 2])

    def test_what_is_left_out_is_said(self):
        self.run_of("named", ["step-1.safetensors", "step-2.safetensors", "last.safetensors",
                              "step-2-EMA.safetensors"])
        self.assertEqual(self.steps("named")["last.safetensors"], (None, None))
        self.assertEqual(self.steps("named")["step-2-EMA.safetensors"], (None, None))
        self.assertEqual(self.show("named")["steps"]["none"], 2)
        words = "2 complete checkpoints of run 'named' have no step and are left out"
        self.assertTrue(any(words in w for w in self.dry_run(run="named")["warnings"]))
        job = self.sewad.run_job(run="named", method="uniform")
        self.assertTrue(any(words in n for n in job["result"]["notes"]), job["result"]["notes"])
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [1, 2])

    def test_a_pattern_is_proposed(self):
        self.run_of("thousands", ["ckpt_100k.safetensors", "ckpt_200k.safetensors"])
        self.refused("no_candidates", "2 are complete and have no step",
                     "'ckpt_{step}k.safetensors'", run="thousands")
        self.set_pattern("thousands", "ckpt_{step}k.safetensors")
        wait_until(lambda: self.show("thousands")["steps"]["none"] == 0, "they have steps")
        self.assertEqual([c["step"] for c in self.dry_run(run="thousands")["checkpoints"]],
                         [100, 200])

    def test_what_settles_is_said(self):
        self.run_of("settling", ["step-%d.safetensors" % i for i in range(1, 4)], complete=0,
                    settle_seconds=3600)
        wait_until(lambda: self.show("settling")["checkpoints"]["incomplete"] == 3, "they are seen")
        problem = self.refused("no_candidates", run="settling")
        self.assertRegex(problem["detail"],
                         r"; 3 are incomplete: still settling, 3(600|59\d|5[0-8]\d) s$")
        self.assertEqual({c["reason"]["code"] for c in self.sewad.checkpoints("settling")},
                         {"settling"})

    def test_what_is_cut_is_said(self):
        self.run_of("cut", [], complete=0, settle_seconds=0)
        self.scratch.write("runs/cut/step-1.safetensors", b"\xff\0\0\0\0\0\0\0{")
        self.sewad.wait_file("cut", "step-1.safetensors", "incomplete", word="its header")
        self.refused("no_candidates", "; 1 is incomplete: ", "its header", run="cut")

    def test_what_has_other_names_is_said(self):
        self.run_of("other-names", ["scheduler_epoch_1.safetensors", "run-a/model.safetensors",
                                    "model.00012"], complete=0)
        self.refused("no_candidates", "nothing has been found in", "/other-names'",
                     "'.safetensors'", "schedulers", "a step in their names", "pattern",
                     run="other-names")
        self.run_of("other-pattern", ["step-1.safetensors"], complete=0, pattern="iter_{step}.pt")
        self.refused("no_candidates", "/other-pattern' that matches its pattern 'iter_{step}.pt'",
                     run="other-pattern")

    def test_a_word_of_states_inside_a_name_is_no_state(self):
        names = ["cosine_scheduler_epoch_1.safetensors", "cosine_scheduler_epoch_2.safetensors"]
        self.run_of("inside", names + ["optimizer_epoch_3.safetensors"], complete=2)
        self.assertEqual(self.steps("inside"), {n: (e, "epoch") for e, n in enumerate(names, 1)})
        moments = {"state.0.exp_avg": Tensor("F32", [1], b"\0" * 4),
                   "state.0.exp_avg_sq": Tensor("F32", [1], b"\0" * 4)}
        tensors.write(self.scratch.join("runs/inside/adam_optimizer_epoch_4.safetensors"), moments)
        torch_file.write(self.scratch.join("runs/inside/adam_optimizer_epoch_5.pt"),
                         {"state": {0: torch_file.state_dict(moments)},
                          "param_groups": [{"lr": 0.5}]})
        for name in ("adam_optimizer_epoch_4.safetensors", "adam_optimizer_epoch_5.pt"):
            row = self.sewad.wait_file("inside", name, "incomplete", "unsupported")
            self.assertRegex(row["reason"]["detail"], "trainer's state|optimizer")
        self.assertEqual(len(self.sewad.checkpoints("inside")), 4)  # not the one of epoch 3

    def test_two_files_of_one_step_are_named(self):
        self.run_of("gan", ["G_1000.safetensors", "D_1000.safetensors"])
        self.refused("duplicate_step", "'G_1000.safetensors'", "'D_1000.safetensors'",
                     "both have step 1000", "a pattern", run="gan")

    def test_parts_are_no_candidates(self):
        parts = ["consolidated.00.safetensors", "mp_rank_00_model_states.safetensors",
                 "model_world_size_8_rank_3.safetensors", "checkpoint1-shard0.safetensors",
                 "step-5-00001-of-00002.safetensors", "checkpoint_7_rank1.safetensors",
                 "pytorch_model_fsdp_0/model.safetensors"]
        self.run_of("parts", parts + ["step-9-rank0.safetensors"], complete=1)
        self.assertEqual(self.steps("parts"), {"step-9-rank0.safetensors": (9, "step")})
        for name in parts[:-1]:
            row = self.sewad.wait_file("parts", name, "incomplete", "unsupported")
            self.assertIn("this is", row["reason"]["detail"])
        self.assertEqual(len(self.sewad.checkpoints("parts")), len(parts))  # not the directory

    def test_parts_are_in_the_notes(self):
        self.run_of("ranks", ["step_%d_rank%d.safetensors" % (s, r) for s in (100, 200)
                              for r in (0, 1)] + ["last.safetensors"], complete=3)
        for step in (100, 200):
            self.sewad.wait_file("ranks", "step_%d_rank1.safetensors" % step, "incomplete",
                                 "unsupported")
        words = ("2 files of run 'ranks' are parts of checkpoints and are not taken, such as "
                 "'step_100_rank1.safetensors'")
        warnings = self.dry_run(run="ranks")["warnings"]
        self.assertTrue(any(words in w for w in warnings), warnings)
        self.assertTrue(any("1 complete checkpoint of run" in w for w in warnings), warnings)
        notes = self.sewad.run_job(run="ranks", method="uniform")["result"]["notes"]
        self.assertTrue(any(words in n for n in notes), notes)

    def test_a_pattern_that_names_a_part_takes_it(self):
        names = ["part%d_epoch_%d.safetensors" % (p, e) for p in (1, 2) for e in (1, 2)]
        self.run_of("asked", names, complete=2, pattern="part2_epoch_{step}.safetensors")
        self.assertEqual(self.steps("asked"), {"part2_epoch_1.safetensors": (1, "epoch"),
                                               "part2_epoch_2.safetensors": (2, "epoch")})
        self.run_of("mixture", ["consolidated.00.safetensors", "consolidated.01.safetensors"],
                    complete=0, pattern="consolidated.{step}.safetensors")
        for name in ("consolidated.00.safetensors", "consolidated.01.safetensors"):
            row = self.sewad.wait_file("mixture", name, "incomplete", "unsupported")
            self.assertIn("a pattern that names the part", row["reason"]["detail"])


if __name__ == "__main__":
    unittest.main()
