"""tour - libsewa in a C program, against a real sewad: what it reads is what the service says."""
import datetime
import os
import subprocess
import unittest

from scratch import DEADLINE_S
from sewa import ServiceTest, toy_evaluator
from toys import toy_service


class Tour(ServiceTest):
    def test_what_a_program_sees(self):
        gate = self.scratch.join("gate")
        self.addCleanup(self.scratch.write, "gate", "")  # a worker may wait for it
        sewad = toy_service(self, {"slow": toy_evaluator({"gate": gate}, timeout_seconds=77)})
        done = subprocess.run([os.environ["SEWA_TOUR"], "http://" + sewad.address, "toy", "slow",
                               gate], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              universal_newlines=True, timeout=4 * DEADLINE_S,
                              env=self.scratch.environment())
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        lines = done.stdout.splitlines()
        run = sewad.get("/api/v1/runs/toy")
        self.assertEqual(run["labels"], {"c": "d"})
        created = datetime.datetime.strptime(run["created_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
        milliseconds = (created - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)
        job = sewad.get("/api/v1/jobs")["items"][0]
        artifacts = ["artifact %s %d %s" % (a["name"], a["size"], a["sha256"])
                     for a in job["artifacts"]]
        self.assertEqual(len(artifacts), 2)
        rows = sewad.trace(job["id"])["items"]
        self.assertEqual(lines, [
            "answers 20 20",
            "labels 2",
            "label c=d",
            "created %d" % milliseconds,
            "refused unknown_field at '/nonsense'",
            "refused not_found",
            "evaluator slow 2 words, 77 s",
            "method sewa needs losses, select 10",
            *("%s %s %s %g %g %d" % (p["name"], p["type"], p["default"],
                                     p.get("minimum", float("nan")), p.get("maximum", float("nan")),
                                     len(p.get("enum", ())))
              for p in sewad.get("/api/v1/methods/sewa")["params"]),
            "refused not_found",
            "job " + job["id"],
            "at once timeout",
            "changes seen",
            "after the end 0",
            "finally succeeded, 3 selected",
            "trace %d rows of 6 candidates, the last one %d with %d probabilities" % (
                len(rows), rows[-1]["iteration"], len(rows[-1]["probabilities"])),
            *artifacts,
            "refreshed succeeded"])


if __name__ == "__main__":
    unittest.main()
