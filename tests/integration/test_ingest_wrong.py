"""ingest_wrong - a file that is wrong is never admitted while it is, says why, and may become right.

Every row is one way in which a file in a watched directory can be wrong. It is put there first; then
its reason must show in the API, and no checkpoint; then a whole file of the same name takes its
place, and must be admitted.
"""
import json
import os
import struct
import time
import unittest

import tensors
from sewa import SharedServiceTest, wait_until
from tensors import Tensor, file_bytes, header_of, pack
from toys import toy_tensors

GOOD = file_bytes(toy_tensors(1))


def changed(change):
    """A good file whose header was changed: @change gets the object and returns what to write."""
    header, data = header_of(toy_tensors(1))
    return pack(change(header), data)


def with_tensor(**fields):
    return changed(lambda h: dict(h, w=dict(h["w"], **fields)))


def text(*replacements):
    """A good file with something replaced in the text of its header."""
    header, data = header_of(toy_tensors(1))
    line = json.dumps(header)
    for old, new in replacements:
        if old not in line:
            raise ValueError("%r is not in %r" % (old, line))
        line = line.replace(old, new, 1)
    return pack(line.encode(), data)


def doubled():
    line = json.dumps(header_of(toy_tensors(1))[0])
    return pack((line[:-1] + ', "w": ' + json.dumps({
        "dtype": "F32", "shape": [0], "data_offsets": [0, 0]}) + "}").encode(),
        header_of(toy_tensors(1))[1])


HEADER_LENGTH = struct.unpack("<Q", GOOD[:8])[0]

