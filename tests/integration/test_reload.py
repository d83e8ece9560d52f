"""reload - SIGHUP, roots, and what a configuration that changes does to runs and evaluators."""
import os
import signal
import unittest

import tensors
from sewa import ServiceTest, toy_evaluator, wait_until
from toys import toy_run, toy_tensors


class Reload(ServiceTest):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.scratch.join("a"), self.scratch.join("b")
        toy_run(self.a, [1, 2])
        toy_run(self.b, [3, 4])

    def test_runs_come_and_go(self):
        sewad = self.service({"run": {"a": {"path": self.a}}})
        sewad.wait_complete("a", 2)
        sewad.configure(run={"b": {"path": self.b}})
        sewad.hang_up()
        sewad.wait_complete("b", 2)
        run = wait_until(lambda: (lambda r: not r["watched"] and r)(sewad.get("/api/v1/runs/a")),
                         "run 'a' is not watched any more")
        # its index is kept, and nothing new is found
        self.assertEqual(run["checkpoints"]["complete"], 2)
        self.assertFalse(run["scan"]["active"])
        toy_run(self.a, [9])
        toy_run(self.b, [9])
        sewad.wait_complete("b", 3)
        self.assertEqual(len(sewad.complete("a")), 2)
        # one that has left may be deleted, one that has not may not
        sewad.request("DELETE", "/api/v1/runs/b").problem(409, "conflict", "configuration")
        sewad.configure(run={"a": {"path": self.a}, "b": {"path": self.b}})
        sewad.hang_up()
        sewad.wait_complete("a", 3)
        self.assertTrue(sewad.get("/api/v1/runs/a")["watched"])
        sewad.configure(run={"a": {"path": self.a}})
        sewad.hang_up()
        wait_until(lambda: not sewad.get("/api/v1/runs/b")["watched"], "run 'b' has left")
        sewad.request("DELETE", "/api/v1/runs/b").expect(204)
        sewad.request("GET", "/api/v1/runs/b").problem(404, "not_found")

    def test_a_run_that_is_changed_is_watched_anew(self):
        sewad = self.service({"run": {"a": {"path": self.a, "pattern": "never-{step}"}}})
        uid = sewad.get("/api/v1/runs/a")["id"]
        self.assertEqual(sewad.checkpoints("a"), [])
        sewad.configure(run={"a": {"path": self.a, "pattern": "step-{step}.*"}})
        sewad.hang_up()
        sewad.wait_complete("a", 2)
        self.assertEqual(sewad.get("/api/v1/runs/a")["id"], uid)

    def test_another_pattern_gives_other_steps(self):
        """Also those checkpoints that are known already, in their own rows."""
        directory = self.scratch.directory("c")
        for step in (1, 2, 3):
            tensors.write(os.path.join(directory, "a-%d-b-%d.safetensors" % (step, 90 - 10 * step)),
                          toy_tensors(step))

        def steps():
            return {row["id"]: row["step"] for row in sewad.complete("c")}

        def run_of(pattern):
            return {"c": {"path": directory, "pattern": pattern}}

        sewad = self.service({"run": run_of("a-{step}-b-*")})
        sewad.wait_complete("c", 3)
        before = steps()
        self.assertEqual(sorted(before.values()), [1, 2, 3])
        wanted = {uid: 90 - 10 * step for uid, step in before.items()}
        sewad.configure(run=run_of("a-*-b-{step}.safetensors"))
        sewad.hang_up()
        wait_until(lambda: steps() == wanted, "the steps are those of the new pattern")
        self.assertIn("its pattern gives 3 checkpoints another step", sewad.log_text())
        sewad.stop()
        sewad.configure(run=run_of("a-{step}-b-*"))
        sewad.start()
        wait_until(lambda: steps() == before, "the steps are those of the first pattern again")

    def test_a_bad_configuration_changes_nothing(self):
        sewad = self.service({"run": {"a": {"path": self.a}},
                              "evaluator": {"toy": toy_evaluator()}})
        sewad.wait_complete("a", 2)
        for text, word in [("settle_seconds = 99999\n", "99999"), ("nonsense\n", ":1"),
                           ('run "a" {\n    colour = "red"\n}\n', "colour"),
                           ("run 'a' {", ":1"), ("listen = '0.0.0.0:1'\n", "loopback")]:
            with self.subTest(text=text):
                self.scratch.write("sewad0/sewad.conf", text)
                sewad.hang_up(refused=True)
                last = [line for line in sewad.log_text().splitlines() if "not read again" in line]
                self.assertIn(word, last[-1])
                self.assertTrue(sewad.get("/api/v1/runs/a")["watched"])
                self.assertEqual(len(sewad.get("/api/v1/evaluators")["items"]), 1)
        os.unlink(sewad.config)
        sewad.hang_up(refused=True)
        toy_run(self.a, [5])
        sewad.wait_complete("a", 3)

    def test_what_needs_a_restart_is_said(self):
        sewad = self.service({"run": {"a": {"path": self.a}}, "local_workers": 1})
        sewad.configure(local_workers=3, worker_threads=2, scan_interval_seconds=2)
        sewad.hang_up()
        for name, old, new in (("local_workers", 1, 3), ("worker_threads", 0, 2)):
            self.assertRegex(sewad.log_text(),
                             r"warn config: .*/sewad\.conf:\d+: %s needs a restart: .* %d, .* %d"
                             % (name, old, new))
        self.assertNotRegex(sewad.log_text(), "(listen|scan_interval_seconds) needs a restart")
        # said at each reload, held against what is in force, until it agrees again
        sewad.configure(local_workers=2)
        sewad.hang_up()
        self.assertRegex(sewad.log_text(), "local_workers needs a restart: .* 1, .* 2")
        sewad.configure(local_workers=1, worker_threads=0)
        before = sewad.log_text().count("needs a restart")
        sewad.hang_up()
        self.assertEqual(sewad.log_text().count("needs a restart"), before)

    def test_evaluators_change_for_new_jobs(self):
        gate = self.scratch.join("gate")
        sewad = self.service({"run": {"a": {"path": self.a}},
                              "evaluator": {"old": toy_evaluator({"gate": gate})}})
        sewad.wait_complete("a", 2)
        job = sewad.submit(run="a", method="best", evaluator="old")
        sewad.wait_state(job["id"], "running")
        sewad.configure(evaluator={"new": toy_evaluator()})
        sewad.hang_up()
        sewad.request("GET", "/api/v1/evaluators/old").problem(404, "not_found", "old")
        sewad.request("POST", "/api/v1/jobs", {"run": "a", "method": "best", "evaluator": "old"}
                      ).problem(422, "unknown_name", "old")
        # the job that is under way keeps what it was submitted with
        self.scratch.write("gate", "")
        done = sewad.wait_job(job["id"])
        self.assertEqual(done["evaluator"], "old")
        self.assertEqual(sewad.run_job(run="a", method="best", evaluator="new")["evaluator"],
                         "new")

    def test_many_reloads_at_once(self):
        sewad = self.service({"run": {"a": {"path": self.a}}})
        sewad.wait_complete("a", 2)
        for i in range(20):
            run = {"a": {"path": self.a}, "b": {"path": self.b}}
            if i % 2 == 0:
                del run["b"]
            sewad.configure(run=run)
            sewad.process.send_signal(signal.SIGHUP)
        sewad.process.send_signal(signal.SIGHUP)

        def watched():
            reply = sewad.request("GET", "/api/v1/runs/b")
            return reply.status == 200 and reply.json()["watched"]

        wait_until(watched, "the last word counts")
        sewad.wait_complete("b", 2)


