"""job_requests - what a job may ask for: candidates, defaults, dry runs, keys, lists."""
import hashlib
import os
import unittest

import tensors
from sewa import ServiceTest, SharedServiceTest, toy_evaluator, wait_until
from tensors import Tensor
from toys import STEPS, toy_run, toy_service, toy_tensors

JOBS = "/api/v1/jobs"


def chosen(job):
    return [s["step"] for s in job["result"]["selected"]]


class Candidates(SharedServiceTest):
    @classmethod
    def prepare(cls):
        runs = {}
        for name in ("toy", "other"):
            toy_run(cls.scratch.join(name))
            runs[name] = {"path": cls.scratch.join(name)}
        odd = cls.scratch.directory("odd")
        tensors.write(os.path.join(odd, "step-1.safetensors"), toy_tensors(1))
        tensors.write(os.path.join(odd, "step-2.safetensors"), toy_tensors(2, size=16))
        tensors.write(os.path.join(odd, "step-3.safetensors"), toy_tensors(3, dtype="BF16"))
        more = dict(toy_tensors(4), extra=Tensor("F32", [1], [1]))
        tensors.write(os.path.join(odd, "step-4.safetensors"), more)
        runs["odd"] = {"path": odd}
        runs["empty"] = {"path": cls.scratch.directory("empty")}
        cls.sewad = cls.service({"run": runs, "evaluator": {"toy": toy_evaluator()}})
        for name, count in (("toy", 6), ("other", 6), ("odd", 4)):
            cls.sewad.wait_complete(name, count)
        cls.ids = {c["step"]: c["id"] for c in cls.sewad.complete("toy")}

    def test_filters_then_the_newest(self):
        for filters, expected in [
            ({}, STEPS), ({"window": 2}, [500, 600]), ({"window": 200}, STEPS),
            ({"min_step": 300}, [300, 400, 500, 600]), ({"max_step": 300}, [100, 200, 300]),
            ({"min_step": 200, "max_step": 500, "window": 2}, [400, 500]),
            ({"exclude_steps": [600, 100]}, [200, 300, 400, 500]),
            ({"exclude_steps": [600], "window": 1}, [500]),
            ({"exclude_steps": [7, 8]}, STEPS), ({"min_step": None, "exclude_steps": []}, STEPS),
        ]:
            with self.subTest(filters=filters):
                job = self.sewad.run_job(run="toy", method="uniform", **filters)
                self.assertEqual(chosen(job), expected)
                self.assertEqual(job["result"]["candidates"], len(expected))

    def test_checkpoints_by_name(self):
        uids = [self.ids[s] for s in (500, 100, 300)]
        job = self.sewad.run_job(checkpoints=uids, method="uniform")
        self.assertEqual(chosen(job), [100, 300, 500])  # oldest first, whatever the order was
        self.assertEqual((job["run"], job["checkpoints"]), ("toy", uids))
        other = self.sewad.complete("other")[0]["id"]
        self.sewad.request("POST", JOBS, {"checkpoints": uids + [other], "method": "uniform"}
                           ).problem(422, "invalid", "'toy' and 'other'", "force")
        job = self.sewad.run_job(checkpoints=uids + [other], method="uniform", force=True)
        self.assertEqual(chosen(job), [100, 100, 300, 500])

    def test_tensors_that_differ_are_refused_and_named(self):
        for filters, words in [
            ({"max_step": 2}, ["step-1.safetensors", "step-2.safetensors", "'w'", "[3, 4]",
                               "[4, 4]"]),
            ({"exclude_steps": [2, 4]}, ["'b'", "F32", "BF16"]),
            ({"exclude_steps": [2, 3]}, ["'extra'", "step-4.safetensors"]),
        ]:
            with self.subTest(filters=filters):
                self.sewad.request("POST", JOBS, dict({"run": "odd", "method": "uniform"},
                                                      **filters)).problem(422, "mismatch", *words)

    def test_one_candidate_is_that_checkpoint(self):
        for method, more in [("last", {}), ("uniform", {}), ("lawa", {}),
                             ("best", {"evaluator": "toy"}), ("sewa", {"evaluator": "toy"}),
                             ("sewa", {"evaluator": "toy", "select": "auto"})]:
            with self.subTest(method=method, more=more):
                job = self.sewad.run_job(run="toy", method=method, window=1, **more)
                self.assertEqual(chosen(job), [600])
                ours, _ = tensors.parse(self.sewad.artifact(job["id"]))
                self.assertEqual(ours, toy_tensors(600))
                self.assertIn("one candidate", " ".join(job["result"]["notes"]))

    def test_defaults_are_filled_in(self):
        job = self.sewad.submit(run="toy", evaluator="toy", window=5)
        for field, expected in [
            ("method", "sewa"), ("window", 5), ("min_step", None), ("max_step", None),
            ("exclude_steps", []), ("checkpoints", None), ("select", None), ("params", {}),
            ("baselines", ["last", "best", "uniform", "lawa"]), ("seed", 0),
            ("integers", "newest"), ("allow_nonfinite", False), ("force", False),
            ("digests", False), ("if_new_checkpoints", 0),
            ("output", {"dtype": "input", "max_shard_bytes": None}), ("workers", 1), ("labels", {}),
            ("retry_of", None), ("result", None), ("artifacts", []), ("finished_at", None),
        ]:
            with self.subTest(field=field):
                self.assertEqual(job[field], expected)
        self.assertIn(job["state"], ("queued", "starting"))
        self.assertRegex(job["id"], "^job_[0-9A-HJKMNP-TV-Z]{26}$")
        done = self.sewad.wait_job(job["id"])
        self.assertLessEqual(done["created_at"], done["started_at"])
        self.assertLessEqual(done["started_at"], done["finished_at"])
        # five of five need no choice: one evaluation, and the baselines
        self.assertEqual(len(done["result"]["selected"]), 5)
        self.assertEqual(done["progress"]["evaluations"], done["progress"]["evaluations_total"])
        self.assertEqual(done["progress"]["eta_seconds"], 0)
        plain = self.sewad.run_job(run="toy", method="uniform")
        self.assertEqual((plain["baselines"], plain["evaluator"]), ([], None))

    def test_digests(self):
        job = self.sewad.run_job(run="other", method="lawa", select=2, digests=True)
        rows = {c["step"]: c for c in self.sewad.complete("other")}
        for step in (500, 600):
            with open(rows[step]["path"], "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            self.assertEqual(rows[step]["sha256"], digest)
            manifest = self.sewad.request(
                "GET", "%s/%s/artifacts/manifest.json" % (JOBS, job["id"])).json()
            self.assertIn(digest, [i["sha256"] for i in manifest["ingredients"]])
        self.assertIsNone(rows[100]["sha256"])


class DryRuns(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.sewad = toy_service(cls, {"toy": toy_evaluator()}, {"worker_memory_mib": 64})

    def dry(self, **job):
        reply = self.sewad.request("POST", JOBS, job, dry_run="true").expect(200).json()
        self.assertTrue(reply["dry_run"])
        return reply["request"], reply["plan"]

    def test_the_plan(self):
        request, plan = self.dry(run="toy", evaluator="toy", window=4)
        self.assertEqual((request["method"], request["window"]), ("sewa", 4))
        one = 12 * 4 + 3 * 4 + 8
        for field, expected in [
            ("run", "toy"), ("candidates", 4), ("select", 4), ("tensors", 3), ("parameters", 15),
            ("bytes_of_one", one), ("bytes_to_read", 4 * one), ("output_bytes", one),
            ("streams", False), ("averages_at_a_time", 8), ("warnings", []),
        ]:
            with self.subTest(field=field):
                self.assertEqual(plan[field], expected)
        self.assertEqual([c["step"] for c in plan["checkpoints"]], [300, 400, 500, 600])
        self.assertEqual(plan["special_tensors"]["integers"], {"count": 1, "names": ["steps"]})
        self.assertEqual(plan["special_tensors"]["batch_norm"], {"count": 0, "names": []})
        self.assertGreater(plan["free_disk_bytes"], 0)
        self.assertGreater(plan["peak_memory_bytes"], 4 * one)
        self.assertLess(plan["peak_memory_bytes"], 64 << 20)
        self.assertGreater(plan["evaluations"], 4)

    def test_it_promises_what_the_job_then_does(self):
        for job in ({"run": "toy", "evaluator": "toy", "method": "best"},
                    {"run": "toy", "evaluator": "toy", "select": 3, "params": {"polish": 0}}):
            with self.subTest(job=job):
                _, plan = self.dry(**job)
                done = self.sewad.run_job(**job)
                self.assertEqual(done["result"]["cost"]["evaluations"], plan["evaluations"])
                _, again = self.dry(**job)
                self.assertGreater(again["expected_seconds"], 0)

    def test_nothing_is_made(self):
        before = self.sewad.pages(JOBS)
        self.dry(run="toy", method="uniform")
        self.sewad.request("POST", JOBS, {"run": "toy", "method": "uniform"},
                           {"Idempotency-Key": "dry"}, dry_run="true").expect(200)
        self.assertEqual(self.sewad.pages(JOBS), before)
        # the key was not used up
        self.sewad.request("POST", JOBS, {"run": "toy", "method": "uniform"},
                           {"Idempotency-Key": "dry"}).expect(201)

    def test_the_query_is_part_of_a_request_with_a_key(self):
        body, key = {"run": "toy", "method": "last"}, {"Idempotency-Key": "both"}
        job = self.sewad.request("POST", JOBS, body, key).expect(201).json()
        self.sewad.request("POST", JOBS, body, key, dry_run="true").problem(
            422, "idempotency_mismatch", "both")
        again = self.sewad.request("POST", JOBS, body, key).expect(201)
        self.assertEqual(again.json()["id"], job["id"])

    def test_it_refuses_what_the_job_would_be_refused_for(self):
        self.sewad.request("POST", JOBS, {"run": "nobody"}, dry_run="true").problem(
            422, "invalid", "evaluator")
        self.sewad.request("POST", JOBS, {"run": "toy"}, dry_run="maybe").problem(
            422, "invalid", "true or false")

    def test_more_than_the_memory_is_refused(self):
        big = self.scratch.directory("big")
        for step in (1, 2):
            tensors.write(os.path.join(big, "step-%d.safetensors" % step),
                          {"w": Tensor("F32", [150000], b"\0" * 600000)})
        service = self.service({"run": {"big": {"path": big}}, "worker_memory_mib": 1})
        service.wait_complete("big", 2)
        reply = service.request("POST", JOBS, {"run": "big", "method": "uniform"})
        problem = reply.problem(422, "invalid", "2 checkpoints", "at least", "has 1 MiB",
                                "worker_memory_mib")
        self.assertEqual(problem["errors"][0]["pointer"], "/window")


class Keys(ServiceTest):
    """Idempotency-Key: a retried POST creates no second job."""

    def setUp(self):
        super().setUp()
        self.sewad = toy_service(self)
        self.body = {"run": "toy", "method": "uniform"}

    def post(self, key, body=None):
        return self.sewad.request("POST", JOBS, body or self.body, {"Idempotency-Key": key})

    def count(self):
        return len(self.sewad.pages(JOBS))

    def test_the_same_request_again(self):
        first = self.post("k1").expect(201)
        second = self.post("k1").expect(201)
        self.assertIsNone(first.headers["Idempotent-Replayed"])
        self.assertEqual(second.headers["Idempotent-Replayed"], "true")
        self.assertEqual(second.headers["Location"], first.headers["Location"])
        self.assertEqual(first.json(), second.json())
        self.assertEqual(self.count(), 1)
        self.assertNotEqual(self.post("k2").expect(201).json()["id"], first.json()["id"])

    def test_another_request_with_the_key(self):
        self.post("k").expect(201)
        self.post("k", {"run": "toy", "method": "last"}).problem(422, "idempotency_mismatch", "'k'")
        self.assertEqual(self.count(), 1)

    def test_after_the_job_and_after_a_kill(self):
        uid = self.post("k").expect(201).json()["id"]
        self.sewad.wait_job(uid)
        self.assertEqual(self.post("k").expect(201).json()["id"], uid)
        self.sewad.kill()
        self.sewad.start()
        self.assertEqual(self.post("k").expect(201).json()["id"], uid)
        self.assertEqual(self.count(), 1)

    def test_a_key_of_a_wish_is_forgotten_with_its_job(self):
        """auto-...: failed, cancelled, deleted: done afresh. Other keys give the same answer."""
        self.sewad.configure(evaluator={
            "bad": toy_evaluator({"fault": "exit_at_start"}),
            "slow": toy_evaluator({"setup_gate": self.scratch.join("never")})})
        self.sewad.hang_up()
        bad = {"run": "toy", "method": "best", "evaluator": "bad"}
        slow = dict(bad, evaluator="slow")
        for key, is_wish in (("auto-1", True), ("mine", False), ("Auto-1", False)):
            with self.subTest(key=key):
                def again(body, name, before):
                    reply = self.post(key + name, body).expect(201)
                    new = reply.json()["id"]
                    self.assertEqual(reply.headers["Idempotent-Replayed"],
                                     None if is_wish else "true")
                    self.assertEqual(new != before, is_wish)
                    return new
                uid = self.post(key + "f", bad).expect(201).json()["id"]
                self.sewad.wait_job(uid, "failed")
                uid = again(bad, "f", uid)
                self.sewad.wait_job(uid, "failed")
                self.sewad.request("DELETE", "%s/%s" % (JOBS, uid)).expect(204)
                self.sewad.wait_job(again(bad, "f", uid), "failed") if is_wish else again(
                    bad, "f", uid)
                uid = self.post(key + "c", slow).expect(201).json()["id"]
                self.assertEqual(self.post(key + "c", slow).expect(201).json()["id"], uid)
                self.sewad.request("POST", "%s/%s/cancel" % (JOBS, uid), {}).expect(202)
                self.sewad.wait_job(uid, "cancelled")
                uid = again(slow, "c", uid)
                if is_wish:
                    self.sewad.request("POST", "%s/%s/cancel" % (JOBS, uid), {}).expect(202)
                    self.sewad.wait_job(uid, "cancelled")
                uid = self.post(key + "s").expect(201).json()["id"]
                self.sewad.wait_job(uid)
                reply = self.post(key + "s").expect(201)
                self.assertEqual((reply.json()["id"], reply.headers["Idempotent-Replayed"]),
                                 (uid, "true"))
                # another request is refused whatever has become of the job
                self.post(key + "c", bad).problem(422, "idempotency_mismatch")

    def test_although_it_would_be_impossible_by_now(self):
        job = self.post("k").expect(201).json()
        self.sewad.wait_job(job["id"])
        retry = "%s/%s/retry" % (JOBS, job["id"])
        again = self.sewad.request("POST", retry, {}, {"Idempotency-Key": "r"}).expect(201).json()
        self.sewad.wait_job(again["id"])
        os.rename(self.scratch.join("toy"), self.scratch.join("away"))
        os.mkdir(self.scratch.join("toy"))
        toy_run(self.scratch.join("toy"), [7], size=16)
        wait_until(lambda: len(self.sewad.complete("toy")) == 1, "the others are gone")
        os.unlink(self.scratch.join("toy", "step-7.safetensors"))
        wait_until(lambda: len(self.sewad.complete("toy")) == 0, "all are gone")
        self.post("other").problem(422, "no_candidates", "toy")
        self.assertEqual(self.post("k").expect(201).json()["id"], job["id"])
        replayed = self.sewad.request("POST", retry, {}, {"Idempotency-Key": "r"}).expect(201)
        self.assertEqual(replayed.json()["id"], again["id"])
        self.assertEqual(replayed.headers["Idempotent-Replayed"], "true")

    def test_a_refused_request_does_not_use_the_key_up(self):
        self.post("k", {"run": "toy", "method": "nothing"}).problem(422, "unknown_name")
        self.post("k").expect(201)

    def test_bad_keys(self):
        for key in ("", "x" * 256, "caf\xe9"):
            with self.subTest(key=key):
                self.post(key).problem(400, "bad_request", "Idempotency-Key")
        self.post("x" * 255).expect(201)
        self.assertEqual(self.count(), 1)

    def test_keys_belong_to_an_address(self):
        job = self.post("k").expect(201).json()
        self.sewad.wait_job(job["id"])
        retry = self.sewad.request("POST", "%s/%s/retry" % (JOBS, job["id"]), {},
                                   {"Idempotency-Key": "k"}).expect(201)
        self.assertEqual(retry.json()["retry_of"], job["id"])
        self.assertEqual(self.count(), 2)


class NewCheckpoints(ServiceTest):
    def test_only_when_enough_have_come(self):
        sewad = toy_service(self)
        job = {"run": "toy", "method": "uniform", "if_new_checkpoints": 2}

        def ask(**more):
            return sewad.request("POST", JOBS, dict(job, **more))

        def refused(reply, number):
            answer = reply.expect(200).json()
            self.assertFalse(answer["submitted"])
            self.assertIn("has %d new" % number, answer["reason"])

        refused(ask(if_new_checkpoints=7), 6)
        first = ask().expect(201).json()
        sewad.wait_job(first["id"])
        refused(ask(), 0)
        toy_run(self.scratch.join("toy"), [700])
        sewad.wait_complete("toy", 7)
        refused(ask(), 1)
        # another method has had no success yet
        sewad.wait_job(ask(method="last").expect(201).json()["id"])
        toy_run(self.scratch.join("toy"), [800])
        sewad.wait_complete("toy", 8)
        second = ask().expect(201).json()
        sewad.wait_job(second["id"])
        refused(ask(), 0)
        self.assertEqual(len(sewad.pages(JOBS)), 3)
        sewad.request("POST", JOBS, dict(job, if_new_checkpoints=-1)).problem(422, "invalid")


class Lists(SharedServiceTest):
    @classmethod
    def prepare(cls):
        runs = {}
        for name in ("a", "b"):
            toy_run(cls.scratch.join(name))
            runs[name] = {"path": cls.scratch.join(name)}
        cls.sewad = cls.service({"run": runs, "evaluator": {
            "broken": toy_evaluator({"fault": "exit_at_start"})}})
        for name in runs:
            cls.sewad.wait_complete(name, 6)
        cls.jobs = []
        for i in range(9):
            job = cls.sewad.submit(run="ab"[i % 2], method="last",
                                   labels={"n": str(i), "even": str(i % 2 == 0)})
            cls.jobs.append(cls.sewad.wait_job(job["id"])["id"])
        bad = cls.sewad.submit(run="a", method="best", evaluator="broken")
        cls.jobs.append(cls.sewad.wait_job(bad["id"], "failed")["id"])

    def uids(self, **query):
        return [j["id"] for j in self.sewad.pages(JOBS, **query)]

    def test_newest_first_in_pages(self):
        for limit in (1, 3, 500):
            with self.subTest(limit=limit):
                self.assertEqual(self.uids(limit=limit), self.jobs[::-1])

    def test_filters(self):
        jobs = self.jobs
        run_b = self.sewad.get("/api/v1/runs/b")["id"]
        fifth = self.sewad.job(jobs[5])["created_at"]
        for query, expected in [
            ({"state": "succeeded"}, jobs[8::-1]), ({"state": "failed"}, jobs[9:]),
            ({"state": "running"}, []), ({"run": "b"}, jobs[7::-2]), ({"run": run_b}, jobs[7::-2]),
            ({"label": "n=3"}, [jobs[3]]), ({"label": "even=True"}, jobs[8::-2]),
            ({"label": "n"}, jobs[8::-1]), ({"label": "never"}, []),
            ({"label": "even=True", "run": "a", "state": "succeeded"}, jobs[8::-2]),
            ({"created_after": fifth}, jobs[:5:-1]),
            ({"created_after": "2000-01-01T00:00:00Z"}, jobs[::-1]),
            ({"created_after": "2999-01-01T00:00:00Z"}, []),
        ]:
            for limit in (2, 500):
                with self.subTest(query=query, limit=limit):
                    self.assertEqual(self.uids(limit=limit, **query), expected)

    def test_bad_lists(self):
        for query, code, word in [
            ({"state": "done"}, "invalid", "done"), ({"run": "nobody"}, "unknown_name", "nobody"),
            ({"created_after": "yesterday"}, "invalid", "RFC 3339"),
            ({"created_after": "2026-13-01T00:00:00Z"}, "invalid", "RFC 3339"),
            ({"label": ""}, "invalid", "label"), ({"method": "last"}, "unknown_field", "method"),
            ({"limit": "-1"}, "invalid", "limit"), ({"page_token": "00"}, "invalid", "page_token"),
        ]:
            with self.subTest(query=query):
                self.sewad.request("GET", JOBS, **query).problem(422, code, word)


if __name__ == "__main__":
    unittest.main(verbosity=2)
