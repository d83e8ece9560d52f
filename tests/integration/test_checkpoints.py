"""checkpoints - lists in every order, filters, one checkpoint, its tensors, labels and metrics."""
import os
import unittest

import tensors
from sewa import SharedServiceTest
from toys import toy_run, toy_tensors

LIST = "/api/v1/runs/toy/checkpoints"
SHOW = "/api/v1/checkpoints/"


class Checkpoints(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.directory = cls.scratch.join("toy")
        # 9900 before 10000: a step is a number, not a text
        cls.steps = [7, 100, 900, 1000, 9900, 10000, 10001]
        toy_run(cls.directory, cls.steps)
        tensors.write(os.path.join(cls.directory, "final.safetensors"), toy_tensors(1),
                      {"format": "pt", "who": "trainer"})
        cls.scratch.write("toy/step-50.safetensors", b"\x08\0\0\0\0\0\0\0{}")
        cls.sewad = cls.service({"run": {"toy": {"path": cls.directory}}})
        rows = cls.sewad.wait_complete("toy", 8)
        cls.by_step = {r["step"]: r for r in rows}
        cls.sewad.wait_file("toy", "step-50.safetensors", "incomplete", "incomplete")
        # four have a loss, and two of them the same
        for step, loss in ((100, 0.5), (900, -1.5), (9900, 0.5), (10000, 3)):
            cls.sewad.patch(SHOW + cls.by_step[step]["id"], {"metrics": {"loss": loss}})
        for step, labels in ((100, {"keep": "yes"}), (900, {"keep": "no"}), (10000, {"x": "1"})):
            cls.sewad.patch(SHOW + cls.by_step[step]["id"], {"labels": labels})

    def steps_of(self, **query):
        return [c["step"] for c in self.sewad.pages(LIST, **query)]

    def test_orders(self):
        up = [None, 7, 50, 100, 900, 1000, 9900, 10000, 10001]
        everything = sorted(up, key=str)
        for order, expected in [
            (None, up), ("step", up), ("step asc", up), ("step desc", up[::-1]),
            # who has no such metric is not in the list; of equals the later one is the larger
            ("metric.loss", [900, 100, 9900, 10000]),
            ("metric.loss desc", [10000, 9900, 100, 900]),
            ("metric.nothing", []),
        ]:
            for limit in (1, 2, 3, 500):
                with self.subTest(order=order, limit=limit):
                    query = {"order_by": order} if order else {}
                    self.assertEqual(self.steps_of(limit=limit, **query), expected)
        for order in ("discovered_at", "discovered_at desc"):
            for limit in (1, 4, 500):
                with self.subTest(order=order, limit=limit):
                    rows = self.sewad.pages(LIST, limit=limit, order_by=order)
                    self.assertEqual(sorted((r["step"] for r in rows), key=str), everything)
                    times = [r["discovered_at"] for r in rows]
                    self.assertEqual(times, sorted(times, reverse=order.endswith("desc")))

    def test_filters(self):
        for query, expected in [
            ({"state": "complete"}, [None, 7, 100, 900, 1000, 9900, 10000, 10001]),
            ({"state": "incomplete"}, [50]),
            ({"state": "gone"}, []),
            ({"min_step": 900}, [900, 1000, 9900, 10000, 10001]),
            ({"max_step": 100}, [7, 50, 100]),
            ({"min_step": 100, "max_step": 9900}, [100, 900, 1000, 9900]),
            ({"min_step": 0}, [7, 50, 100, 900, 1000, 9900, 10000, 10001]),
            ({"min_step": 8, "max_step": 49}, []),
            ({"label": "keep"}, [100, 900]),
            ({"label": "keep=yes"}, [100]),
            ({"label": "keep="}, []),
            ({"label": "keep=yes", "state": "complete", "max_step": 100}, [100]),
            ({"label": "never"}, []),
            ({"order_by": "metric.loss", "label": "keep"}, [900, 100]),
            ({"order_by": "metric.loss desc", "min_step": 900, "max_step": 9900}, [9900, 900]),
            ({"order_by": "discovered_at", "label": "keep=no"}, [900]),
            ({"order_by": "step desc", "max_step": 50}, [50, 7]),
        ]:
            for limit in (1, 500):
                with self.subTest(query=query, limit=limit):
                    self.assertEqual(self.steps_of(limit=limit, **query), expected)

    def test_the_link_header_keeps_filters_and_order(self):
        path, steps = LIST + "?limit=1&order_by=metric.loss%20desc&label=keep", []
        while path:
            reply = self.sewad.request("GET", path).expect(200)
            steps += [c["step"] for c in reply.json()["items"]]
            link = reply.headers.get("Link")
            path = link and link[1:link.index(">")]
        self.assertEqual(steps, [100, 900])

    def test_bad_questions(self):
        token = self.sewad.get(LIST, limit=1)["next_page_token"]
        for query, code, word in [
            ({"order_by": "size"}, "invalid", "order_by"),
            ({"order_by": "metric."}, "invalid", "order_by"),
            ({"order_by": "step down"}, "invalid", "asc or desc"),
            ({"order_by": ""}, "invalid", "order_by"),
            ({"state": "finished"}, "invalid", "incomplete, complete"),
            ({"min_step": -1}, "invalid", "min_step"), ({"max_step": "x"}, "invalid", "max_step"),
            ({"min_step": 2 ** 63}, "invalid", "min_step"),
            ({"label": ""}, "invalid", "label"), ({"label": "=x"}, "invalid", "label"),
            ({"steps": 1}, "unknown_field", "steps"),
            ({"page_token": token, "order_by": "step desc"}, "invalid", "order"),
            ({"page_token": token[:-2]}, "invalid", "page_token"),
        ]:
            with self.subTest(query=query):
                self.sewad.request("GET", LIST, **query).problem(422, code, word)

    def test_one_checkpoint(self):
        file = os.path.join(self.directory, "step-100.safetensors")
        size, mtime_ns = os.stat(file).st_size, os.stat(file).st_mtime_ns
        row = self.sewad.get(SHOW + self.by_step[100]["id"])
        for field, expected in [
            ("run", "toy"), ("file", "step-100.safetensors"), ("path", file), ("step", 100),
            ("state", "complete"), ("reason", None), ("format", "safetensors"), ("size", size),
            ("mtime_ns", mtime_ns), ("tensors", 3), ("parameters", 15), ("pinned", False),
            ("step_reason", None), ("sha256", None), ("metadata", {}), ("metrics", {"loss": 0.5}),
            ("labels", {"keep": "yes"}),
        ]:
            with self.subTest(field=field):
                self.assertEqual(row[field], expected)
        self.assertRegex(row["header_digest"], "^[0-9a-f]{64}$")
        self.assertEqual(row["evidence"]["rule"], "settled")
        self.assertEqual(row["evidence"]["settle_seconds"], 0)
        self.assertLessEqual(row["evidence"]["first_look"], row["evidence"]["second_look"])
        self.assertLessEqual(row["discovered_at"], row["completed_at"])

    def test_metadata_and_a_name_without_a_step(self):
        row = self.sewad.get(SHOW + self.by_step[None]["id"])
        self.assertEqual(row["metadata"], {"format": "pt", "who": "trainer"})
        self.assertIsNone(row["step"])
        self.assertTrue(row["step_reason"])

    def test_one_that_is_not_complete_says_why(self):
        row = next(c for c in self.sewad.checkpoints("toy") if c["step"] == 50)
        row = self.sewad.get(SHOW + row["id"])
        self.assertEqual(row["reason"]["code"], "incomplete")
        self.assertIn("ends at byte 10", row["reason"]["detail"])
        self.assertEqual((row["tensors"], row["header_digest"], row["completed_at"]),
                         (None, None, None))
        self.sewad.request("GET", SHOW + row["id"] + "/tensors").problem(409, "conflict", "step-50")

    def test_tensors(self):
        path = SHOW + self.by_step[7]["id"] + "/tensors"
        expected = []
        header, _ = tensors.header_of(toy_tensors(7))
        for name, t in header.items():
            begin, end = t["data_offsets"]
            expected.append({"name": name, "dtype": t["dtype"], "shape": t["shape"],
                             "bytes": end - begin, "file": None, "tied_to": None})
        for limit in (1, 2, 500):
            with self.subTest(limit=limit):
                rows = self.sewad.pages(path, limit=limit)
                offsets = [r.pop("offset") for r in rows]
                self.assertEqual(sorted(rows, key=str), sorted(expected, key=str))
                self.assertEqual(len(set(offsets)), 3)
        whole = self.sewad.get(path, limit=1)
        self.assertEqual((whole["state_key"], whole["notes"]), ("", []))
        self.sewad.request("GET", path, order_by="name").problem(422, "unknown_field", "order_by")
        self.sewad.request("GET", path, limit=0).problem(422, "invalid", "limit")

    def test_nothing_there(self):
        for uid in ("ckpt_01M80RZSX4AZFDSRE7XM1BM48E", "ckpt_x", "x", "%00"):
            with self.subTest(uid=uid):
                reply = self.sewad.request("GET", SHOW + uid)
                if uid == "%00":
                    reply.problem(400, "bad_request")
                else:
                    reply.problem(404, "not_found", uid)
                    self.sewad.request("GET", SHOW + uid + "/tensors").problem(404, "not_found")
                    self.sewad.request("PATCH", SHOW + uid, {}).problem(404, "not_found")

    def test_patches(self):
        path = SHOW + self.by_step[10001]["id"]
        for patch, labels, metrics, pinned in [
            ({"labels": {"a": "1", "b": "2"}}, {"a": "1", "b": "2"}, {}, False),
            ({"labels": {"b": None, "c": ""}}, {"a": "1", "c": ""}, {}, False),
            ({"metrics": {"loss": 1e300, "n": -3}}, {"a": "1", "c": ""},
             {"loss": 1e300, "n": -3}, False),
            ({"metrics": {"loss": None, "gone": None}, "pinned": True}, {"a": "1", "c": ""},
             {"n": -3}, True),
            ({}, {"a": "1", "c": ""}, {"n": -3}, True),
            ({"pinned": False, "labels": None}, {}, {"n": -3}, False),
            ({"metrics": None}, {}, {}, False),
        ]:
            with self.subTest(patch=patch):
                for row in (self.sewad.patch(path, patch), self.sewad.get(path)):
                    self.assertEqual((row["labels"], row["metrics"], row["pinned"]),
                                     (labels, metrics, pinned))
        self.assertNotIn(10001, self.steps_of(order_by="metric.n"))

    def test_bad_patches_change_nothing(self):
        path = SHOW + self.by_step[1000]["id"]
        before = self.sewad.get(path)
        for patch, code, word in [
            ({"labels": {"a": 1}}, "invalid", "label"),
            ({"labels": "a"}, "invalid", "labels"),
            ({"labels": {"k" * 200: "v"}}, "invalid", "label"),
            ({"labels": {"k": "v" * 5000}}, "invalid", "label"),
            ({"labels": {str(i): "" for i in range(65)}}, "invalid", "64"),
            ({"metrics": {"loss": "0.5"}}, "invalid", "loss"),
            ({"metrics": {"": 1}}, "invalid", "metrics"),
            ({"metrics": {"m" * 49: 1}}, "invalid", "48"),
            ({"metrics": [1]}, "invalid", "metrics"),
            ({"pinned": "yes"}, "invalid", "pinned"),
            ({"step": 7}, "unknown_field", "step"),
            ({"pinned": True, "labels": {"a": 1}}, "invalid", "label"),
        ]:
            with self.subTest(patch=patch):
                self.sewad.request("PATCH", path, patch).problem(422, code, word)
        for body in (b"", b"{", b"[]", b"7", b'{"pinned": true, "pinned": false}',
                     b'{"metrics": {"x": NaN}}', b'{"metrics": {"x": 1e999}}'):
            with self.subTest(body=body):
                reply = self.sewad.request("PATCH", path, body,
                                           {"Content-Type": "application/merge-patch+json"})
                self.assertIn(reply.status, (400, 422), reply)
        self.assertEqual(self.sewad.get(path), before)

    def test_patches_survive_a_restart(self):
        path = SHOW + self.by_step[9900]["id"]
        self.sewad.patch(path, {"labels": {"kept": "yes"}, "pinned": True})
        before = self.sewad.get(path)
        self.sewad.kill()
        self.sewad.start()
        self.assertEqual(self.sewad.get(path), before)
        self.assertEqual(self.sewad.get(path)["metrics"], {"loss": 0.5})


if __name__ == "__main__":
    unittest.main(verbosity=2)
