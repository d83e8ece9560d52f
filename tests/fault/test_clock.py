"""clock - the system's clock is set to another time while a job runs."""
import time
import unittest

from outcomes import assert_same, outcome_of
from sewa import needs_failpoints
from test_workers import JOB, Workers

YEAR_S = 365 * 86400


@needs_failpoints
class ClockIsSet(Workers):
    def set_clock(self, seconds):
        self.scratch.write("clock", "%d\n" % (seconds * 1000))

    def set_up_clock(self):
        self.set_up(SEWA_FAILPOINT="clock=file:%s@1+" % self.scratch.join("clock"))

    def check(self, seconds):
        """How long a job has taken is what passed, whatever the clock says meanwhile."""
        self.set_up_clock()
        began = time.monotonic()
        uid, peace = self.hold()
        self.set_clock(seconds)
        self.assertIn(self.sewad.job(uid)["progress"]["eta_seconds"], (None, 0))
        self.open_gate()
        done = self.sewad.wait_job(uid)
        took = time.monotonic() - began
        self.assertGreater(done["result"]["cost"]["seconds"], 0)
        self.assertLess(done["result"]["cost"]["seconds"], took)
        assert_same(self, outcome_of(self.sewad, done), peace, "the clock was set")

    def test_back_by_a_year(self):
        self.check(-YEAR_S)

    def test_forward_by_a_year(self):
        self.check(YEAR_S)

    def test_back_and_a_restart(self):
        self.set_up_clock()
        uid, peace = self.hold()
        self.sewad.kill()
        self.set_clock(-YEAR_S)
        self.sewad.start()
        self.open_gate()
        done = self.sewad.wait_job(uid)
        self.assertGreater(done["result"]["cost"]["seconds"], 0)
        self.assertLess(done["result"]["cost"]["seconds"], YEAR_S / 1000)
        assert_same(self, outcome_of(self.sewad, done), peace, "set back and restarted")


if __name__ == "__main__":
    unittest.main(verbosity=2)
