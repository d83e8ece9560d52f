"""correctness - the behaviours of tests/CORRECTNESS.md, one test each, as a user sees them.

Each row is something that widely used tools get wrong. The tests here are short and show the rule;
the files that CORRECTNESS.md names beside them walk through its cases.
"""
import json
import math
import os
import re
import shutil
import subprocess
import unittest

import reference
import tensors
import torch_file
from outcomes import assert_same, outcome_of
from sewa import (REPOSITORY, Sewad, SharedServiceTest, binary, needs_failpoints, toy_evaluator,
                  wait_until)
from tensors import Tensor
from toys import toy_run, toy_tensors
from torch_file import Storage, View

JOBS, RUNS = "/api/v1/jobs", "/api/v1/runs"


def one(*values, dtype="F32"):
    """A checkpoint with the single tensor w."""
    return {"w": Tensor(dtype, [len(values)], list(values))}


def near_optimum(distance):
    """A checkpoint whose loss under the toy evaluator grows with the distance."""
    return one(*[math.sin(0.7 * place) + distance for place in range(12)])


def steps_of(job):
    return [s["step"] for s in job["result"]["selected"]]


class DeafSewad(Sewad):
    """A sewad that the kernel gives no notices of files, as on a file system of a network."""

    WITHOUT_INOTIFY = ["unshare", "--user", "--map-root-user", "sh", "-c",
                       "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"", "sh"]

    def can_be_deaf(self):
        try:
            return subprocess.run(self.WITHOUT_INOTIFY + ["true"], check=False,
                                  stderr=subprocess.DEVNULL).returncode == 0
        except OSError:
            return False

    def spawn(self, *arguments, **environment):
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [*self.WITHOUT_INOTIFY, binary("sewad"), "--config", self.config, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.scratch.environment(**dict(self.environment, **environment)))


class Correctness(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.runs = cls.scratch.directory("runs")
        cls.gate, cls.nan = cls.scratch.join("gate"), cls.scratch.join("nan")
        cls.toys = toy_run(cls.scratch.join("toys"))
        cls.sewad = cls.service({
            "allowed_roots": [cls.runs], "run": {"toys": {"path": cls.scratch.join("toys")}},
            "evaluator": {
                "toy": toy_evaluator(), "gated": toy_evaluator({"gate": cls.gate}),
                "first_is_nan": toy_evaluator({"fault": "nan", "once": cls.nan}),
                "one_split": toy_evaluator({"splits": ["selection"]}),
                "same_data": toy_evaluator({"spread": 0}),
                "recalibrates": toy_evaluator({"recalibrate": ["b"]}),
                "recalibrates_badly": toy_evaluator({"recalibrate": ["b"], "shift": 1})}})
        cls.addClassCleanup(cls.scratch.write, "gate", "")
        cls.sewad.wait_complete("toys", len(cls.toys))
        cls.frail = None

    # ---- helpers ----

    def watch(self, name, **more):
        """A run over HTTP for the directory of this name; the directory."""
        path = self.scratch.directory("runs", name)
        self.sewad.post(RUNS, dict({"name": name, "path": path}, **more))
        return path

    def run_with(self, name, checkpoints, write=tensors.write, suffix=".safetensors", **more):
        """A run with complete checkpoints, {step: tensors}; their paths by step."""
        path = self.scratch.directory("runs", name)
        paths = {s: os.path.join(path, "step-%d%s" % (s, suffix)) for s in checkpoints}
        for step, content in checkpoints.items():
            write(paths[step], content)
        self.watch(name, **more)
        self.sewad.wait_complete(name, len(checkpoints))
        return paths

    def artifact(self, job):
        return tensors.parse(self.sewad.artifact(job["id"]))[0]

    def average(self, run, **job):
        return self.artifact(self.sewad.run_job(**dict({"run": run, "method": "uniform"}, **job)))

    def values(self, run, **job):
        return {name: t.values() for name, t in self.average(run, **job).items()}

    def refused(self, code, *words, **job):
        self.sewad.request("POST", JOBS, job).problem(422, code, *words)

    def tensors_of(self, run):
        row = self.sewad.complete(run)[0]
        return self.sewad.get("/api/v1/checkpoints/%s/tensors" % row["id"])

    def scans(self, run, count=2):
        """Wait for so many whole scans from now on."""
        now = self.sewad.get(RUNS + "/" + run)["scan"]["scans"]
        wait_until(lambda: self.sewad.get(RUNS + "/" + run)["scan"]["scans"] > now + count,
                   "scans of '%s'" % run)

    def start_frail(self, failpoint=None):
        """A service of its own that fails at this place."""
        if self.frail is None:
            type(self).frail = self.service({"run": {"toys": {"path": self.scratch.join("toys")}}})
        self.frail.stop()
        self.frail.start(**({"SEWA_FAILPOINT": failpoint} if failpoint else {}))
        self.frail.wait_complete("toys", len(self.toys))
        return self.frail

    def left_behind(self, service, uid):
        """What is there of a job, or not in place, below the directory of averages."""
        return [f for f in os.listdir(os.path.join(service.state, "artifacts"))
                if f.startswith(".") or uid in f]

    def assert_fails_cleanly(self, failpoint, code, *words):
        service = self.start_frail(failpoint)
        done = service.fail_job(code, *words, run="toys", method="uniform")
        self.assertEqual((done["artifacts"], done["result"]), ([], None))
        wait_until(lambda: not self.left_behind(service, done["id"]), "nothing is left behind")
        path = "%s/%s/artifacts/model.safetensors" % (JOBS, done["id"])
        service.request("GET", path).problem(404, "not_found")
        self.assertEqual(len(service.complete("toys")), len(self.toys))
        service.request("GET", "/readyz").expect(200)

    # ---- values ----

    def test_row_01_integers_are_copied_and_never_averaged(self):
        self.run_with("integers", {step: dict(one(step), n=Tensor("I64", [], [n]),
                                              mask=Tensor("BOOL", [2], [step == 2, False]))
                                   for step, n in ((1, 30), (2, 50), (3, 40))})
        for policy, n, mask in (("newest", 40, [False, False]), ("oldest", 30, [False, False]),
                                ("max", 50, [True, False])):
            with self.subTest(policy=policy):
                self.assertEqual(self.values("integers", integers=policy),
                                 {"w": [2.0], "n": [n], "mask": mask})
        self.assertEqual(self.values("integers")["n"], [40])  # newest, unless asked
        self.sewad.fail_job("mismatch", "'n'", run="integers", method="uniform", integers="equal")

    def test_row_02_half_precision_is_summed_in_float64_and_rounded_once(self):
        # (256 + 1 + 2) / 3 in steps of the type itself is 85.5, in float64 86.333 = 86.5
        paths = self.run_with("halves", {
            1: dict(one(256, dtype="BF16"), h=Tensor("F16", [3], [2048, 1e-7, 65504])),
            2: dict(one(1, dtype="BF16"), h=Tensor("F16", [3], [1, 1e-7, 65504])),
            3: dict(one(2, dtype="BF16"), h=Tensor("F16", [3], [1, 3e-7, 65504]))})
        ours = self.average("halves")
        self.assertEqual((ours["w"].dtype, ours["h"].dtype), ("BF16", "F16"))
        self.assertEqual(ours["w"].values(), [86.5])
        self.assertEqual(reference.differences(ours, reference.average(list(paths.values()))), "")
        self.assertEqual(self.average("halves", output={"dtype": "F32"})["w"].dtype, "F32")

    def test_row_03_tied_tensors_stay_tied_and_are_written_once(self):
        def tied(path, value):
            state = torch_file.state_dict({"embed": Tensor("F32", [2], [value, -value])})
            state["head"] = View(state["embed"].storage, [2])
            torch_file.write(path, state)
        self.run_with("tied", {1: 1.0, 2: 2.0}, tied, ".pt")
        job = self.sewad.run_job(run="tied", method="uniform")
        ours, metadata = tensors.parse(self.sewad.artifact(job["id"]))
        (kept, tensor), = ours.items()
        other, = {"embed", "head"} - {kept}
        self.assertEqual(tensor.values(), [1.5, -1.5])
        self.assertEqual(metadata[other], kept)

    def test_row_04_prefixes_of_wrappers_are_stripped_and_collisions_refused(self):
        def wrapped(path, prefix):
            torch_file.write(path, torch_file.state_dict(
                {prefix + "w": Tensor("F32", [1], [len(prefix)])}))
        self.run_with("wrapped", {1: "module._orig_mod.module.", 2: "", 3: "_fsdp_wrapped_module."},
                      wrapped, ".pt")
        self.assertEqual(list(self.average("wrapped")), ["w"])
        path = self.watch("collision")
        torch_file.write(os.path.join(path, "step-1.pt"), torch_file.state_dict(
            {"w": Tensor("F32", [1], [1]), "module.w": Tensor("F32", [1], [2])}))
        self.sewad.wait_file("collision", "step-1.pt", "incomplete", None, "'w'")

    def test_row_05_raw_and_ema_weights_are_told_apart_and_never_mixed(self):
        def state(value):
            return torch_file.state_dict(one(value))
        self.run_with("twins", {
            1: {"state_dict": state(1), "state_dict_ema": state(100)},
            2: {"state_dict": state(2), "state_dict_ema": state(200)},
            3: {"state_dict_ema": state(300)}}, torch_file.write, ".pth")
        job = self.sewad.run_job(run="twins", method="uniform", max_step=2)
        self.assertEqual(self.artifact(job)["w"].values(), [1.5])
        self.assertIn("'state_dict' is used", " ".join(job["result"]["notes"]))
        table = self.tensors_of("twins")
        self.assertEqual(table["state_key"], "state_dict")
        self.assertIn("'state_dict_ema' found beside 'state_dict'", " ".join(table["notes"]))
        ids = {c["step"]: c["id"] for c in self.sewad.complete("twins")}
        mixed = {"run": "twins", "method": "uniform", "min_step": 2}
        words = [ids[2], ids[3], "'step-3.pth' are its 'state_dict_ema'",
                 "'step-2.pth' its 'state_dict'", "averaged (EMA) and raw"]
        before = self.sewad.pages(JOBS)
        for dry_run in ("true", "false"):
            self.sewad.request("POST", JOBS, mixed, dry_run=dry_run).problem(422, "mismatch", *words)
        self.assertEqual(self.sewad.pages(JOBS), before)
        self.assertEqual(self.values("twins", min_step=3), {"w": [300]})

    def test_row_06_checkpoints_that_differ_are_refused_and_order_does_not_matter(self):
        w, b = Tensor("F32", [2], [1, 3]), Tensor("F32", [1], [5])
        self.run_with("order", {1: {"w": w, "b": b}, 2: {"b": b, "w": w},
                                3: {"w": w}, 4: {"w": Tensor("F32", [1, 2], [1, 3]), "b": b},
                                5: {"w": Tensor("BF16", [2], [1, 3]), "b": b}})
        self.assertEqual(self.values("order", max_step=2), {"w": [1, 3], "b": [5]})
        for step, words in ((3, ["'b'", "step-3"]), (4, ["'w'", "[1, 2]"]), (5, ["'w'", "BF16"])):
            with self.subTest(step=step):
                self.refused("mismatch", *words, run="order", method="uniform",
                             exclude_steps=[s for s in range(2, 6) if s != step])

    def test_row_07_a_sharded_checkpoint_is_whole_or_incomplete(self):
        path = self.watch("shards")
        for step, first, second, extra in ((1, "ab", "cd", None), (2, "ab", "", None),
                                           (3, "ab", "bcd", None), (4, "ab", "cd", "az")):
            directory = os.path.join(path, "checkpoint-%d" % step)
            os.makedirs(directory)
            for i, names in ((1, first), (2, second), (9, extra)):
                if names:
                    tensors.write(os.path.join(directory, "model-%05d-of-00002.safetensors" % i),
                                  {n: Tensor("F32", [1], [step]) for n in names})
            shards = {n: "model-0000%d-of-00002.safetensors" % (1 + (n in "cd")) for n in "abcd"}
            tensors.place(os.path.join(directory, "model.safetensors.index.json"),
                          json.dumps({"metadata": {}, "weight_map": shards}).encode())
        self.sewad.wait_file("shards", "checkpoint-2", "incomplete", "incomplete", "00002-of-00002")
        self.sewad.wait_file("shards", "checkpoint-3", "incomplete", "corrupt", "'b'")
        self.assertEqual([c["step"] for c in self.sewad.wait_complete("shards", 2)], [1, 4])
        self.assertEqual(self.values("shards", output={"max_shard_bytes": 0}),
                         {n: [2.5] for n in "abcd"})

    # ---- steps and ranks ----

    def test_row_08_a_step_is_a_whole_number_token(self):
        self.run_with("numbers", {s: one(s) for s in (100, 1000, 9900, 10000)})
        self.assertEqual(steps_of(self.sewad.run_job(run="numbers", method="last")), [10000])
        job = self.sewad.run_job(run="numbers", method="uniform", exclude_steps=[100])
        self.assertEqual(steps_of(job), [1000, 9900, 10000])

    def test_row_09_numbering_that_restarts_in_a_directory_is_said(self):
        paths = self.run_with("twice", {s: one(s) for s in (100, 200, 10, 20)})
        for i, path in enumerate(paths.values()):  # oldest first
            os.utime(path, (1600000000 + 1000 * i, 1600000000 + 1000 * i))
        wait_until(lambda: {c["mtime_ns"] // 10 ** 9 for c in self.sewad.complete("twice")} ==
                   {1600000000 + 1000 * i for i in range(4)}, "the times are seen")
        job = {"run": "twice", "method": "uniform"}
        said = "step 100 was written 3000 seconds before step 20: the numbering"
        plan = self.sewad.post(JOBS, job, 200, dry_run="true")["plan"]
        self.assertIn(said, " ".join(plan["warnings"]))
        done = self.sewad.run_job(**job)
        self.assertIn(said, " ".join(done["result"]["notes"]))
        self.assertEqual(steps_of(done), [10, 20, 100, 200])
        one_training = self.sewad.run_job(max_step=20, **job)
        self.assertEqual(one_training["result"]["notes"], [])

    def test_row_10_what_is_missing_or_nan_never_ranks_first(self):
        self.run_with("ranks", {1: near_optimum(0.0), 2: near_optimum(0.1),
                                3: near_optimum(0.1), 4: near_optimum(0.3)})
        best = {"run": "ranks", "method": "best", "baselines": []}
        for what, more, step in (
                ("the lowest loss", {"evaluator": "toy"}, 1),
                ("the highest metric", {"evaluator": "toy", "params": {"metric": "closeness"}}, 1),
                ("a tie", {"evaluator": "toy", "min_step": 2}, 3),
                ("a loss that is NaN", {"evaluator": "first_is_nan", "max_step": 2}, 2)):
            with self.subTest(what=what):
                self.assertEqual(steps_of(self.sewad.run_job(**dict(best, **more))), [step])
        rows = self.sewad.complete("ranks")
        self.sewad.patch("/api/v1/checkpoints/" + rows[2]["id"], {"metrics": {"loss": 7}})
        for direction in ("asc", "desc"):
            ranked = self.sewad.checkpoints("ranks", order_by="metric.loss " + direction)
            self.assertEqual([c["step"] for c in ranked], [3], direction)

    # ---- files that come, change and go ----

    def test_row_11_a_half_written_file_waits_and_is_looked_at_again(self):
        path = os.path.join(self.watch("half"), "step-1.safetensors")
        content = tensors.file_bytes(toy_tensors(1))
        with open(path, "wb") as file:
            file.write(content[:-10])
        self.sewad.wait_file("half", "step-1.safetensors", "incomplete", "incomplete",
                             str(len(content)))
        with open(path, "ab") as file:
            file.write(content[-10:])
        self.sewad.wait_file("half", "step-1.safetensors", "complete")

    def test_row_12_a_rewritten_file_is_another_one_and_a_new_inode_is_not(self):
        path = self.run_with("identity", {1: toy_tensors(1)})[1]
        uid = self.sewad.complete("identity")[0]["id"]
        shutil.copy2(path, path + ".part")
        os.rename(path + ".part", path)
        self.scans("identity")
        self.assertEqual([c["id"] for c in self.sewad.checkpoints("identity")], [uid])
        tensors.write(path, toy_tensors(2))
        wait_until(lambda: self.sewad.get("/api/v1/checkpoints/" + uid)["state"] == "changed",
                   "the old one is changed")
        row = self.sewad.wait_file("identity", "step-1.safetensors", "complete")
        self.assertNotEqual(row["id"], uid)

    def test_row_13_a_file_that_vanishes_under_a_job_fails_it_by_name(self):
        paths = self.run_with("vanishing", {s: toy_tensors(s) for s in (1, 2, 3)})
        first = self.sewad.submit(run="toys", method="best", evaluator="gated")["id"]
        second = self.sewad.submit(run="vanishing", method="uniform")["id"]  # waits for the first
        os.unlink(paths[2])
        self.scratch.write("gate", "")
        done = self.sewad.wait_job(second, "failed")
        self.assertEqual((done["reason"]["code"], done["artifacts"]), ("gone", []))
        self.assertIn("step-2.safetensors", done["reason"]["detail"])
        self.sewad.wait_job(first)
        os.unlink(self.gate)

    def test_row_14_an_empty_mount_point_is_no_deletion(self):
        self.run_with("unmounted", {1: toy_tensors(1), 2: toy_tensors(2)})
        path = os.path.join(self.runs, "unmounted")
        os.rename(path, path + ".away")
        os.mkdir(path)
        self.scans("unmounted")
        self.assertEqual([c["state"] for c in self.sewad.checkpoints("unmounted")],
                         ["complete", "complete"])
        os.rmdir(path)
        os.rename(path + ".away", path)

    @needs_failpoints
    def test_row_15_a_disk_that_fails_costs_the_job_only(self):
        for failpoint in ("candidate_open=errno:EIO", "stream_read=errno:EIO"):
            with self.subTest(failpoint=failpoint):
                self.assert_fails_cleanly(failpoint, "io", "step-")
        service = self.start_frail()
        service.run_job(run="toys", method="uniform")

    def test_row_16_without_notices_files_are_found_within_a_scan(self):
        path = self.scratch.directory("burst")
        deaf = DeafSewad(self.scratch, {"run": {"burst": {"path": path}}}, "deaf")
        if not deaf.can_be_deaf():
            self.skipTest("nobody here may make a name space of users")
        self.services.append(deaf)
        deaf.start()
        self.assertIn("no hints from the file system", deaf.log_text())
        content = tensors.file_bytes(one(1))
        for step in range(100):
            tensors.place(os.path.join(path, "step-%d.safetensors" % step), content)
        rows = deaf.wait_complete("burst", 100)
        self.assertEqual(sorted(c["step"] for c in rows), list(range(100)))

    def test_row_16_too_many_notices_lose_no_file(self):
        path = self.watch("flood")
        content = tensors.file_bytes(one(1))
        for step in range(300):
            tensors.place(os.path.join(path, "step-%d.safetensors" % step), content)
        rows = self.sewad.wait_complete("flood", 300)
        self.assertEqual(sorted(c["step"] for c in rows), list(range(300)))

    @needs_failpoints
    def test_row_17_output_is_never_visible_half_done(self):
        for failpoint in ("outfile_rename=errno:EIO", "outfile_sync=errno:EIO",
                          "publish_rename=errno:EIO"):
            with self.subTest(failpoint=failpoint):
                self.assert_fails_cleanly(failpoint, "io", "cannot")

    def test_row_18_our_own_output_is_never_a_checkpoint(self):
        self.run_with("own", {1: toy_tensors(1), 2: toy_tensors(2)})
        job = self.sewad.run_job(run="own", method="uniform")
        tensors.place(os.path.join(self.runs, "own", "step-3.safetensors"),
                      self.sewad.artifact(job["id"]))
        self.sewad.wait_file("own", "step-3.safetensors", "incomplete", "unsupported", "average")
        self.assertEqual(steps_of(self.sewad.run_job(run="own", method="uniform")), [1, 2])

    @needs_failpoints
    def test_row_19_a_full_disk_is_a_clean_failure(self):
        for failpoint in ("outfile_reserve=errno:ENOSPC", "outfile_sync=errno:ENOSPC",
                          "publish_rename=errno:ENOSPC"):
            with self.subTest(failpoint=failpoint):
                self.assert_fails_cleanly(failpoint, "no_space", "cannot")

    # ---- requests and restarts ----

    def test_row_20_a_retried_post_makes_no_second_job(self):
        body, key = {"run": "toys", "method": "last"}, {"Idempotency-Key": "row 20"}
        before = len(self.sewad.pages(JOBS))
        first, second = [self.sewad.post(JOBS, body, 201, key)["id"] for _ in range(2)]
        self.assertEqual(first, second)
        self.assertEqual(len(self.sewad.pages(JOBS)), before + 1)
        self.sewad.wait_job(first)

    def test_row_21_after_a_crash_nothing_stays_running_or_locked(self):
        gate = self.scratch.join("gate-of-21")
        service = self.service({"run": {"toys": {"path": self.scratch.join("toys")}},
                                "evaluator": {"gated": toy_evaluator({"gate": gate})}})
        self.addCleanup(self.scratch.write, "gate-of-21", "")
        service.wait_complete("toys", len(self.toys))
        uid = service.submit(run="toys", method="best", evaluator="gated")["id"]
        service.wait_state(uid, "running")
        service.kill()
        service.start()
        self.scratch.write("gate-of-21", "")
        service.wait_job(uid)
        self.assertEqual([j["state"] for j in service.pages(JOBS)], ["succeeded"])
        service.run_job(run="toys", method="uniform")

    def test_row_23_names_and_paths_lead_nowhere_else(self):
        job = self.sewad.run_job(run="toys", method="last")
        for name in ("..%2f..%2fsewad.db", "%2e%2e", "../../sewad.db", "%2fetc%2fpasswd", "..",
                     "model.safetensors%00", "model.safetensors%23x", "model%0a"):
            with self.subTest(name=name):
                reply = self.sewad.request("GET", "%s/%s/artifacts/%s" % (JOBS, job["id"], name))
                self.assertIn(reply.status, (400, 404), reply)
        outside = self.scratch.directory("outside")
        toy_run(outside, [1])
        os.symlink(outside, os.path.join(self.runs, "link"))
        for path in ("..", "../outside", "/etc", "a\0b", "a\nb"):
            with self.subTest(path=path):
                reply = self.sewad.request("POST", RUNS, {"name": "evil",
                                                          "path": os.path.join(self.runs, path)})
                self.assertIn(reply.status, (400, 403, 422), reply)
        for name in ("../x", "a/b", "a#b", "a%2eb", "a\0b", ".a", "a b"):
            with self.subTest(run=name):
                reply = self.sewad.request("POST", RUNS, {"name": name, "path": self.runs})
                self.assertIn(reply.status, (400, 422), reply)
        self.sewad.post(RUNS, {"name": "linked", "path": os.path.join(self.runs, "link")})
        wait_until(lambda: self.sewad.get(RUNS + "/linked")["scan"]["error"], "it is refused")
        self.assertEqual(self.sewad.checkpoints("linked"), [])

    def test_row_24_a_pickle_is_never_executed(self):
        victim = self.scratch.join("executed")
        call = torch_file._Call(torch_file._Global("os", "system"), "touch '%s'" % victim)
        path = self.watch("pickles")
        for step, content in ((1, call), (2, {"state_dict": call}),
                              (3, {"state_dict": torch_file.state_dict(one(3)),
                                   "optimizer": call})):
            torch_file.write(os.path.join(path, "step-%d.pt" % step), content)
        self.sewad.wait_file("pickles", "step-3.pt", "complete")  # nobody needs its optimizer
        for step in (1, 2):
            self.sewad.wait_file("pickles", "step-%d.pt" % step, "incomplete", "unsupported",
                                 "os.system")
        self.assertEqual(self.values("pickles"), {"w": [3]})
        self.assertFalse(os.path.exists(victim))

    def test_row_25_a_header_that_lies_is_refused_with_its_offset(self):
        header, data = tensors.header_of(toy_tensors(1))
        text = json.dumps(header)
        twice = text[:-1] + ', "w": ' + json.dumps(header["w"]) + "}"
        path = self.watch("liars")
        for i, (what, content, word) in enumerate([
                ("a bomb", b"\xff" * 7 + b"\0" + data, "length field"),
                ("an overlap", text.replace("[48, 60]", "[44, 60]"), "offset"),
                ("a hole", text.replace("[48, 60]", "[52, 60]"), "offset"),
                ("a name twice", twice, "two tensors have the name 'w'"),
                ("an overflow", text.replace("[3, 4]", "[4611686018427387904, 8]"), "offset")]):
            with self.subTest(what=what):
                if isinstance(content, str):
                    self.assertNotEqual(content, text)
                    content = tensors.pack(content.encode(), data)
                name = "step-%d.safetensors" % i
                tensors.place(os.path.join(path, name), content)
                self.sewad.wait_file("liars", name, "incomplete", "corrupt", word)

    def test_row_26_nan_in_an_ingredient_is_refused_unless_allowed(self):
        self.run_with("wild", {1: one(1, 2), 2: one(math.nan, 4)})
        self.sewad.fail_job("nonfinite", "'w'", run="wild", method="uniform")
        self.assertEqual(self.values("wild", allow_nonfinite=True)["w"][1], 3)

    def test_row_27_the_same_request_gives_the_same_bytes(self):
        job = {"run": "toys", "evaluator": "toy", "method": "sewa", "select": 3, "seed": 7,
               "params": {"iterations": 8, "samples": 2}}
        wanted = outcome_of(self.sewad, self.sewad.run_job(**job))
        other = self.service({"run": {"toys": {"path": self.scratch.join("toys")}},
                              "evaluator": {"toy": toy_evaluator({"delay": 0.02})},
                              "local_workers": 2, "worker_threads": 2},
                             SEWA_KERNELS="reference")
        other.wait_complete("toys", len(self.toys))
        uid = other.submit(workers=2, **job)["id"]
        wait_until(lambda: other.job(uid)["progress"]["iteration"] >= 2, "it is on its way")
        other.kill()
        other.start()
        assert_same(self, outcome_of(other, other.wait_job(uid)), wanted,
                    "two workers, other kernels, and a crash in the middle")

    def test_row_28_an_average_changes_nothing_that_it_was_made_from(self):
        paths = self.run_with("pure", {1: one(1.0), 2: one(2.0)})
        before = {p: tensors.read(p)[0] for p in paths.values()}
        self.assertEqual(self.values("pure"), {"w": [1.5]})
        job = self.sewad.run_job(run="pure", method="sewa", evaluator="toy", select=2,
                                 params={"iterations": 5})
        self.assertEqual(self.artifact(job)["w"].values(), [1.5])
        self.assertEqual(self.values("pure"), {"w": [1.5]})
        self.assertEqual({p: tensors.read(p)[0] for p in paths.values()}, before)

    def test_row_29_too_few_candidates_are_an_answer_and_no_crash(self):
        for method in ("lawa", "greedy", "sewa"):
            with self.subTest(method=method):
                reply = self.sewad.request("POST", JOBS, {"run": "toys", "method": method,
                                                          "evaluator": "toy", "select": 7})
                self.assertEqual(reply.status, 422, reply)
        self.refused("no_candidates", "toys", run="toys", method="uniform", min_step=10 ** 6)
        newest = toy_tensors(600)
        for method, more in (("lawa", {"select": 1}), ("uniform", {"window": 1}),
                             ("sewa", {"window": 1, "evaluator": "toy"})):
            with self.subTest(method=method, more=more):
                self.assertEqual(self.average("toys", method=method, **more), newest)

    def test_row_30_averaged_and_recalibrated_buffers_are_both_measured(self):
        for evaluator, buffers in (("recalibrates", "recalibrated"),
                                   ("recalibrates_badly", "averaged")):
            result = self.sewad.run_job(run="toys", method="uniform", evaluator=evaluator,
                                        baselines=[])["result"]
            losses = {name: result[name]["loss"] for name in ("averaged", "recalibrated")}
            self.assertEqual(result["buffers"], buffers)
            self.assertEqual(result["loss"], losses[buffers])
            self.assertEqual(min(losses, key=lambda name: losses[name]["selection"]), buffers)

    def test_row_31_ingredients_of_another_run_are_refused_unless_forced(self):
        self.run_with("stranger", {1: toy_tensors(1)})
        mixed = [self.sewad.complete(run)[0]["id"] for run in ("toys", "stranger")]
        self.refused("invalid", "'toys'", "'stranger'", "force", checkpoints=mixed,
                     method="uniform")
        job = self.sewad.run_job(checkpoints=mixed, method="uniform", force=True)
        self.assertEqual(steps_of(job), [1, 100])

    def test_row_32_optimizer_state_is_neither_averaged_nor_copied(self):
        self.run_with("trainer", {s: {"state_dict": torch_file.state_dict(one(s)),
                                      "optimizer_states": [{"state": {0: View(
                                          Storage("F32", b"\0" * 8), [2])}}]}
                                  for s in (1, 2)}, torch_file.write, ".ckpt")
        job = self.sewad.run_job(run="trainer", method="uniform")
        self.assertEqual({n: t.values() for n, t in self.artifact(job).items()}, {"w": [1.5]})
        for notes in (job["result"]["notes"], self.tensors_of("trainer")["notes"]):
            self.assertIn("'optimizer_states'", " ".join(notes))

    def test_row_33_the_manifest_lists_exactly_what_was_averaged(self):
        job = self.sewad.run_job(run="toys", method="sewa", evaluator="toy", select=3,
                                 params={"iterations": 5})
        manifest = json.loads(self.sewad.artifact(job["id"], "manifest.json"))
        ingredients = manifest["ingredients"]
        self.assertEqual([i["step"] for i in ingredients], steps_of(job))
        self.assertEqual([i["path"] for i in ingredients], [self.toys[s] for s in steps_of(job)])
        wanted = reference.average([i["path"] for i in ingredients])
        self.assertEqual(reference.differences(self.artifact(job), wanted), "")

    def test_row_34_what_a_running_job_holds_is_not_deleted(self):
        paths = self.run_with("held", {s: toy_tensors(s) for s in (1, 2)})
        uid = self.sewad.submit(run="held", method="best", evaluator="gated")["id"]
        self.sewad.request("DELETE", RUNS + "/held").problem(409, "conflict", uid)
        self.sewad.request("DELETE", JOBS + "/" + uid).problem(409, "conflict")
        self.scratch.write("gate", "")
        self.sewad.wait_job(uid)
        os.unlink(self.gate)
        self.sewad.request("DELETE", RUNS + "/held").expect(204)
        self.assertTrue(self.sewad.artifact(uid))
        self.assertTrue(all(os.path.exists(p) for p in paths.values()))
        self.sewad.request("DELETE", JOBS + "/" + uid).expect(204)
        self.sewad.request("DELETE", JOBS + "/" + uid).problem(404, "not_found")

    @needs_failpoints
    def test_row_35_a_failed_read_names_file_and_offset(self):
        self.assert_fails_cleanly("stream_read=errno:EIO", "io", "step-", "at offset ")

    def test_row_36_empty_and_scalar_tensors_and_any_name(self):
        self.run_with("odd", {s: {"größe.名前 \"x\"\\": Tensor("F32", [], [s]),
                                  "none": Tensor("F32", [0, 5], b""),
                                  "thin": Tensor("BF16", [1, 1, 1, 1], [s])} for s in (1, 2)})
        ours = self.average("odd")
        self.assertEqual({n: (t.shape, t.values()) for n, t in ours.items()},
                         {"größe.名前 \"x\"\\": ([], [1.5]), "none": ([0, 5], []),
                          "thin": ([1, 1, 1, 1], [1.5])})

    def test_row_37_sharded_input_gives_sharded_output_with_an_index(self):
        path = self.scratch.directory("runs", "split")
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        index = "model.safetensors.index.json"
        for step in (1, 2):
            directory = self.scratch.directory("runs", "split", "checkpoint-%d" % step)
            for name, file in shards.items():
                tensors.write(os.path.join(directory, file),
                              {name: Tensor("F32", [500], [step + ord(name)] * 500)})
            tensors.place(os.path.join(directory, index),
                          json.dumps({"weight_map": shards}).encode())
        self.sewad.post(RUNS, {"name": "split", "path": path})
        self.sewad.wait_complete("split", 2)
        wanted = {name: [1.5 + ord(name)] * 500 for name in shards}
        job = self.sewad.run_job(run="split", method="uniform")["id"]
        manifest = json.loads(self.sewad.artifact(job, "manifest.json"))
        self.assertEqual([a["name"] for a in manifest["artifacts"]],
                         sorted(set(shards.values())) + [index])
        self.assertEqual(json.loads(self.sewad.artifact(job, index))["weight_map"], shards)
        for name, file in shards.items():
            ours, _ = tensors.parse(self.sewad.artifact(job, file))
            self.assertEqual({n: t.values() for n, t in ours.items()}, {name: wanted[name]})
        self.assertEqual(self.values("split", output={"max_shard_bytes": 0}), wanted)

    def test_row_38_a_clock_that_is_wrong_makes_no_file_old_enough(self):
        content, names = tensors.file_bytes(toy_tensors(1)), []
        for run, settle in (("patient", 3600), ("prompt", 0)):
            path = self.scratch.directory("runs", run)
            for step, when in ((1, 0), (2, 4102444800)):  # 1970 and 2100
                file = os.path.join(path, "step-%d.safetensors" % step)
                tensors.place(file, content)
                os.utime(file, (when, when))
                names.append((run, os.path.basename(file)))
            self.watch(run, settle_seconds=settle)
        for run, file in names[:2]:
            self.sewad.wait_file(run, file, "incomplete", "settling", "3600 seconds")
        self.sewad.wait_complete("prompt", 2)

    def test_row_39_an_upper_bound_and_single_steps_can_be_left_out(self):
        job = self.sewad.run_job(run="toys", method="uniform", max_step=400, exclude_steps=[200])
        self.assertEqual(steps_of(job), [100, 300, 400])

    def test_row_40_a_result_without_data_of_its_own_says_so(self):
        job = self.sewad.run_job(run="toys", method="best", evaluator="one_split")
        self.assertEqual((job["result"]["verdict"], job["result"]["loss"]["report"]),
                         ("not_evaluated", None))
        for evaluator, is_said in (("same_data", True), ("toy", False)):
            with self.subTest(evaluator=evaluator):
                job = self.sewad.run_job(run="toys", method="best", evaluator=evaluator)
                self.assertEqual("exactly the losses of the selection split" in
                                 " ".join(job["result"]["notes"]), is_said)


class Table(unittest.TestCase):
    """tests/CORRECTNESS.md and the tests that it names."""

    def test_the_table_names_tests_that_are_there(self):
        folder = os.path.join(REPOSITORY, "tests")
        with open(os.path.join(folder, "CORRECTNESS.md"), encoding="utf-8") as file:
            table = file.read()
        named = set(re.findall(r"\btest_\w+", table))
        texts = {}  # of the files of one name
        for directory, _, names in os.walk(folder):
            for name in (n for n in names if n.startswith("test_") and n.endswith((".c", ".py"))):
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    stem = os.path.splitext(name)[0]
                    texts[stem] = texts.get(stem, "") + file.read()
        found = set(re.findall(r"(?:static void|def) (test_\w+)\(", "".join(texts.values())))
        self.assertEqual(named - found - set(texts), set())
        rows = {n for n in dir(Correctness) if n.startswith("test_row_")}
        self.assertEqual(rows - named, set())
        # "room `test_file`, `test_other`: `test_case`, `Class`": each is in one of the files
        for files, cases in re.findall(r"([^|;:]*\btest_[^|;:]*): ([^|;]*)", table):
            there = "".join(texts.get(stem, "") for stem in re.findall(r"\btest_\w+", files))
            for case in re.findall(r"`(\w+)`", cases):
                self.assertTrue(re.search(r"(?:static void|def|class) %s\(" % case, there),
                                "%s: no %s" % (files, case))


if __name__ == "__main__":
    unittest.main(verbosity=2)
