"""artifacts - what a job leaves: files, ranges, manifest, metadata, trace."""
import base64
import csv
import hashlib
import http.client
import io
import json
import math
import os
import unittest

import tensors
from sewa import SharedServiceTest, toy_evaluator
from toys import STEPS, toy_service

JOBS = "/api/v1/jobs"


class Artifacts(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.sewad = toy_service(cls, {"toy": toy_evaluator()}, size=4000)
        cls.job = cls.sewad.run_job(run="toy", evaluator="toy", select=3, seed=5,
                                    labels={"a": "b"}, params={"iterations": 12, "samples": 2})
        cls.path = "%s/%s/artifacts/model.safetensors" % (JOBS, cls.job["id"])
        cls.content = cls.sewad.artifact(cls.job["id"])
        cls.sha256 = hashlib.sha256(cls.content).hexdigest()
        cls.etag = '"sha256-%s"' % cls.sha256

    def ask(self, method="GET", **headers):
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.sewad.request(method, self.path, None, names)

    def test_the_list(self):
        listed = self.sewad.get(JOBS + "/" + self.job["id"] + "/artifacts")
        self.assertIsNone(listed["next_page_token"])
        self.assertEqual(listed["items"], self.job["artifacts"])
        by_name = {a["name"]: a for a in listed["items"]}
        self.assertEqual(sorted(by_name), ["manifest.json", "model.safetensors"])
        for name, artifact in by_name.items():
            body = self.sewad.request("GET", artifact["href"]).expect(200).body
            self.assertEqual((artifact["size"], artifact["sha256"]),
                             (len(body), hashlib.sha256(body).hexdigest()), name)
            path = os.path.join(self.sewad.state, "artifacts", self.job["id"], name)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), body)

    def test_headers(self):
        reply = self.ask().expect(200)
        digest = base64.b64encode(bytes.fromhex(self.sha256)).decode()
        for name, expected in [
            ("ETag", self.etag), ("Repr-Digest", "sha-256=:%s:" % digest),
            ("Accept-Ranges", "bytes"), ("Content-Length", str(len(self.content))),
            ("Content-Type", "application/vnd.safetensors"),
            ("Content-Disposition",
             'attachment; filename="%s-model.safetensors"' % self.job["id"]),
        ]:
            with self.subTest(name=name):
                self.assertEqual(reply.headers[name], expected)
        head = self.ask("HEAD").expect(200)
        self.assertEqual(head.body, b"")
        for name in ("ETag", "Repr-Digest", "Content-Length", "Content-Type", "Accept-Ranges"):
            self.assertEqual(head.headers[name], reply.headers[name], name)

    def test_ranges(self):
        n = len(self.content)
        for text, first, end in [
            ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=100-", 100, n),
            ("bytes=-7", n - 7, n), ("bytes=-%d" % (n + 50), 0, n), ("bytes=5-%d" % (2 * n), 5, n),
            ("bytes=%d-%d" % (n - 1, n - 1), n - 1, n), ("bytes=0-", 0, n),
        ]:
            with self.subTest(range=text):
                reply = self.ask(Range=text).expect(206)
                self.assertEqual(reply.body, self.content[first:end])
                self.assertEqual(reply.headers["Content-Range"],
                                 "bytes %d-%d/%d" % (first, end - 1, n))
                self.assertEqual(reply.headers["ETag"], self.etag)
                head = self.ask("HEAD", Range=text)
                self.assertIn(head.status, (200, 206))
                self.assertEqual(head.body, b"")

    def test_ranges_that_are_ignored_or_refused(self):
        n = len(self.content)
        for text in ("bytes=9-3", "bytes=a-b", "bytes=-", "bytes=", "items=0-5", "bytes 0-5",
                     "bytes=0-1,5-6", "bytes=0-99999999999999999999", "bytes=--5"):
            with self.subTest(range=text):
                reply = self.ask(Range=text)
                self.assertIn(reply.status, (200, 206, 416), reply)
                if reply.status == 200:
                    self.assertEqual(reply.body, self.content)
        for text in ("bytes=%d-" % n, "bytes=%d-%d" % (n + 5, n + 9), "bytes=-0"):
            with self.subTest(range=text):
                reply = self.ask(Range=text)
                reply.problem(416, "range_not_satisfiable")
                self.assertEqual(reply.headers["Content-Range"], "bytes */%d" % n)

    def test_conditions(self):
        same = self.ask(If_None_Match=self.etag).expect(304)
        self.assertEqual((same.body, same.headers["Content-Length"]), (b"", None))
        self.assertEqual(self.ask(If_None_Match='"other"').expect(200).body, self.content)
        part = self.ask(Range="bytes=3-5", If_Range=self.etag).expect(206)
        self.assertEqual(part.body, self.content[3:6])
        # another version: the whole of this one
        whole = self.ask(Range="bytes=3-5", If_Range='"other"').expect(200)
        self.assertEqual(whole.body, self.content)

    def test_pieces_make_the_whole(self):
        pieces, at = [], 0
        while at < len(self.content):
            reply = self.ask(Range="bytes=%d-%d" % (at, at + 999), If_Range=self.etag).expect(206)
            pieces.append(reply.body)
            at += len(reply.body)
        self.assertEqual(b"".join(pieces), self.content)

    def test_a_download_that_is_broken_off_harms_nobody(self):
        for _ in range(5):
            connection = http.client.HTTPConnection(self.sewad.address, timeout=30)
            connection.request("GET", self.path)
            connection.getresponse().read(10)
            connection.close()
        self.assertEqual(self.ask().expect(200).body, self.content)

    def test_names_that_are_none(self):
        base = JOBS + "/" + self.job["id"] + "/artifacts/"
        for name in ("nothing", "model.safetensors.bak", "..%2f..%2fsewad.db", "%2e%2e",
                     "model.safetensors%00", "."):
            with self.subTest(name=name):
                reply = self.sewad.request("GET", base + name)
                self.assertIn(reply.status, (400, 404), reply)
        self.sewad.request("GET", base + "nothing").problem(404, "not_found", "nothing")

    def test_a_file_that_somebody_changed_is_not_served(self):
        job = self.sewad.run_job(run="toy", method="last")
        path = os.path.join(self.sewad.state, "artifacts", job["id"], "model.safetensors")
        with open(path, "ab") as file:
            file.write(b"x")
        self.sewad.request("GET", "%s/%s/artifacts/model.safetensors" % (JOBS, job["id"])).problem(
            409, "changed", "model.safetensors")
        os.unlink(path)
        self.sewad.request("GET", "%s/%s/artifacts/model.safetensors" % (JOBS, job["id"])).problem(
            500, "io", "model.safetensors")
        self.ask().expect(200)

    def test_the_manifest_lists_exactly_what_was_averaged(self):
        manifest = json.loads(self.sewad.artifact(self.job["id"], "manifest.json"))
        result, rows = self.job["result"], {c["id"]: c for c in self.sewad.complete("toy")}
        self.assertEqual(manifest["tool"]["name"], "sewad")
        self.assertEqual(manifest["tool"]["version"], self.sewad.get("/version")["version"])
        for name, expected in [("job", self.job["id"]), ("run", "toy"), ("method", "sewa"),
                               ("seed", 5), ("candidates", 6), ("loss", result["loss"]),
                               ("metrics", result["metrics"]), ("verdict", result["verdict"]),
                               ("verdict_detail", result["verdict_detail"]),
                               ("baselines", result["baselines"])]:
            with self.subTest(name=name):
                self.assertEqual(manifest[name], expected)
        self.assertEqual(manifest["params"]["iterations"], 12)
        self.assertEqual(manifest["params"]["temperature"], 0.5)
        self.assertEqual(manifest["artifacts"], [{"name": "model.safetensors",
                                                  "size": len(self.content),
                                                  "sha256": self.sha256}])
        self.assertEqual(manifest["evaluator"]["name"], "toy")
        command = json.dumps(toy_evaluator()["command"], separators=(",", ":"))
        self.assertEqual(manifest["evaluator"]["command_sha256"],
                         hashlib.sha256(command.encode()).hexdigest())
        self.assertEqual(len(manifest["ingredients"]), 3)
        for ingredient, selected in zip(manifest["ingredients"], result["selected"]):
            row = rows[ingredient["checkpoint"]]
            self.assertEqual(ingredient["checkpoint"], selected["checkpoint"])
            self.assertEqual(ingredient["probability"], selected["probability"])
            self.assertEqual(ingredient["weight"], 1 / 3)
            for field in ("run", "step", "path", "size", "mtime_ns", "header_digest", "sha256"):
                self.assertEqual(ingredient[field], row[field], field)

    def test_the_metadata_says_the_same_in_short(self):
        ours, metadata = tensors.parse(self.content)
        self.assertEqual(sorted(ours), ["b", "steps", "w"])
        result = self.job["result"]
        for name, expected in [
            ("sewa.run", "toy"), ("sewa.method", "sewa"), ("sewa.seed", "5"),
            ("sewa.candidates", "6"), ("sewa.evaluator", "toy"),
            ("sewa.verdict", result["verdict"]),
            ("sewa.version", self.sewad.get("/version")["version"]),
        ]:
            with self.subTest(name=name):
                self.assertEqual(metadata[name], expected)
        self.assertEqual(json.loads(metadata["sewa.loss"]), result["loss"])
        self.assertEqual(json.loads(metadata["sewa.params"])["samples"], 2)
        ingredients = json.loads(metadata["sewa.ingredients"])
        self.assertEqual([i["step"] for i in ingredients],
                         [s["step"] for s in result["selected"]])
        self.assertEqual([i["file"] for i in ingredients],
                         ["step-%d.safetensors" % s["step"] for s in result["selected"]])

    def test_the_tool_that_trainers_use_can_read_it(self):
        """The rules of the format, checked without our reader."""
        n = int.from_bytes(self.content[:8], "little")
        header = json.loads(self.content[8:8 + n])
        header.pop("__metadata__")
        end = 0
        for tensor in sorted(header.values(), key=lambda t: t["data_offsets"]):
            self.assertEqual(tensor["data_offsets"][0], end)
            end = tensor["data_offsets"][1]
        self.assertEqual(8 + n + end, len(self.content))
        self.assertEqual((8 + n) % 8, 0)


