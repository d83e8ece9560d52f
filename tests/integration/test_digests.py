"""digests - the SHA-256 of what was averaged: of the bytes that this job has read, and no others."""
import hashlib
import os
import unittest

from sewa import ServiceTest
from toys import toy_service

JOBS = "/api/v1/jobs"


class Digests(ServiceTest):
    def setUp(self):
        super().setUp()
        self.sewad = toy_service(self)
        self.path = self.scratch.join("toy", "step-600.safetensors")

    def digest(self):
        with open(self.path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def replace(self):
        """Other bytes under the same size, time and header."""
        before = os.stat(self.path)
        with open(self.path, "r+b") as file:
            file.seek(-4, os.SEEK_END)
            last = file.read(4)
            file.seek(-4, os.SEEK_END)
            file.write(bytes(b ^ 1 for b in last))
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def row(self):
        return next(c for c in self.sewad.complete("toy") if c["step"] == 600)

    def ingredients(self, **job):
        job = self.sewad.run_job(run="toy", method="last", **job)
        path = "%s/%s/artifacts/manifest.json" % (JOBS, job["id"])
        return [i["sha256"] for i in self.sewad.get(path)["ingredients"]]

    def test_a_manifest_names_what_this_job_has_read(self):
        first = self.digest()
        self.assertEqual(self.ingredients(digests=True), [first])
        self.assertEqual(self.row()["sha256"], first)
        # the index remembers one, but this job does not look
        self.assertEqual(self.ingredients(), [None])
        self.assertEqual(self.ingredients(digests=True), [first])

    def test_other_bytes_under_the_same_size_time_and_header(self):
        self.ingredients(digests=True)
        first, checkpoint = self.digest(), self.row()["id"]
        self.replace()
        self.assertNotEqual(self.digest(), first)
        self.assertEqual(self.ingredients(), [None])
        for _ in range(2):  # it is no new entry in the index either
            failed = self.sewad.fail_job("changed", checkpoint, first, self.digest(),
                                         run="toy", method="last", digests=True)
            self.assertEqual(failed["artifacts"], [])
            self.assertEqual(self.row()["sha256"], first)
        # who writes the file anew gives it another identity
        os.utime(self.path)
        self.sewad.wait_file("toy", os.path.basename(self.path), "changed")
        self.sewad.wait_complete("toy", 6)
        self.assertEqual(self.ingredients(digests=True), [self.digest()])


if __name__ == "__main__":
    unittest.main(verbosity=2)