# name, bytes, code, a word of the reason
WRONG = [
    ("empty", b"", "incomplete", "0 bytes"),
    ("seven bytes", GOOD[:7], "incomplete", "7 bytes"),
    ("length only", GOOD[:8], "incomplete", "ends at byte 8"),
    ("half a header", GOOD[:8 + HEADER_LENGTH // 2], "incomplete", "its header at byte"),
    ("header only", GOOD[:8 + HEADER_LENGTH], "incomplete", "its header tells of"),
    ("half of the data", GOOD[:-30], "incomplete", "its header tells of"),
    ("one byte short", GOOD[:-1], "incomplete", "its header tells of %d" % len(GOOD)),
    ("zeros", b"\0" * len(GOOD), "incomplete", "zero"),
    ("last tensor past the end",
     changed(lambda h: dict(h, steps={"dtype": "I64", "shape": [1 << 37],
                                      "data_offsets": [60, 60 + (1 << 40)]})),
     "incomplete", "its header tells of"),
    ("a tail", GOOD + b"\0", "corrupt", "the file at %d" % (len(GOOD) + 1)),
    ("garbage", bytes(range(256)) * 4, "corrupt", "length field"),
    ("text", b"this is a text and no checkpoint at all, is it", "corrupt", "length field"),
    ("a pickle", b"\x80\x02}q\x00." + b"\0" * 64, "corrupt", "like a pickle"),
    ("header bomb", struct.pack("<Q", 1 << 62) + GOOD[8:], "corrupt", "4611686018427387904"),
    ("header over the limit", struct.pack("<Q", 100000001) + GOOD[8:], "corrupt", "100000000"),
    ("no object", pack(b"[1, 2]", b""), "corrupt", "expected '{'"),
    ("broken JSON", text(('"shape"', '"shape')), "corrupt", "expected ':'"),
    ("duplicate key", doubled(), "corrupt", "two tensors have the name 'w'"),
    ("overlap", changed(lambda h: dict(h, b=dict(h["b"], data_offsets=[44, 56]))), "corrupt",
     "goes on to"),
    ("hole at the beginning", with_tensor(data_offsets=[4, 52]), "corrupt", "belong to no tensor"),
    ("hole", changed(lambda h: dict(h, b=dict(h["b"], data_offsets=[52, 64]))), "corrupt",
     "belong to no tensor"),
    ("backwards", with_tensor(data_offsets=[48, 0]), "corrupt", "from 48 back to 0"),
    ("shape and span disagree", with_tensor(shape=[3, 5]), "corrupt", "needs 60 bytes"),
    ("negative shape", with_tensor(shape=[-3, -4]), "corrupt", "whole number"),
    ("shape that overflows", with_tensor(shape=[1 << 62, 1 << 62]), "corrupt", "no number"),
    ("shape with a fraction", text(("[3, 4]", "[3.0, 4]")), "corrupt", "whole number"),
    ("offset with an exponent", text(("[0, 48]", "[0, 48e0]")), "corrupt", "whole number"),
    ("no type", changed(lambda h: dict(h, w={"shape": [3, 4], "data_offsets": [0, 48]})),
     "corrupt", "lacks dtype"),
    ("metadata that is no text", changed(lambda h: dict(h, __metadata__={"step": 7})), "corrupt",
     "expected a string"),
    ("no UTF-8", GOOD.replace(b'"w"', b'"\xff"'), "corrupt", "UTF-8"),
    ("rank 17", with_tensor(shape=[12] + [1] * 16), "unsupported", "16 dimensions"),
    ("type that nobody knows", with_tensor(dtype="F33"), "unsupported", "'F33'"),
    ("an average of our own", file_bytes(toy_tensors(1), {"sewa.method": "lawa"}), "unsupported",
     "average"),
]


class WrongFiles(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.directory = cls.scratch.directory("runs")
        cls.sewad = cls.service({"allowed_roots": [cls.directory]})

    def run_for(self, name, **more):
        """A run of its own; its directory."""
        path = self.scratch.directory("runs", name)
        self.sewad.post("/api/v1/runs", dict({"name": name, "path": path}, **more))
        return path

    def states(self, run):
        return [c["state"] for c in self.sewad.checkpoints(run)]

    def test_each_wrong_file_waits_with_its_reason_and_becomes_right(self):
        path = self.run_for("wrong")
        files = {}
        for i, (name, content, _, _) in enumerate(WRONG):
            files[name] = "step-%d.safetensors" % i
            tensors.place(os.path.join(path, files[name]), content)
        rows = {}
        for name, _, code, word in WRONG:
            with self.subTest(name=name):
                rows[name] = self.sewad.wait_file("wrong", files[name], "incomplete", code, word)
                self.assertIsNone(rows[name]["evidence"])
        scans = self.sewad.get("/api/v1/runs/wrong")["scan"]["scans"]
        wait_until(lambda: self.sewad.get("/api/v1/runs/wrong")["scan"]["scans"] > scans + 1,
                   "two more scans")
        self.assertEqual(self.states("wrong"), ["incomplete"] * len(WRONG))
        for name, _, _, _ in WRONG:
            tensors.place(os.path.join(path, files[name]), GOOD)
        for name, _, _, _ in WRONG:
            with self.subTest(name=name, right=True):
                row = self.sewad.wait_file("wrong", files[name], "complete")
                self.assertEqual(row["id"], rows[name]["id"])
                self.assertIsNone(row["reason"])
        self.assertEqual(self.states("wrong"), ["complete"] * len(WRONG))

    def test_a_job_does_not_see_what_is_wrong(self):
        path = self.run_for("half")
        tensors.place(os.path.join(path, "step-1.safetensors"), GOOD)
        tensors.place(os.path.join(path, "step-2.safetensors"), GOOD[:-1])
        self.sewad.wait_file("half", "step-2.safetensors", "incomplete", "incomplete", "tells of")
        job = self.sewad.run_job(run="half", method="last")
        self.assertEqual([s["step"] for s in job["result"]["selected"]], [1])
        uid = next(c["id"] for c in self.sewad.checkpoints("half") if c["step"] == 2)
        self.sewad.request("POST", "/api/v1/jobs", {"checkpoints": [uid], "method": "last"}).problem(
            422, "invalid", "incomplete", "step-2")

    def test_a_file_that_grows_under_its_final_name(self):
        path = os.path.join(self.run_for("growing"), "step-1.safetensors")
        with open(path, "wb", buffering=0) as file:
            for i in range(0, len(GOOD), 40):
                file.write(GOOD[i:i + 40])
                self.sewad.request("GET", "/healthz").expect(200)
                if i + 40 < len(GOOD):
                    self.assertNotIn("complete", self.states("growing"))
                    time.sleep(0.01)  # looks fall between the writes, not on a condition
        self.sewad.wait_file("growing", "step-1.safetensors", "complete")

    def test_a_whole_file_waits_until_it_is_settled(self):
        path = self.run_for("patient", settle_seconds=3600)
        tensors.place(os.path.join(path, "step-1.safetensors"), GOOD)
        self.sewad.wait_file("patient", "step-1.safetensors", "incomplete", "settling",
                             "3600 seconds")

    def test_preallocated_and_filled_in_place_needs_its_marker(self):
        path = self.run_for("marked", marker="{name}.done")
        file = os.path.join(path, "step-1.safetensors")
        whole = file_bytes({"w": Tensor("F32", [1000], [0.5] * 1000)})
        header = len(whole) - 4000
        # the header first, the data still zeros: by its structure it is whole
        tensors.place(file, whole[:header] + b"\0" * 4000)
        self.sewad.wait_file("marked", "step-1.safetensors", "incomplete", "incomplete",
                             "'step-1.safetensors.done' is not there")
        with open(file, "r+b") as out:
            out.seek(header)
            out.write(whole[header:])
        scans = self.sewad.get("/api/v1/runs/marked")["scan"]["scans"]
        wait_until(lambda: self.sewad.get("/api/v1/runs/marked")["scan"]["scans"] > scans + 1,
                   "two more scans")
        self.assertEqual(self.states("marked"), ["incomplete"])
        self.scratch.write("runs/marked/step-1.safetensors.done", "")
        row = self.sewad.wait_file("marked", "step-1.safetensors", "complete")
        self.assertEqual(row["evidence"]["rule"], "marker")
        # the next one of the name waits for the next marker
        tensors.place(file, file_bytes({"w": Tensor("F32", [1000], [0.0] * 1000)}))
        row = self.sewad.wait_file("marked", "step-1.safetensors", "incomplete", "incomplete",
                                   "marker")
        os.unlink(file + ".done")
        self.scratch.write("runs/marked/step-1.safetensors.done", "")
        again = self.sewad.wait_file("marked", "step-1.safetensors", "complete")
        self.assertEqual(again["id"], row["id"])
        self.assertEqual(sorted(self.states("marked")), ["changed", "complete"])

    def test_a_marker_does_not_make_a_broken_file_right(self):
        path = self.run_for("lies", marker="{stem}.ok")
        self.scratch.write("runs/lies/step-1.ok", "")
        tensors.place(os.path.join(path, "step-1.safetensors"), GOOD[:-1])
        self.sewad.wait_file("lies", "step-1.safetensors", "incomplete", "incomplete")
        tensors.place(os.path.join(path, "step-1.safetensors"), GOOD)
        self.sewad.wait_file("lies", "step-1.safetensors", "complete")

    def test_the_directory_of_our_own_averages_is_no_run(self):
        self.sewad.configure(allowed_roots=[self.directory, self.sewad.state])
        self.sewad.hang_up()
        self.sewad.post("/api/v1/runs", {"name": "ours",
                                         "path": os.path.join(self.sewad.state, "artifacts")})
        error = wait_until(lambda: self.sewad.get("/api/v1/runs/ours")["scan"]["error"],
                           "the run says what is wrong")
        self.assertIn("averages", error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