class Traces(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.sewad = toy_service(cls, {"toy": toy_evaluator()})
        cls.job = cls.sewad.run_job(run="toy", evaluator="toy", select=2, params={
            "iterations": 21, "temperature": {"start": 1, "end": 0.1, "schedule": "linear"}})
        cls.path = JOBS + "/" + cls.job["id"] + "/trace"

    def test_json(self):
        trace = self.sewad.get(self.path)
        self.assertEqual(trace["job"], self.job["id"])
        self.assertEqual([c["step"] for c in trace["candidates"]], STEPS)
        self.assertEqual([t["iteration"] for t in trace["items"]], list(range(21)))
        for t in trace["items"]:
            s = t["probabilities"]
            self.assertEqual(len(s), 6)
            self.assertAlmostEqual(sum(s), 2.0, places=4)  # the capped simplex: sum s = K
            self.assertAlmostEqual(t["min"], min(s))
            self.assertAlmostEqual(t["max"], max(s))
            self.assertAlmostEqual(t["mean"], sum(s) / 6)
            self.assertAlmostEqual(t["spread"], sum(p * (1 - p) for p in s))
            self.assertAlmostEqual(t["entropy"], -sum(
                q * math.log(q) for p in s for q in (p, 1 - p)))
            self.assertEqual(t["dropped"], 0)
            self.assertGreater(t["loss"], 0)
        temperatures = [t["temperature"] for t in trace["items"]]
        self.assertAlmostEqual(temperatures[0], 1.0)
        self.assertAlmostEqual(temperatures[-1], 0.1)
        self.assertEqual(temperatures, sorted(temperatures, reverse=True))
        last = dict(zip(STEPS, trace["items"][-1]["probabilities"]))
        for selected in self.job["result"]["selected"]:
            self.assertAlmostEqual(selected["probability"], last[selected["step"]], places=6)

    def test_fewer_points(self):
        everything = [t["iteration"] for t in self.sewad.get(self.path)["items"]]
        for most in (1, 2, 3, 5, 20, 21, 1000):
            with self.subTest(most=most):
                some = [t["iteration"] for t in self.sewad.get(self.path, max_points=most)["items"]]
                self.assertLessEqual(len(some), most)
                self.assertLessEqual(set(some), set(everything))
                self.assertEqual(some[-1], 20)  # the last one is what counts
                if most > 1:
                    self.assertEqual(some[0], 0)
        for bad in (0, -1, "all"):
            self.sewad.request("GET", self.path, max_points=bad).problem(422, "invalid",
                                                                         "max_points")

    def test_csv(self):
        reply = self.sewad.request("GET", self.path, None, {"Accept": "text/csv"}).expect(200)
        self.assertEqual(reply.headers["Content-Type"], "text/csv; charset=utf-8")
        rows = list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))
        items = self.sewad.get(self.path)["items"]
        self.assertEqual(len(rows), len(items))
        for row, item in zip(rows, items):
            self.assertEqual(int(row["iteration"]), item["iteration"])
            for name in ("loss", "temperature", "learning_rate", "min", "max", "mean", "entropy"):
                self.assertAlmostEqual(float(row[name]), item[name], delta=abs(item[name]) * 1e-6)
            ours = [float(row["step_%d" % s]) for s in STEPS]
            for a, b in zip(ours, item["probabilities"]):
                self.assertAlmostEqual(a, b, places=6)

    def test_jobs_without_iterations(self):
        for fields in ({"method": "last"}, {"method": "best", "evaluator": "toy"}):
            job = self.sewad.run_job(run="toy", **fields)
            trace = self.sewad.trace(job["id"])
            self.assertEqual((trace["items"], len(trace["candidates"])), ([], 6))


if __name__ == "__main__":
    unittest.main(verbosity=2)
