"""vanish - very many files that vanish at once are written in slices: others write in between, and
what waits for the disk is bounded."""
import os
import sqlite3
import unittest

from sewa import ServiceTest, needs_failpoints, wait_until
from toys import toy_run

COUNT = 20000


@needs_failpoints
class Vanish(ServiceTest):
    def fill(self):
        """The index knows as many checkpoints more as there are no files."""
        columns = ["uid", "run_id", "file", "step", "step_unit", "state", "size", "mtime_ns",
                   "header_digest", "layout_id", "discovered_ms", "completed_ms", "updated_ms"]
        connection = sqlite3.connect(os.path.join(self.sewad.state, "sewad.db"))
        with connection:
            row = connection.execute("SELECT %s FROM checkpoints" % ", ".join(columns)).fetchone()
            rows = (("ckpt_%026d" % i, row[1], b"step-%d.safetensors" % i, i) + row[4:]
                    for i in range(2, COUNT + 2))
            connection.executemany("INSERT INTO checkpoints (%s) VALUES (%s)" % (
                ", ".join(columns), ", ".join("?" * len(columns))), rows)
        connection.close()

    def gone(self):
        return self.sewad.get("/api/v1/runs/toy")["checkpoints"]["gone"]

    def test_others_write_in_between(self):
        toy_run(self.scratch.join("toy"), [1])
        self.sewad = self.service({"run": {"toy": {"path": self.scratch.join("toy")}},
                                   "scan_interval_seconds": 1})
        self.sewad.wait_complete("toy", 1)
        self.sewad.stop()
        self.fill()
        self.sewad.start(SEWA_FAILPOINT="store_before_commit=sleep:200@1+")
        wait_until(self.gone, "the first of them are gone")
        self.sewad.patch("/api/v1/runs/toy", {"labels": {"still": "there"}})
        self.assertLess(self.gone(), COUNT)  # nobody has waited for all of them
        longest = 0
        while self.gone() < COUNT:
            longest = max(longest, self.sewad.metric("sewa_store_queue"))
        self.assertLess(longest, 64)  # batches of 64 changes: they would be more than 300
        self.assertEqual([c["step"] for c in self.sewad.complete("toy")], [1])


if __name__ == "__main__":
    unittest.main()
