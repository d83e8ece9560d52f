"""sweep - a start removes what nobody owns from the directories of averages and logs, and only that."""
import os
import unittest

from sewa import ServiceTest, needs_failpoints, toy_evaluator, wait_until
from toys import toy_service

JOBS = "/api/v1/jobs"
NOBODY = "job_01M80RZV076AQ7VDGFJNS8N6Y0"


class Sweep(ServiceTest):
    def path(self, *parts):
        return os.path.join(self.sewad.state, *parts)

    def plant(self, *parts, folder=False):
        """Something of this name, made by hand."""
        path = self.path(*parts)
        if folder:
            os.makedirs(path, exist_ok=True)
            path = os.path.join(path, "model.safetensors")
        with open(path, "a", encoding="ascii") as file:
            file.write("planted\n")

    def entries(self):
        return {os.path.join(place, name) for place in ("artifacts", "jobs")
                for name in os.listdir(self.path(place))}

    def test_what_nobody_owns_and_only_that(self):
        gate = self.scratch.join("gate")
        self.addCleanup(self.scratch.write, "gate", "")
        self.sewad = toy_service(self, {"bad": toy_evaluator({"fault": "exit_at_start"}),
                                        "slow": toy_evaluator({"gate": gate, "say": ["hello"]})})
        done = self.sewad.run_job(run="toy", method="uniform")["id"]
        failed = self.sewad.fail_job("evaluator_start", run="toy", evaluator="bad",
                                     method="best")["id"]
        deleted = self.sewad.run_job(run="toy", method="last")["id"]
        self.sewad.request("DELETE", "%s/%s" % (JOBS, deleted)).expect(204)
        running = self.sewad.submit(run="toy", evaluator="slow", method="best")["id"]
        self.sewad.wait_state(running, "running")
        wait_until(lambda: "jobs/%s.log" % running in self.entries(), "it has a log")
        wait_until(lambda: not [n for n in self.entries() if deleted in n], "they are gone")
        owned = self.entries()
        self.assertIn("artifacts/" + done, owned)
        self.assertIn("jobs/%s.log" % failed, owned)
        self.sewad.kill()
        for name in (NOBODY, failed, deleted, ".%s.1.partial" % NOBODY, ".%s.7.partial" % done,
                     ".%s.1.partial" % failed):
            self.plant("artifacts", name, folder=True)
        for uid in (NOBODY, deleted):
            self.plant("jobs", uid + ".log")
        foreign = {"artifacts/notes.txt", "artifacts/.hidden", "artifacts/job_of_mine",
                   "artifacts/.%s.partial" % NOBODY, "artifacts/.%s.x.partial" % NOBODY,
                   "artifacts/.%s.1.partial.old" % NOBODY, "artifacts/.%s..partial" % NOBODY,
                   "artifacts/%s.old" % NOBODY,
                   "jobs/notes.log", "jobs/job_of_mine.log", "jobs/%s.log.old" % NOBODY,
                   "jobs/" + NOBODY,
                   # of a job that goes on
                   "artifacts/.%s.1.partial" % running}
        for name in foreign:
            self.plant(*name.split("/"))
        self.sewad.start()
        self.assertEqual(self.entries(), owned | foreign)
        with open(self.path("artifacts", done, "manifest.json"), encoding="utf-8") as file:
            self.assertIn(done, file.read())
        self.scratch.write("gate", "")
        self.sewad.wait_job(running)

    @needs_failpoints
    def test_folders_of_lost_attempts_go_with_their_job(self):
        """Without looking through the folders of all others."""
        for last in ("succeeded", "cancelled"):
            with self.subTest(last=last):
                self.sewad = toy_service(self)
                self.sewad.stop()
                self.sewad.start(SEWA_FAILPOINT="outfile_before_rename=sleep:600000")
                self.plant("artifacts", ".%s.1.partial" % NOBODY, folder=True)
                uid = self.sewad.submit(run="toy", method="uniform")["id"]
                wait_until(lambda u=uid: [n for n in self.entries() if ".%s.1." % u in n],
                           "the first attempt writes")
                self.sewad.kill()
                self.scratch.kill_processes()
                if last == "succeeded":
                    self.sewad.start()
                    self.sewad.wait_job(uid)
                else:
                    self.sewad.start(SEWA_FAILPOINT="outfile_before_rename=sleep:600000")
                    self.plant("artifacts", ".%s.1.partial" % NOBODY, folder=True)
                    wait_until(lambda u=uid: [n for n in self.entries() if ".%s.2." % u in n],
                               "the second attempt writes")
                    self.sewad.request("POST", "%s/%s/cancel" % (JOBS, uid), {}).expect(202)
                    self.sewad.wait_job(uid, "cancelled")
                wait_until(lambda u=uid: not [n for n in self.entries() if ".%s." % u in n],
                           "no attempt is left")
                self.assertEqual("artifacts/" + uid in self.entries(), last == "succeeded")
                # that of nobody is the next start's, not a job's
                self.assertEqual("artifacts/.%s.1.partial" % NOBODY in self.entries(),
                                 last == "cancelled")
                self.sewad.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
