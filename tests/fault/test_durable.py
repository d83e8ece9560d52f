"""durable - what a power cut would leave of an average that was published or fetched.

The programs run with record_io.so before their C library; the record of what they did is played
through a model of a disk that keeps nothing but what was synced: bytes of files, and names in
directories.
"""
import os
import subprocess
import unittest

from sewa import SANITIZED, ServiceTest, binary
from toys import toy_service

RECORDER = os.environ.get("SEWA_RECORD_IO", "")


class Disk:
    """Files with bytes and directories with names that are not on the disk yet."""

    def __init__(self):
        self.unwritten = set()  # files
        self.unnamed = set()    # paths whose name is not in its directory
        self.owed = {}          # path -> the program that renamed it and has to sync its directory
        self.complaints = []

    def play(self, program, what, path, to):
        if what == "create":
            self.unnamed.add(path)
        elif what == "write":
            self.unwritten.add(path)
        elif what == "sync":
            self.unwritten.discard(path)
            self.unnamed = {p for p in self.unnamed if os.path.dirname(p) != path}
            self.owed = {p: by for p, by in self.owed.items()
                         if os.path.dirname(p) != path or by != program}
        else:
            self.rename(program, path, to)

    def rename(self, program, path, to):
        inside = path + "/"
        for p in sorted(self.unwritten):
            if p == path or p.startswith(inside):
                self.complaints.append("%s renames '%s' before it has synced '%s'"
                                       % (program, path, p))
        for p in sorted(self.unnamed):
            if p.startswith(inside):
                self.complaints.append("%s renames '%s' before it has synced the directory of '%s'"
                                       % (program, path, p))
        self.unnamed.discard(path)
        self.unnamed.add(to)
        self.owed = {to + p[len(path):] if p.startswith(inside) else p: by
                     for p, by in self.owed.items()}
        self.owed[to] = program

    def judge(self, test, path):
        """Everything at and below this path would be there."""
        def here(paths):
            return sorted(p for p in paths if p == path or p.startswith(path + "/"))
        test.assertEqual(self.complaints, [])
        test.assertEqual(here(self.unwritten), [], "bytes that were never synced")
        test.assertEqual(here(self.unnamed), [], "names whose directory was never synced")
        test.assertEqual({p: self.owed[p] for p in here(self.owed)}, {},
                         "whoever renames has to sync the directory")


@unittest.skipIf(SANITIZED, "a sanitizer has to come first in a process")
class Durable(ServiceTest):
    def setUp(self):
        super().setUp()
        self.record = self.scratch.join("record")
        self.preloaded = {"LD_PRELOAD": RECORDER, "IO_RECORD": self.record}

    def events(self):
        with open(self.record, encoding="utf-8", errors="surrogateescape") as file:
            return [tuple(line.rstrip("\n").split("\t")) for line in file]

    def play(self, events):
        disk = Disk()
        for event in events:
            disk.play(*event)
        return disk

    def publish(self, **job):
        sewad = toy_service(self, **self.preloaded)
        return sewad, sewad.run_job(run="toy", method="uniform", **job)

    def check_published(self, files, **job):
        sewad, done = self.publish(**job)
        folder = os.path.join(sewad.state, "artifacts", done["id"])
        events = self.events()
        self.assertEqual(sorted(os.listdir(folder)), files)
        for name in files:
            renamed = [e for e in events if e[1] == "rename" and
                       os.path.basename(e[3]) == name]
            self.assertEqual(len(renamed), 1, "%s: %r" % (name, renamed))
        self.play(events).judge(self, folder)
        # and only then the row: what it says is there
        place = next(i for i, e in enumerate(events) if e[1] == "rename" and e[3] == folder)
        named = next(i for i, e in enumerate(events)
                     if i > place and e[1:3] == ("sync", os.path.dirname(folder)))
        wal = os.path.join(sewad.state, "sewad.db-wal")
        self.assertIn(("sewad", "sync", wal, ""), events[named:])

    def test_a_published_average(self):
        self.check_published(["manifest.json", "model.safetensors"])

    def test_a_published_average_in_shards(self):
        shards = ["model-%05d-of-00003.safetensors" % (i + 1) for i in range(3)]
        self.check_published(["manifest.json", *shards, "model.safetensors.index.json"],
                             output={"max_shard_bytes": 40})

    def test_the_database_itself(self):
        sewad = toy_service(self, **self.preloaded)
        events = self.events()
        self.play(events).judge(self, os.path.join(sewad.state, "sewad.db"))

    def test_a_fetched_average(self):
        sewad = toy_service(self)
        done = sewad.run_job(run="toy", method="uniform")
        target = self.scratch.join("fetched.safetensors")
        environment = self.scratch.environment(SEWA_URL="http://" + sewad.address,
                                               HOME=self.scratch.path, **self.preloaded)
        subprocess.run([binary("sewactl"), "job", "pull", done["id"], "-O", target], check=True,
                       env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        events = self.events()
        self.assertEqual([e[3] for e in events if e[1] == "rename"], [target])
        self.assertTrue([e for e in events if e[1] == "write"])
        self.play(events).judge(self, target)


if __name__ == "__main__":
    unittest.main(verbosity=2)
