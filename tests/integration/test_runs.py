"""runs - /api/v1/runs: list, create below an allowed root, show, change, delete."""
import os
import subprocess
import unittest

from sewa import binary, ServiceTest, SharedServiceTest, toy_evaluator, wait_until
from toys import toy_run

RUNS = "/api/v1/runs"


class ListsAndPages(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.names = ["alpha", "beta", "gamma", "delta.1", "Epsilon"]
        runs = {n: {"path": cls.scratch.directory("runs", n)} for n in cls.names}
        toy_run(cls.scratch.join("runs", "alpha"))
        cls.sewad = cls.service({"run": runs})

    def test_a_run_of_the_configuration_shows_what_it_watches(self):
        self.sewad.wait_complete("alpha", 6)
        run = self.sewad.get(RUNS + "/alpha")
        self.assertEqual(run["name"], "alpha")
        self.assertEqual(run["origin"], "configuration")
        self.assertEqual(run["path"], self.scratch.join("runs", "alpha"))
        self.assertEqual(run["checkpoints"],
                         {"complete": 6, "incomplete": 0, "changed": 0, "gone": 0})
        self.assertTrue(run["watched"])
        self.assertIsNone(run["scan"]["error"])
        self.assertEqual(self.sewad.get(RUNS + "/" + run["id"])["name"], "alpha")
        self.assertRegex(run["id"], "^run_[0-9A-HJKMNP-TV-Z]{26}$")
        self.assertRegex(run["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_pages_hold_every_run_once_in_order(self):
        for limit in (1, 2, 4, 5, 500):
            with self.subTest(limit=limit):
                names = [r["name"] for r in self.sewad.pages(RUNS, limit=limit)]
                self.assertEqual(names, sorted(self.names))

    def test_the_link_header_leads_through_all_pages(self):
        path, names = RUNS + "?limit=2", []
        while path:
            reply = self.sewad.request("GET", path).expect(200)
            names += [r["name"] for r in reply.json()["items"]]
            link = reply.headers.get("Link")
            self.assertEqual(link is None, reply.json()["next_page_token"] is None)
            if link:
                self.assertRegex(link, r'^<.*limit=2&page_token=.*>; rel="next"$')
            path = link and link[1:link.index(">")]
        self.assertEqual(names, sorted(self.names))

    def test_bad_lists_are_refused(self):
        other = self.sewad.get("/api/v1/runs/alpha/checkpoints", limit=1)["next_page_token"]
        for query, code, word in [
            ({"limit": 0}, "invalid", "limit"), ({"limit": 501}, "invalid", "500"),
            ({"limit": "ten"}, "invalid", "ten"), ({"colour": "red"}, "unknown_field", "colour"),
            ({"page_token": "zz"}, "invalid", "page_token"),
            ({"page_token": ""}, "invalid", "page_token"),
            ({"page_token": other}, "invalid", "another list"),
        ]:
            with self.subTest(query=query):
                self.sewad.request("GET", RUNS, **query).problem(422, code, word)
        self.sewad.request("GET", RUNS + "?limit=1&limit=2").problem(422, "invalid", "twice")

    def test_what_is_not_there(self):
        self.sewad.request("GET", RUNS + "/nobody").problem(404, "not_found", "nobody")
        self.sewad.request("PATCH", RUNS + "/nobody", {}).problem(404, "not_found", "nobody")
        self.sewad.request("DELETE", RUNS + "/nobody").problem(404, "not_found", "nobody")
        self.sewad.request("GET", RUNS + "/nobody/checkpoints").problem(404, "not_found")
        reply = self.sewad.request("PUT", RUNS + "/alpha", {})
        reply.problem(405, "method_not_allowed")
        self.assertEqual(reply.headers["Allow"], "GET, HEAD, PATCH, DELETE, OPTIONS")

    def test_a_run_of_the_configuration_is_changed_and_deleted_there(self):
        self.sewad.request("DELETE", RUNS + "/beta").problem(409, "conflict", "configuration")
        self.sewad.request("PATCH", RUNS + "/beta", {"pattern": "x-{step}"}).problem(
            409, "conflict", "configuration")
        self.assertIsNone(self.sewad.get(RUNS + "/beta")["pattern"])

    def test_labels_are_merged_by_rfc_7396(self):
        for patch, expected in [
            ({"labels": {"team": "vision", "node": "7"}}, {"team": "vision", "node": "7"}),
            ({"labels": {"node": "8"}}, {"team": "vision", "node": "8"}),
            ({"labels": {"team": None}}, {"node": "8"}),
            ({"labels": {"never": None}}, {"node": "8"}),
            ({}, {"node": "8"}),
            ({"labels": None}, {}),
        ]:
            with self.subTest(patch=patch):
                self.assertEqual(self.sewad.patch(RUNS + "/gamma", patch)["labels"], expected)
                self.assertEqual(self.sewad.get(RUNS + "/gamma")["labels"], expected)
        for bad in ({"labels": {"team": 7}}, {"labels": ["team"]}, {"labels": {"": "x"}}):
            with self.subTest(bad=bad):
                self.sewad.request("PATCH", RUNS + "/gamma", bad).problem(422, "invalid", "label")
        self.sewad.request("PATCH", RUNS + "/gamma", {"colour": 1}).problem(422, "unknown_field")
        self.sewad.request("PATCH", RUNS + "/gamma", b"{}", {"Content-Type": "text/plain"}).problem(
            415, "unsupported_media_type", "merge-patch")
        self.assertEqual(self.sewad.get(RUNS + "/gamma")["labels"], {})


class OverHttp(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.data = cls.scratch.directory("data")
        cls.outside = cls.scratch.directory("outside")
        toy_run(cls.outside)
        cls.sewad = cls.service({"allowed_roots": [cls.data], "log_level": "debug",
                                 "evaluator": {"toy": toy_evaluator()}})

    def create(self, name, **more):
        path = os.path.join(self.data, name)
        os.makedirs(path, exist_ok=True)
        return self.sewad.post(RUNS, dict({"name": name, "path": path}, **more))

    def test_a_path_that_is_not_there_is_refused(self):
        self.scratch.write("data/a-file", "x")
        for path in ("nowhere", "nowhere/below", "a-file"):
            with self.subTest(path=path):
                problem = self.sewad.request("POST", RUNS, {
                    "name": "nowhere", "path": os.path.join(self.data, path)}).problem(
                        422, "invalid", "there is no directory", path)
                self.assertEqual(problem["errors"][0]["pointer"], "/path")
        self.sewad.request("GET", RUNS + "/nowhere").problem(404, "not_found")
        # a link is neither followed nor told of: that is for the scan to say
        os.symlink(os.path.join(self.outside, "nowhere"), os.path.join(self.data, "a-link"))
        self.sewad.post(RUNS, {"name": "linked", "path": os.path.join(self.data, "a-link")})
        self.create("nowhere")

    def test_scans_say_what_they_found(self):
        toy_run(os.path.join(self.data, "counted"), [1, 2])
        self.create("counted")
        self.sewad.wait_complete("counted", 2)
        said = "run 'counted': 0 new, 2 complete, 0 changed, 0 gone, 0 back; 0 of 2 files"
        new = "run 'counted': 2 new, "

        def tell():  # a line comes with the scan behind it
            return said in self.sewad.log_text() or None
        wait_until(tell, "the log tells of two that are complete")
        self.assertIn(new, self.sewad.log_text())
        for step in (1, 2):
            self.assertRegex(self.sewad.log_text(), r"debug ingest: run 'counted': "
                             r"'step-%d.safetensors' is complete: ckpt_\w+, step %d" % (step, step))
        scans = self.sewad.get(RUNS + "/counted")["scan"]["scans"]
        lines = self.sewad.log_text().count("run 'counted': ")
        wait_until(lambda: self.sewad.get(RUNS + "/counted")["scan"]["scans"] > scans + 2, "scans")
        self.assertEqual(self.sewad.log_text().count("run 'counted': "), lines)  # nothing new

    def sewactl(self, *words):
        return subprocess.run([binary("sewactl")] + list(words), check=True, text=True,
                              stdout=subprocess.PIPE, env=self.scratch.environment(
                                  SEWA_URL="http://" + self.sewad.address)).stdout

    def test_scan_errors_are_shown(self):
        self.create("broken")
        run = wait_until(lambda: self.sewad.get(RUNS + "/broken")["scan"]["scans"] and
                         self.sewad.get(RUNS + "/broken"), "a scan")
        self.assertEqual((run["scan"]["errors"], run["scan"]["error"]), (0, None))
        os.rmdir(os.path.join(self.data, "broken"))
        run = wait_until(lambda: self.sewad.get(RUNS + "/broken")["scan"]["errors"] and
                         self.sewad.get(RUNS + "/broken"), "an error")
        self.assertIn("broken", run["scan"]["error"])
        self.assertRegex(self.sewactl("status"), r"scan errors +\d+, run '\S+': .*cannot")
        self.assertRegex(self.sewactl("run", "list"), r"broken +0 +0 +error ")
        os.mkdir(os.path.join(self.data, "broken"))
        wait_until(lambda: self.sewad.get(RUNS + "/broken")["scan"]["error"] is None, "it is back")

    def test_create_shows_watches_and_finds(self):
        toy_run(os.path.join(self.data, "fresh"))
        path = os.path.join(self.data, "fresh")
        reply = self.sewad.request("POST", RUNS, {
            "name": "fresh", "path": path, "pattern": "step-{step}.safetensors",
            "labels": {"a": "b"}, "settle_seconds": 0}).expect(201)
        self.assertEqual(reply.headers["Location"], RUNS + "/" + "fresh")
        run = reply.json()
        self.assertEqual((run["origin"], run["path"], run["labels"], run["pattern"]),
                         ("api", path, {"a": "b"}, "step-{step}.safetensors"))
        self.sewad.wait_complete("fresh", 6)

    def test_bad_runs_are_refused_and_say_where(self):
        good = {"name": "good", "path": self.scratch.directory("data", "good")}
        self.create("taken")
        for change, status, code, word, pointer in [
            ({"name": "taken"}, 409, "conflict", "taken", "/name"),
            ({"name": "../x"}, 422, "invalid", "letters", "/name"),
            ({"name": "x" * 64}, 422, "invalid", "63", "/name"),
            ({"name": ".x"}, 422, "invalid", "beginning", "/name"),
            ({"name": ""}, 422, "invalid", "name", "/name"),
            ({"name": None}, 422, "invalid", "name", "/name"),
            ({"name": 7}, 422, "invalid", "name", "/name"),
            ({"name": "run_01M80RZSX1AWQGSH9PZQGSWPZ7"}, 422, "invalid", "id", "/name"),
            ({"path": self.outside}, 403, "forbidden", "allowed_roots", "/path"),
            ({"path": self.data + "-beside"}, 403, "forbidden", "allowed_roots", "/path"),
            ({"path": self.data + "/../outside"}, 422, "invalid", "'..'", "/path"),
            ({"path": "data"}, 422, "invalid", "absolute", "/path"),
            ({"path": self.data + "//x"}, 422, "invalid", "slashes", "/path"),
            ({"path": None}, 422, "invalid", "path", "/path"),
            ({"pattern": "step-{step}-{step}"}, 422, "invalid", "step", "/pattern"),
            ({"settle_seconds": -1}, 422, "invalid", "settle_seconds", "/settle_seconds"),
            ({"settle_seconds": 3601}, 422, "invalid", "3600", "/settle_seconds"),
            ({"settle_seconds": "1"}, 422, "invalid", "settle_seconds", "/settle_seconds"),
            ({"labels": {"x": 1}}, 422, "invalid", "label", "/labels"),
            ({"folder": "x"}, 422, "unknown_field", "folder", "/folder"),
        ]:
            with self.subTest(change=change):
                problem = self.sewad.request("POST", RUNS, dict(good, **change)).problem(
                    status, code, word)
                self.assertEqual([e["pointer"].split("/")[1] for e in problem["errors"]],
                                 [pointer[1:]])
        self.sewad.request("GET", RUNS + "/good").problem(404, "not_found")

    def test_a_directory_may_be_away_for_a_while(self):
        path = os.path.join(self.data, "later")
        self.create("later")
        os.rmdir(path)
        wait_until(lambda: self.sewad.get(RUNS + "/later")["scan"]["error"], "an error is shown")
        toy_run(path)
        self.sewad.wait_complete("later", 6)
        self.assertIsNone(self.sewad.get(RUNS + "/later")["scan"]["error"])

    def test_watching_can_be_changed(self):
        run = self.create("moving", pattern="never-{step}")
        toy_run(os.path.join(self.data, "moving"), [1, 2])
        toy_run(os.path.join(self.data, "moved"), [7, 8, 9])
        changed = self.sewad.patch(RUNS + "/moving", {"pattern": "step-{step}.safetensors"})
        self.assertEqual((changed["id"], changed["pattern"]), (run["id"],
                                                               "step-{step}.safetensors"))
        self.sewad.wait_complete("moving", 2)
        self.sewad.patch(RUNS + "/moving", {"path": os.path.join(self.data, "moved")})
        wait_until(lambda: [c["step"] for c in self.sewad.complete("moving")] == [7, 8, 9],
                   "the files of the new directory, and only these")
        self.sewad.request("PATCH", RUNS + "/moving", {"path": self.outside}).problem(
            403, "forbidden", "allowed_roots")
        self.sewad.request("PATCH", RUNS + "/moving", {"name": "x"}).problem(422, "unknown_field")

    def test_delete_forgets_the_rows_and_leaves_the_files(self):
        path = os.path.join(self.data, "brief")
        toy_run(path)
        first = self.create("brief")
        uid = self.sewad.wait_complete("brief", 6)[0]["id"]
        self.sewad.request("DELETE", RUNS + "/brief").expect(204)
        self.sewad.request("GET", RUNS + "/brief").problem(404, "not_found")
        self.sewad.request("GET", "/api/v1/checkpoints/" + uid).problem(404, "not_found")
        self.assertEqual(len(os.listdir(path)), 6)
        second = self.create("brief")
        self.assertNotEqual(first["id"], second["id"])
        self.sewad.wait_complete("brief", 6)

    def test_a_run_that_a_job_uses_is_not_deleted(self):
        gate = self.scratch.join("gate-of-delete")
        toy_run(os.path.join(self.data, "busy"))
        self.create("busy")
        self.sewad.wait_complete("busy", 6)
        self.sewad.configure(evaluator={"toy": toy_evaluator({"gate": gate})})
        self.sewad.hang_up()
        job = self.sewad.submit(run="busy", evaluator="toy", method="best")
        self.sewad.request("DELETE", RUNS + "/busy").problem(409, "conflict", job["id"])
        self.scratch.write("gate-of-delete", "")
        done = self.sewad.wait_job(job["id"])
        self.sewad.request("DELETE", RUNS + "/busy").expect(204)
        after = self.sewad.job(done["id"])
        self.assertEqual((after["run"], after["state"]), ("busy", "succeeded"))
        self.assertTrue(self.sewad.artifact(done["id"]))

    def test_a_retried_post_makes_one_run(self):
        body = {"name": "once", "path": self.scratch.directory("data", "once")}
        key = {"Idempotency-Key": "run-once"}
        first = self.sewad.request("POST", RUNS, body, key).expect(201)
        second = self.sewad.request("POST", RUNS, body, key).expect(201)
        self.assertEqual(first.json(), second.json())
        self.assertEqual(second.headers["Idempotent-Replayed"], "true")
        self.assertEqual(second.headers["Location"], first.headers["Location"])
        self.assertIsNone(first.headers["Idempotent-Replayed"])
        self.sewad.request("POST", RUNS, dict(body, name="twice"), key).problem(
            422, "idempotency_mismatch", "run-once")


class LinksOutOfTheRoot(ServiceTest):
    """A run made over HTTP stays below the root, whatever links are there, now or later."""

    def setUp(self):
        super().setUp()
        self.data = self.scratch.directory("data")
        self.secret = self.scratch.directory("secret", "run")
        toy_run(self.secret)
        self.sewad = self.service({"allowed_roots": [self.data]})

    def error_of(self, name):
        return wait_until(lambda: self.sewad.get(RUNS + "/" + name)["scan"]["error"],
                          "the directory of '%s' is refused" % name)

    def test_links_are_not_followed_before_and_after_a_restart(self):
        os.symlink(self.secret, os.path.join(self.data, "last"))
        os.symlink(os.path.dirname(self.secret), os.path.join(self.data, "middle"))
        paths = {"last": "last", "middle": "middle/run"}
        for name, path in paths.items():
            self.sewad.post(RUNS, {"name": name, "path": os.path.join(self.data, path)})
        for restart in (False, True):
            if restart:
                self.sewad.stop()
                self.sewad.start()
            for name in paths:
                with self.subTest(name=name, restart=restart):
                    self.error_of(name)
                    self.assertEqual(self.sewad.checkpoints(name), [])
        for name in paths:
            with self.subTest(name=name, changed=True):
                self.sewad.patch(RUNS + "/" + name, {"pattern": "*{step}.safetensors"})
                self.error_of(name)
                self.assertEqual(self.sewad.checkpoints(name), [])

    def test_a_directory_that_is_replaced_by_a_link_is_no_longer_read(self):
        path = os.path.join(self.data, "run")
        toy_run(path, [1, 2])
        self.sewad.post(RUNS, {"name": "run", "path": path})
        self.sewad.wait_complete("run", 2)
        os.rename(path, path + ".old")
        os.symlink(self.secret, path)
        self.error_of("run")
        self.assertEqual([c["step"] for c in self.sewad.checkpoints("run")], [1, 2])

    def test_a_root_that_is_allowed_no_more_is_no_longer_watched(self):
        path = os.path.join(self.data, "run")
        toy_run(path, [1, 2])
        self.sewad.post(RUNS, {"name": "run", "path": path})
        self.sewad.wait_complete("run", 2)
        other = self.scratch.directory("other")
        self.sewad.configure(allowed_roots=[other])
        for how in ("reload", "restart"):
            if how == "reload":
                self.sewad.hang_up()
            else:
                self.sewad.stop()
                self.sewad.start()
            with self.subTest(how=how):
                self.assertIn("allowed_roots", self.error_of("run"))
        self.sewad.configure(allowed_roots=[self.data])
        self.sewad.hang_up()
        toy_run(path, [3])
        self.sewad.wait_complete("run", 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
