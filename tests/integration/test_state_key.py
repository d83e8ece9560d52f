"""state_key - the key of a run changes: what was read with the old one is read again.

Each file holds two states of the same tensors, as trainers write them who keep an average of their
own; nothing but the key says which of them is meant.
"""
import os
import sqlite3
import unittest

import reference
import tensors
import torch_file
from sewa import ServiceTest, toy_evaluator, wait_until
from tensors import Tensor
from toys import toy_tensors

STEPS = (100, 200, 300)
KEYS = ("live", "ema")


class StateKey(ServiceTest):
    def setUp(self):
        super().setUp()
        self.directory = self.scratch.directory("lab", "run")
        self.plain = {key: [] for key in KEYS}  # the same numbers, for the definition
        for step in STEPS:
            states = {"live": toy_tensors(step), "ema": {
                n: Tensor(t.dtype, t.shape, [2 * v + 1 for v in t.values()])
                for n, t in toy_tensors(step).items()}}
            torch_file.write(os.path.join(self.directory, "step-%d.pt" % step),
                             {k: torch_file.state_dict(v) for k, v in states.items()})
            for key in KEYS:
                self.plain[key].append(self.scratch.join("%s-%d.safetensors" % (key, step)))
                tensors.write(self.plain[key][-1], states[key])

    def run_of(self, key):
        return {"r": {"path": self.directory, "state_key": key}}

    def watch(self, key, **options):
        self.sewad = self.service(dict({"run": self.run_of(key)}, **options))
        rows = self.sewad.wait_complete("r", len(STEPS))
        self.sewad.patch("/api/v1/checkpoints/" + rows[0]["id"], {"labels": {"mine": "1"}})
        return [row["id"] for row in rows]

    def assert_artifact(self, uid, key):
        path = self.scratch.write("average.safetensors", self.sewad.artifact(uid))
        ours, _ = tensors.read(path)
        self.assertEqual(reference.differences(ours, reference.average(self.plain[key])), "")

    def assert_key(self, ids, key):
        """The same checkpoints, with their labels, and all that is said and made is of this key."""
        rows = self.sewad.wait_complete("r", len(STEPS))
        self.assertEqual([row["id"] for row in rows], ids)
        self.assertEqual(rows[0]["labels"], {"mine": "1"})
        for uid in ids:
            table = self.sewad.get("/api/v1/checkpoints/%s/tensors" % uid)
            self.assertEqual(table["state_key"], key)
        self.assert_artifact(self.sewad.run_job(run="r", method="uniform")["id"], key)

    def times_said(self):
        return self.sewad.log_text().count("were read with another state_key")

    def test_a_reload(self):
        ids = self.watch("live")
        self.assert_key(ids, "live")
        self.sewad.configure(run=self.run_of("ema"))
        self.sewad.hang_up()
        wait_until(self.times_said, "the log says so")
        self.assertIn("run 'r': 3 checkpoints were read with another state_key than 'ema'",
                      self.sewad.log_text())
        self.assert_key(ids, "ema")
        self.sewad.hang_up()  # the same once more
        self.assert_key(ids, "ema")
        self.assertEqual(self.times_said(), 1)

    def test_a_restart(self):
        ids = self.watch("live")
        self.sewad.stop()
        self.sewad.configure(run=self.run_of("ema"))
        self.sewad.start()
        self.assert_key(ids, "ema")
        self.sewad.stop()
        self.sewad.start()
        self.assert_key(ids, "ema")
        self.assertEqual(self.times_said(), 1)

    def test_a_key_that_does_not_fit(self):
        ids = self.watch("live")
        self.sewad.configure(run=self.run_of("elsewhere"))
        self.sewad.hang_up()
        for step in STEPS:
            row = self.sewad.wait_file("r", "step-%d.pt" % step, "incomplete", word="'elsewhere'")
            self.assertIn(row["id"], ids)
        self.sewad.request("POST", "/api/v1/jobs", {"run": "r", "method": "uniform"}
                           ).problem(422, "no_candidates")
        self.sewad.request("POST", "/api/v1/jobs", {"checkpoints": ids, "method": "uniform"}
                           ).problem(422, "invalid", "is incomplete")
        self.sewad.configure(run=self.run_of("ema"))
        self.sewad.hang_up()
        self.assert_key(ids, "ema")

    def test_a_job_averages_what_it_was_accepted_for(self):
        gate = self.scratch.join("gate")
        ids = self.watch("live", evaluator={"toy": toy_evaluator({"gate": gate})})
        first = self.sewad.submit(run="r", method="best", evaluator="toy")
        self.sewad.wait_state(first["id"], "running")  # the only worker waits at the gate
        queued = self.sewad.submit(run="r", method="uniform")
        self.sewad.configure(run=self.run_of("ema"))
        self.sewad.hang_up()
        self.sewad.wait_complete("r", len(STEPS))
        self.assertEqual(self.sewad.job(queued["id"])["state"], "queued")
        self.scratch.write("gate", "")
        self.sewad.wait_job(first["id"])
        self.sewad.wait_job(queued["id"])
        self.assert_artifact(queued["id"], "live")
        self.assert_key(ids, "ema")

    def test_a_run_below_a_root(self):
        lab = os.path.dirname(self.directory)
        self.sewad = self.service({"root": {"lab": {"path": lab, "state_key": "live"}}})
        before = self.sewad.wait_complete("lab.run", len(STEPS))
        self.sewad.configure(root={"lab": {"path": lab, "state_key": "ema"}})
        self.sewad.hang_up()
        wait_until(self.times_said, "the log says so")
        after = self.sewad.wait_complete("lab.run", len(STEPS))
        self.assertEqual([row["id"] for row in after], [row["id"] for row in before])
        self.assert_artifact(self.sewad.run_job(run="lab.run", method="uniform")["id"], "ema")

    def test_a_run_that_was_made_over_http(self):
        self.sewad = self.service({"allowed_roots": [self.directory]})
        self.sewad.post("/api/v1/runs", {"name": "r", "path": self.directory, "state_key": "live"})
        ids = [row["id"] for row in self.sewad.wait_complete("r", len(STEPS))]
        self.sewad.patch("/api/v1/checkpoints/" + ids[0], {"labels": {"mine": "1"}})
        run = self.sewad.patch("/api/v1/runs/r", {"state_key": "ema"})
        # from the answer on, no job is planned on what was read with the old key
        self.assertEqual((run["state_key"], run["checkpoints"]["complete"]), ("ema", 0))
        self.assert_key(ids, "ema")
        self.assertEqual(self.times_said(), 1)

    def test_an_index_of_an_older_version(self):
        """It does not say which key was used, so what a key could matter for is read again."""
        self.watch("live", allowed_roots=[self.directory])
        self.sewad.post("/api/v1/runs", {"name": "s", "path": self.directory, "state_key": "ema"})
        before = {run: self.sewad.wait_complete(run, len(STEPS)) for run in "rs"}
        self.sewad.stop()
        self.database("DROP INDEX checkpoints_by_state")
        self.database("CREATE INDEX checkpoints_by_state "
                      "ON checkpoints (run_id, state, step_order, id)")
        for column in ("checkpoints DROP COLUMN state_key", "checkpoints DROP COLUMN step_unit",
                       "layouts DROP COLUMN unfit"):
            self.database("ALTER TABLE " + column)
        self.database("PRAGMA user_version = 1")
        self.sewad.start()
        for run, key in [("r", "live"), ("s", "ema")]:
            rows = self.sewad.wait_complete(run, len(STEPS))
            self.assertEqual([r["id"] for r in rows], [r["id"] for r in before[run]])
            self.assert_artifact(self.sewad.run_job(run=run, method="uniform")["id"], key)
        self.sewad.stop()
        self.assertEqual(self.database("SELECT DISTINCT state_key FROM checkpoints ORDER BY 1"),
                         [("ema",), ("live",)])

    def database(self, statement):
        """One statement, on a database that nobody else uses."""
        connection = sqlite3.connect(os.path.join(self.sewad.state, "sewad.db"))
        try:
            with connection:
                return connection.execute(statement).fetchall()
        finally:
            connection.close()


if __name__ == "__main__":
    unittest.main()