class Roots(ServiceTest):
    """root "lab" { path }: every directory below is a run."""

    def setUp(self):
        super().setUp()
        self.lab = self.scratch.directory("lab")
        toy_run(os.path.join(self.lab, "one"), [1, 2])
        toy_run(os.path.join(self.lab, "two 2%"), [3])
        self.sewad = self.service({"root": {"lab": {"path": self.lab}}})
        self.wait_names("lab.one", "lab.two_202_25")

    def names(self, watched=True):
        return sorted(r["name"] for r in self.sewad.pages("/api/v1/runs")
                      if r["watched"] == watched)

    def wait_names(self, *names):
        wait_until(lambda: self.names() == sorted(names), "runs %r" % (names,))

    def test_directories_are_runs(self):
        tensors.write(os.path.join(self.lab, "step-9.safetensors"), toy_tensors(9))
        os.symlink(os.path.join(self.lab, "one"), os.path.join(self.lab, "link"))
        os.mkdir(os.path.join(self.lab, ".hidden"))
        self.wait_names("lab.one", "lab.two_202_25")
        run = self.sewad.get("/api/v1/runs/lab.one")
        self.assertEqual((run["origin"], run["path"]), ("root", os.path.join(self.lab, "one")))
        self.sewad.wait_complete("lab.one", 2)
        self.sewad.wait_complete("lab.two_202_25", 1)
        toy_run(os.path.join(self.lab, "three"), [1])
        self.wait_names("lab.one", "lab.three", "lab.two_202_25")
        self.sewad.wait_complete("lab.three", 1)
        # one level deep
        toy_run(os.path.join(self.lab, "one", "deeper"), [1])
        toy_run(os.path.join(self.lab, "one"), [7])
        self.sewad.wait_complete("lab.one", 3)
        self.wait_names("lab.one", "lab.three", "lab.two_202_25")

    def test_a_directory_that_vanishes_ends_its_run_and_keeps_its_rows(self):
        self.sewad.wait_complete("lab.one", 2)
        uid = self.sewad.get("/api/v1/runs/lab.one")["id"]
        os.rename(os.path.join(self.lab, "one"), self.scratch.join("away"))
        self.wait_names("lab.two_202_25")
        self.assertEqual(self.sewad.get("/api/v1/runs/lab.one")["checkpoints"]["complete"], 2)
        os.rename(self.scratch.join("away"), os.path.join(self.lab, "one"))
        self.wait_names("lab.one", "lab.two_202_25")
        self.assertEqual(self.sewad.get("/api/v1/runs/lab.one")["id"], uid)
        self.assertEqual(len(self.sewad.wait_complete("lab.one", 2)), 2)

    def test_a_directory_that_vanished_while_nobody_looked(self):
        self.sewad.wait_complete("lab.one", 2)
        self.sewad.stop()
        os.rename(os.path.join(self.lab, "one"), self.scratch.join("away"))
        self.sewad.start()
        self.wait_names("lab.two_202_25")
        self.assertEqual(self.names(watched=False), ["lab.one"])

    def test_a_root_that_leaves_takes_its_runs_along(self):
        self.sewad.wait_complete("lab.one", 2)
        self.sewad.configure(root={})
        self.sewad.hang_up()
        self.wait_names()
        toy_run(os.path.join(self.lab, "one"), [8])
        other = self.scratch.directory("other")
        toy_run(os.path.join(other, "one"), [5, 6, 7])
        # a root of the same name elsewhere: its directory of that name is the run now
        self.sewad.configure(root={"lab": {"path": other}})
        self.sewad.hang_up()
        self.wait_names("lab.one")
        wait_until(lambda: [c["step"] for c in self.sewad.complete("lab.one")] == [5, 6, 7],
                   "the run is the directory of the new root")
        self.assertEqual(self.sewad.get("/api/v1/runs/lab.one")["path"],
                         os.path.join(other, "one"))

    def test_a_run_of_the_configuration_goes_before_a_directory(self):
        mine = {"lab.taken": self.scratch.join("mine"), "lab.new": self.scratch.join("yours")}
        for path in mine.values():
            toy_run(path, [42])
        os.mkdir(os.path.join(self.lab, "taken"))
        self.sewad.wait_complete("lab.one", 2)
        self.sewad.configure(run={name: {"path": path} for name, path in mine.items()})
        self.sewad.hang_up()
        toy_run(os.path.join(self.lab, "new"), [1, 2, 3])
        wait_until(lambda: "lab/new' is not watched" in self.sewad.log_text(),
                   "the directory is refused in the log")
        for name in mine:
            self.assertEqual([c["step"] for c in self.sewad.wait_complete(name, 1)], [42])
            self.assertEqual(self.sewad.get("/api/v1/runs/" + name)["origin"], "configuration")


if __name__ == "__main__":
    unittest.main(verbosity=2)
