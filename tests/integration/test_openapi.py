"""openapi - proto/openapi.json against a running service: its answers look as they are described,
and it takes and refuses the bodies that are described. (Which routes there are is a unit test's.)
"""
import os
import unittest

from schema import Schemas
from sewa import SharedServiceTest, toy_evaluator
from toys import toy_run

PREFIX = "/api/v1"

# For POST /jobs, added to a run and an evaluator: what is taken and what is not.
GOOD = [
    {}, {"method": "last"}, {"method": "uniform", "evaluator": None, "baselines": []},
    {"method": None, "window": None, "select": None, "params": None, "baselines": None},
    {"min_step": 0}, {"max_step": 600}, {"exclude_steps": [100]}, {"window": 1, "select": 1},
    {"window": 4096}, {"select": 6}, {"select": "auto"}, {"baselines": ["last", "lawa"]},
    {"seed": 0}, {"seed": 2**63 - 1}, {"integers": "max"}, {"integers": None},
    {"allow_nonfinite": True, "force": True, "digests": True}, {"if_new_checkpoints": 0},
    {"output": {"dtype": "BF16"}}, {"output": {}}, {"output": {"max_shard_bytes": 0}},
    {"output": {"max_shard_bytes": 1}}, {"output": {"max_shard_bytes": None}},
    {"workers": 256}, {"labels": {"k" * 63: "v" * 255}}, {"labels": {}},
    {"method": "best", "params": {"metric": "closeness", "direction": "max"}},
    {"params": {"estimator": "straight_through", "iterations": 1, "samples": 256,
                "temperature": 0.01, "learning_rate": 10, "epsilon": 0.25, "polish": 0,
                "batch": 2147483647}},
    {"params": {"estimator": None, "iterations": 100000, "samples": 1, "temperature": 100,
                "learning_rate": 1e-6, "epsilon": 1e-9, "polish": 10000, "batch": 0}},
    {"params": {"temperature": {"start": 1, "end": 0.1, "schedule": "cosine"}}},
    {"params": {"temperature": {"start": 1}}},
    {"method": "lawa", "select": 3, "params": {}},
]
BAD = [
    {"methods": "last"}, {"method": "magic"}, {"method": 5}, {"run": 5}, {"min_step": -1},
    {"max_step": 1.5}, {"exclude_steps": [-1]}, {"exclude_steps": 5}, {"exclude_steps": ["1"]},
    {"window": 0}, {"window": 4097}, {"window": "5"}, {"select": 0}, {"select": "all"},
    {"select": 1.5}, {"evaluator": 5}, {"baselines": ["sewa"]}, {"baselines": ["last", "last"]},
    {"baselines": "last"}, {"seed": -1}, {"seed": 1.0}, {"integers": "mean"}, {"force": 1},
    {"digests": "no"}, {"if_new_checkpoints": -1}, {"output": {"dtype": "F64"}},
    {"output": {"max_shard_bytes": -5}}, {"output": {"type": "F32"}}, {"output": []},
    {"workers": 0}, {"workers": 257}, {"labels": {"": "x"}}, {"labels": {"k" * 64: "x"}},
    {"labels": {"k": "v" * 256}}, {"labels": {"k": 5}}, {"labels": {"k": None}},
    {"labels": {"k%d" % i: "" for i in range(65)}}, {"params": []},
    {"params": {"iterations": 0}}, {"params": {"iterations": 100001}}, {"params": {"samples": 0}},
    {"params": {"samples": 257}}, {"params": {"temperature": 0.001}},
    {"params": {"temperature": 101}}, {"params": {"temperature": {"end": 1}}},
    {"params": {"temperature": {"start": 1, "middle": 2}}}, {"params": {"learning_rate": 1e-7}},
    {"params": {"learning_rate": 11}}, {"params": {"epsilon": 0.3}}, {"params": {"epsilon": 0}},
    {"params": {"polish": -1}}, {"params": {"polish": 10001}}, {"params": {"batch": -1}},
    {"params": {"batch": 2147483648}}, {"params": {"estimator": "reinforce"}},
    {"params": {"typo": 1}}, {"method": "best", "params": {"metric": ""}},
    {"method": "best", "params": {"direction": "up"}},
]


