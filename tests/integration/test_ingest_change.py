"""ingest_change - files that are rewritten, deleted, come back or are no checkpoints at all."""
import os
import shutil
import unittest

import tensors
from sewa import SharedServiceTest, wait_until
from toys import toy_run, toy_tensors


class Changes(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.directory = cls.scratch.directory("runs")
        cls.sewad = cls.service({"allowed_roots": [cls.directory]})

    def run_with(self, name, steps, **more):
        """A run of its own with complete checkpoints; its directory."""
        path = self.scratch.directory("runs", name)
        toy_run(path, steps)
        self.sewad.post("/api/v1/runs", dict({"name": name, "path": path}, **more))
        self.sewad.wait_complete(name, len(steps))
        return path

    def scan(self, run, scans=2):
        """Wait for so many scans that begin from now on."""
        now = self.sewad.get("/api/v1/runs/" + run)["scan"]["scans"]
        wait_until(lambda: self.sewad.get("/api/v1/runs/" + run)["scan"]["scans"] > now + scans,
                   "scans of run '%s'" % run)

    def states(self, run):
        return {c["file"]: c["state"] for c in self.sewad.checkpoints(run)}

    def test_rewritten_in_place_is_a_new_identity(self):
        path = os.path.join(self.run_with("rewritten", [1, 2]), "step-1.safetensors")
        old = self.sewad.wait_file("rewritten", "step-1.safetensors", "complete")
        self.sewad.patch("/api/v1/checkpoints/" + old["id"], {"labels": {"mine": "1"}})
        with open(path, "wb") as file:
            file.write(tensors.file_bytes(toy_tensors(99)))
        wait_until(lambda: self.sewad.get("/api/v1/checkpoints/" + old["id"])["state"] == "changed",
                   "the old row says that it changed")
        new = self.sewad.wait_file("rewritten", "step-1.safetensors", "complete")
        self.assertNotEqual(new["id"], old["id"])
        self.assertEqual((new["step"], new["labels"]), (1, {}))
        kept = self.sewad.get("/api/v1/checkpoints/" + old["id"])
        self.assertEqual((kept["state"], kept["labels"]), ("changed", {"mine": "1"}))
        self.assertEqual(len(self.sewad.complete("rewritten")), 2)

    def test_replaced_with_the_same_size_and_time_is_seen_by_its_header(self):
        path = os.path.join(self.run_with("disguised", [1]), "step-1.safetensors")
        old = self.sewad.wait_file("disguised", "step-1.safetensors", "complete")
        stat = os.stat(path)
        other = toy_tensors(1)
        other["v"] = other.pop("w")  # a name of the same length: the same size
        content = tensors.file_bytes(dict(sorted(other.items(), reverse=True)))
        self.assertEqual(len(content), stat.st_size)
        self.scratch.write("runs/disguised/.new", content)
        fresh = os.path.join(os.path.dirname(path), ".new")
        os.utime(fresh, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        os.rename(fresh, path)
        wait_until(lambda: self.sewad.get("/api/v1/checkpoints/" + old["id"])["state"] == "changed",
                   "another header is another file")
        self.sewad.wait_file("disguised", "step-1.safetensors", "complete")

    def test_a_new_inode_with_the_same_content_is_the_same_checkpoint(self):
        path = os.path.join(self.run_with("moved", [1]), "step-1.safetensors")
        old = self.sewad.wait_file("moved", "step-1.safetensors", "complete")
        copy = os.path.join(os.path.dirname(path), ".copy")
        shutil.copy2(path, copy)
        os.rename(copy, path)
        self.scan("moved")
        rows = self.sewad.checkpoints("moved")
        self.assertEqual([(r["id"], r["state"]) for r in rows], [(old["id"], "complete")])

    def test_deleted_is_gone_and_back_is_the_same_again(self):
        path = os.path.join(self.run_with("deleted", [1, 2, 3]), "step-2.safetensors")
        row = self.sewad.wait_file("deleted", "step-2.safetensors", "complete")
        self.sewad.patch("/api/v1/checkpoints/" + row["id"],
                         {"labels": {"mine": "1"}, "metrics": {"loss": 1}})
        os.rename(path, path + ".part")
        gone = self.sewad.wait_file("deleted", "step-2.safetensors", "gone")
        self.assertEqual(gone["id"], row["id"])
        self.assertEqual([c["step"] for c in self.sewad.complete("deleted")], [1, 3])
        os.rename(path + ".part", path)
        back = self.sewad.wait_file("deleted", "step-2.safetensors", "complete")
        self.assertEqual((back["id"], back["labels"], back["metrics"]),
                         (row["id"], {"mine": "1"}, {"loss": 1}))
        self.assertEqual(len(self.sewad.checkpoints("deleted")), 3)

    def test_gone_while_nobody_looked(self):
        path = os.path.join(self.run_with("asleep", [1, 2]), "step-1.safetensors")
        self.sewad.stop()
        os.rename(path, path + ".part")
        self.sewad.start()
        gone = self.sewad.wait_file("asleep", "step-1.safetensors", "gone")
        self.sewad.stop()
        os.rename(path + ".part", path)
        self.sewad.start()
        back = self.sewad.wait_file("asleep", "step-1.safetensors", "complete")
        self.assertEqual(back["id"], gone["id"])

    def test_a_directory_that_cannot_be_read_is_no_deletion(self):
        path = self.run_with("unmounted", [1, 2])
        ids = sorted(c["id"] for c in self.sewad.complete("unmounted"))
        os.rename(path, path + ".away")
        error = wait_until(lambda: self.sewad.get("/api/v1/runs/unmounted")["scan"]["error"],
                           "the run says that its directory is away")
        self.assertIn(path, error)
        self.assertEqual(sorted(c["id"] for c in self.sewad.complete("unmounted")), ids)
        # the empty mount point: there, readable, and nothing in it
        os.mkdir(path)
        self.scan("unmounted")
        self.assertEqual(sorted(c["id"] for c in self.sewad.complete("unmounted")), ids)
        os.rmdir(path)
        os.rename(path + ".away", path)
        toy_run(path, [3])
        self.sewad.wait_complete("unmounted", 3)
        self.assertIsNone(self.sewad.get("/api/v1/runs/unmounted")["scan"]["error"])
        self.assertEqual(sorted(c["id"] for c in self.sewad.complete("unmounted")
                                if c["step"] < 3), ids)

    def test_links_are_never_a_second_checkpoint(self):
        path = self.run_with("links", [1, 2])
        first = os.path.join(path, "step-1.safetensors")
        os.link(first, os.path.join(path, "best-1.safetensors"))
        os.link(first, os.path.join(path, "zz-step-100.safetensors"))
        os.symlink("step-2.safetensors", os.path.join(path, "latest.safetensors"))
        os.symlink(first, os.path.join(path, "step-77.safetensors"))
        os.symlink("nowhere", os.path.join(path, "step-78.safetensors"))
        toy_run(path, [3])
        self.sewad.wait_complete("links", 3)
        self.scan("links")
        self.assertEqual(self.states("links"), {"step-%d.safetensors" % s: "complete"
                                                for s in (1, 2, 3)})

    def test_names_that_are_never_candidates(self):
        path = self.run_with("hidden", [1])
        content = tensors.file_bytes(toy_tensors(5))
        for name in (".step-2.safetensors", "step-2.safetensors.tmp", "step-2.safetensors.part",
                     "step-2.safetensors.incomplete", "tmp-step-2.safetensors",
                     "_step-2.safetensors", "step-2.safetensors-tmp", "optimizer.bin.txt", "log",
                     "config.json"):
            self.scratch.write("runs/hidden/" + name, content)
        os.makedirs(os.path.join(path, "step-2.safetensors.d"))
        os.mkfifo(os.path.join(path, "step-4.safetensors"))
        toy_run(path, [3])
        self.sewad.wait_complete("hidden", 2)
        self.scan("hidden")
        self.assertEqual(sorted(self.states("hidden")),
                         ["step-1.safetensors", "step-3.safetensors"])

    def test_our_own_average_in_a_run_is_refused_by_what_it_says(self):
        path = self.run_with("mixed", [1, 2])
        job = self.sewad.run_job(run="mixed", method="uniform")
        tensors.place(os.path.join(path, "step-3.safetensors"), self.sewad.artifact(job["id"]))
        self.sewad.wait_file("mixed", "step-3.safetensors", "incomplete", "unsupported", "average")
        again = self.sewad.run_job(run="mixed", method="uniform")
        self.assertEqual([s["step"] for s in again["result"]["selected"]], [1, 2])

    def test_names_that_are_not_utf8(self):
        path = self.run_with("bytes", [1])
        name = b"st\xe4rke-step-2.safetensors"
        tensors.write(os.path.join(path, os.fsdecode(name)), toy_tensors(2))
        tensors.write(os.path.join(path, "größe-100%-step-3.safetensors"), toy_tensors(3))
        rows = {c["step"]: c for c in self.sewad.wait_complete("bytes", 3)}
        self.assertEqual(rows[2]["file"], "st%E4rke-step-2.safetensors")
        self.assertEqual(rows[3]["file"], "größe-100%25-step-3.safetensors")
        job = self.sewad.run_job(run="bytes", method="uniform")
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [1, 2, 3])
        self.assertTrue(self.sewad.artifact(job["id"]))

    def test_steps_of_names(self):
        path = self.scratch.directory("runs", "names")
        expected = {"ckpt_1000_fp16.safetensors": 1000, "model-iter-42.safetensors": 42,
                    "epoch=3-step=1000000007-v1.safetensors": 1000000007,
                    "checkpoint-17.safetensors": 17, "resnet50.safetensors": None,
                    "00099.safetensors": 99, "a-1-b-2.safetensors": None,
                    "step-99999999999999999999.safetensors": None}
        for i, name in enumerate(expected):
            tensors.write(os.path.join(path, name), toy_tensors(i))
        self.sewad.post("/api/v1/runs", {"name": "names", "path": path})
        rows = self.sewad.wait_complete("names", len(expected))
        self.assertEqual({r["file"]: r["step"] for r in rows}, expected)
        for row in rows:
            self.assertEqual(row["step"] is None, row["step_reason"] is not None, row)
        units = {r["step"]: r["step_unit"] for r in rows if r["step"] is not None}
        self.assertEqual(units, {42: "step", 1000000007: "step", 17: "number", 99: "number",
                                 1000: "number"})
        # what has no step is no candidate of a run
        for name in ("model-iter-42.safetensors", "epoch=3-step=1000000007-v1.safetensors"):
            os.remove(os.path.join(path, name))
        wait_until(lambda: len(self.sewad.complete("names")) == len(rows) - 2, "they are gone")
        job = self.sewad.run_job(run="names", method="uniform")
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [17, 99, 1000])

    def test_two_files_of_one_step(self):
        path = self.run_with("twice", [1, 2, 3])
        tensors.write(os.path.join(path, "step-02.safetensors"), toy_tensors(20))
        self.sewad.wait_complete("twice", 4)
        self.sewad.request("POST", "/api/v1/jobs", {"run": "twice", "method": "uniform"}).problem(
            422, "duplicate_step", "step 2")
        job = self.sewad.run_job(run="twice", method="uniform", exclude_steps=[2])
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [1, 3])
        # "the newest three" would cut between the two
        self.sewad.request("POST", "/api/v1/jobs", {"run": "twice", "method": "uniform",
                                                    "window": 2}).problem(422, "duplicate_step")
        job = self.sewad.run_job(run="twice", method="uniform", window=1)
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [3])

    def test_one_directory_two_patterns(self):
        path = self.scratch.directory("runs", "shared")
        for i in (1, 2):
            tensors.write(os.path.join(path, "raw-%d.safetensors" % i), toy_tensors(i))
            tensors.write(os.path.join(path, "ema-%d.safetensors" % i), toy_tensors(10 + i))
        for name in ("raw", "ema"):
            self.sewad.post("/api/v1/runs", {"name": name, "path": path,
                                             "pattern": name + "-{step}.safetensors"})
            rows = self.sewad.wait_complete(name, 2)
            self.assertEqual([r["file"] for r in rows],
                             ["%s-%d.safetensors" % (name, i) for i in (1, 2)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