class Document(SharedServiceTest):
    @classmethod
    def prepare(cls):
        toy_run(cls.scratch.join("watched", "toy"))
        with open(cls.scratch.join("watched", "toy", "step-7.safetensors"), "wb") as file:
            file.write(b"\xff" * 64)  # is no checkpoint
        os.makedirs(cls.scratch.join("watched", "api"))
        cls.sewad = cls.service({"allowed_roots": [cls.scratch.join("watched")],
                                 "run": {"toy": {"path": cls.scratch.join("watched", "toy")}},
                                 "evaluator": {"toy": toy_evaluator()}})
        cls.sewad.wait_complete("toy", 6)
        cls.document = cls.sewad.get("/openapi.json")
        cls.schemas = Schemas(cls.document)

    def operation(self, method, path):
        return self.document["paths"][path][method.lower()]

    def described(self, reply, method, path):
        """Check that an answer is one of those that are described, and return it."""
        answers = self.operation(method, path)["responses"]
        answer = self.schemas.resolve(answers.get(str(reply.status), answers["default"]))
        media_type = reply.headers.get("Content-Type", "").split(";")[0]
        if "content" not in answer:
            self.assertEqual(reply.body, b"", reply)
            return reply
        self.assertIn(media_type, answer["content"], reply)
        for name, header in answer.get("headers", {}).items():
            value = reply.headers.get(name)
            if value is not None:
                schema = self.schemas.resolve(header)["schema"]
                value = int(value) if schema["type"] == "integer" else value
                self.assertEqual(self.schemas.check(schema, value), "", name)
        if media_type.endswith("json"):
            complaint = self.schemas.check(answer["content"][media_type]["schema"], reply.json())
            self.assertEqual(complaint, "", "%s: %s" % (reply.what, reply))
        return reply

    def ask(self, method, path, body=None, headers=None, /, status=None, query=None, **names):
        """A request to a path as it is described; the answer must be as it is described."""
        reply = self.sewad.request(method, path.format(**names), body, headers, **query or {})
        if status:
            reply.expect(status)
        return self.described(reply, method, path)

    def test_examples_are_what_they_are_examples_of(self):
        count = 0
        for name, schema in self.document["components"]["schemas"].items():
            for example in schema.get("examples", []):
                with self.subTest(schema=name):
                    self.assertEqual(self.schemas.check(schema, example), "")
                    count += 1
        self.assertGreater(count, 15)

    def test_bodies_that_are_taken_and_refused(self):
        schema = self.schemas.named("JobCreate")
        usual = {"run": "toy", "evaluator": "toy"}
        for good, rows in ((True, GOOD), (False, BAD)):
            for row in rows:
                with self.subTest(good=good, row=row):
                    body = dict(usual, **row)
                    complaint = self.schemas.check(schema, body)
                    self.assertEqual(complaint == "", good, complaint)
                    self.ask("POST", PREFIX + "/jobs", body, status=200 if good else 422,
                             query={"dry_run": "true"})

    def test_service(self):
        for path in ("/healthz", "/readyz", "/version", "/metrics", "/openapi.json"):
            with self.subTest(path=path):
                self.ask("GET", path, status=200)
                self.assertEqual(self.sewad.request("HEAD", path).expect(200).body, b"")

    def test_runs(self):
        runs, one = PREFIX + "/runs", PREFIX + "/runs/{run}"
        path = self.scratch.join("watched", "api")
        key = {"Idempotency-Key": "make api"}
        body = {"name": "api", "path": path, "labels": {"a": "b"}, "marker": None}
        made = self.ask("POST", runs, body, key, status=201)
        again = self.ask("POST", runs, body, key, status=201)
        self.assertEqual((made.body, again.headers["Idempotent-Replayed"]), (again.body, "true"))
        self.assertEqual(made.headers["Location"], runs + "/api")
        self.ask("POST", runs, dict(body, path="/"), key, status=422)
        self.ask("POST", runs, body, status=409)
        self.ask("POST", runs, dict(body, name="x", path="/elsewhere"), status=403)
        self.ask("POST", runs, b"{", {"Content-Type": "application/json"}, status=400)
        self.ask("POST", runs, b"{}", {"Content-Type": "text/plain"}, status=415)
        self.ask("POST", runs, b" " * 70000, {"Content-Type": "application/json"}, status=413)
        self.ask("GET", runs, status=200, query={"limit": 1})
        self.ask("GET", one, status=200, run="toy")
        self.ask("GET", one, status=404, run="nobody")
        self.ask("PATCH", one, {"labels": {"a": None}, "settle_seconds": 3}, status=200, run="api")
        self.ask("PATCH", one, {"pattern": "step-{step}"}, status=409, run="toy")
        self.ask("PATCH", one, {"name": "new"}, status=422, run="toy")
        there = {"If-Match": '"v1"'}  # a run has no ETag
        self.ask("PATCH", one, {"labels": {"a": "c"}}, there, status=412, run="api")
        self.ask("PATCH", one, {"labels": {"a": "c"}}, {"If-Match": "*"}, status=200, run="api")
        self.ask("DELETE", one, None, there, status=412, run="api")
        self.ask("DELETE", one, status=409, run="toy")
        self.ask("DELETE", one, status=204, run="api")

    def test_checkpoints(self):
        listing, one = PREFIX + "/runs/{run}/checkpoints", PREFIX + "/checkpoints/{id}"
        self.sewad.wait_file("toy", "step-7.safetensors", "incomplete")
        found = self.ask("GET", listing, status=200, run="toy").json()["items"]
        self.assertEqual(len(found), 7)
        self.ask("GET", listing, status=422, run="toy", query={"state": "fresh"})
        self.ask("GET", listing, status=200, run="toy",
                 query={"state": "complete", "min_step": 100, "max_step": 500, "limit": 2,
                        "order_by": "discovered_at desc"})
        for row in found:
            self.ask("GET", one, status=200, id=row["id"])
            self.ask("GET", one + "/tensors", id=row["id"], query={"limit": 2},
                     status=200 if row["state"] == "complete" else 409)
        self.ask("PATCH", one, {"labels": {"a": "b"}, "metrics": {"m": 1.5}, "pinned": True},
                 status=200, id=found[0]["id"])
        self.ask("PATCH", one, {"pinned": False}, {"If-Match": '"v1"'}, status=412,
                 id=found[0]["id"])
        self.ask("PATCH", one, {"metrics": {"m": "high"}}, status=422, id=found[0]["id"])
        self.ask("GET", one, status=404, id="ckpt_0")

    def test_methods(self):
        items = self.ask("GET", PREFIX + "/methods", status=200).json()["items"]
        self.ask("GET", PREFIX + "/methods/{name}", status=404, name="seva").problem(
            404, "not_found", "'seva'; is it 'sewa'? There are last, best, ")
        shown = {}
        for item in items:
            one = self.ask("GET", PREFIX + "/methods/{name}", status=200, name=item["name"]).json()
            self.assertEqual(one, item)
            shown[item["name"]] = {p["name"]: p for p in item["params"]}
        words = self.schemas.named("JobCreate")["properties"]["method"]["enum"]
        self.assertEqual(sorted(shown), sorted(w for w in words if w))
        for name in shown:  # the document describes the same parameters
            described = self.document["components"]["schemas"].get(name.title() + "Params", {})
            described = described.get("properties", {})
            self.assertEqual(set(shown[name]), set(described))
            for param, schema in described.items():
                with self.subTest(method=name, param=param):
                    for inner in [schema] + schema.get("oneOf", [])[:1]:
                        for key in {"minimum", "maximum", "default"} & set(inner):
                            self.assertEqual(shown[name][param][key], inner[key])
                    self.assertEqual([w for w in schema.get("enum", []) if w],
                                     shown[name][param].get("enum", []))
        text = self.sewad.request("GET", PREFIX + "/methods/sewa").body.decode()
        self.assertIn('"minimum":1e-06,"maximum":10.0,"default":0.1,', text)  # as people write them

    def test_evaluators(self):
        self.ask("GET", PREFIX + "/evaluators", status=200)
        self.ask("GET", PREFIX + "/evaluators/{name}", status=200, name="toy")
        self.ask("GET", PREFIX + "/evaluators/{name}", status=404, name="nobody")
        check = PREFIX + "/evaluators/{name}/check"
        self.ask("POST", check, {"run": "toy", "window": 3}, status=422, name="toy")
        job = self.ask("POST", check, {"run": "toy"}, status=202, name="toy").json()
        self.sewad.wait_job(job["id"])
        self.ask("GET", PREFIX + "/jobs/{id}", status=200, id=job["id"])

    def test_jobs(self):
        jobs, one = PREFIX + "/jobs", PREFIX + "/jobs/{id}"
        body = {"run": "toy", "evaluator": "toy", "select": 2, "labels": {"a": "b"},
                "params": {"iterations": 3}}
        uid = self.ask("POST", jobs, body, status=201).json()["id"]
        self.ask("DELETE", one, status=409, id=uid)
        self.ask("GET", one, status=200, id=uid, query={"wait": 60})
        self.sewad.wait_job(uid)
        self.ask("POST", jobs, dict(body, if_new_checkpoints=5), status=200)
        done = self.ask("GET", one, status=200, id=uid)
        self.ask("GET", one, None, {"If-None-Match": done.headers["ETag"]}, status=304, id=uid)
        filters = {"state": "succeeded", "label": "a=b", "run": "toy",
                   "created_after": "2020-01-01T00:00:00Z"}
        self.assertEqual(self.ask("GET", jobs, status=200, query=filters).json()["items"][0]["id"],
                         uid)
        self.ask("GET", one + "/trace", status=200, id=uid, query={"max_points": 2})
        self.ask("GET", one + "/trace", None, {"Accept": "text/csv"}, status=200, id=uid)
        self.ask("GET", one + "/trace", None, {"Accept": "image/png"}, status=406, id=uid)
        self.ask("GET", one + "/logs", status=200, id=uid, query={"follow": "true"})
        self.ask("GET", one + "/artifacts", status=200, id=uid)
        file = one + "/artifacts/{name}"
        self.ask("GET", file, status=200, id=uid, name="manifest.json")
        self.ask("GET", file, status=404, id=uid, name="other")
        for headers, status in [({}, 200), ({"Range": "bytes=0-7"}, 206),
                                ({"Range": "bytes=99999999-"}, 416), ({"If-None-Match": "*"}, 304)]:
            reply = self.ask("GET", file, None, headers, status=status, id=uid,
                             name="model.safetensors")
            if status == 206:
                self.assertEqual(reply.headers["Content-Range"].split("/")[0], "bytes 0-7")
        self.ask("POST", one + "/cancel", status=409, id=uid)
        again = self.ask("POST", one + "/retry", status=201, id=uid).json()
        self.assertEqual(again["retry_of"], uid)
        self.ask("POST", one + "/cancel", {}, status=202, id=again["id"])
        self.sewad.wait_job(again["id"], "cancelled", "succeeded")
        self.ask("POST", one + "/cancel", {"why": 1}, status=422, id=again["id"])
        etag = self.ask("GET", one, status=200, id=again["id"]).headers["ETag"]
        for other in ('"v0"', "W/" + etag, "nothing"):
            self.ask("DELETE", one, None, {"If-Match": other}, status=412, id=again["id"])
        self.ask("DELETE", one, None, {"If-Match": '"v0", ' + etag}, status=204, id=again["id"])
        self.ask("GET", one, status=404, id=again["id"])


if __name__ == "__main__":
    unittest.main()
