"""job_life - states: the queue, waiting, cancelling, retrying, deleting, and what a job prints."""
import http.client
import os
import threading
import time
import unittest

from sewa import FINAL, ServiceTest, SharedServiceTest, needs_failpoints, toy_evaluator, wait_until
from toys import toy_service

JOBS = "/api/v1/jobs"


def gated(scratch, name="gate", **more):
    """An evaluator whose evaluations wait until open_gate()."""
    return toy_evaluator(dict({"gate": scratch.join(name)}, **more))


class LifeTest(ServiceTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.open_gate)  # before the services are stopped: they wait for answers

    def open_gate(self, name="gate"):
        self.scratch.write(name, "")


class Waiting(LifeTest):
    def setUp(self):
        super().setUp()
        self.sewad = toy_service(self, {"toy": gated(self.scratch)})

    def ask(self, uid, etag=None, **query):
        headers = {"If-None-Match": etag} if etag else {}
        return self.sewad.request("GET", JOBS + "/" + uid, None, headers, **query)

    def test_wait_answers_at_the_end_of_the_job(self):
        uid = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        opener = threading.Timer(0.5, self.open_gate)
        opener.start()
        reply = self.ask(uid, wait=60).expect(200)
        opener.join()
        self.assertEqual(reply.json()["state"], "succeeded")
        self.assertEqual(self.ask(uid, wait=60).expect(200).json(), reply.json())

    def test_wait_answers_when_the_time_is_over(self):
        uid = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        began = time.monotonic()
        self.assertNotIn(self.ask(uid, wait=1).expect(200).json()["state"], FINAL)
        self.assertGreaterEqual(time.monotonic() - began, 1.0)
        self.assertNotIn(self.ask(uid, wait=0).expect(200).json()["state"], FINAL)
        for bad in (61, -1, "long"):
            self.ask(uid, wait=bad).problem(422, "invalid", "wait")

    def test_if_none_match(self):
        uid = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        self.sewad.wait_state(uid, "starting", "running")
        wait_until(lambda: self.sewad.job(uid)["state"] == "running", "it runs")
        etag = self.ask(uid).expect(200).headers["ETag"]
        same = self.ask(uid, etag).expect(304)
        self.assertEqual((same.body, same.headers["ETag"]), (b"", etag))
        self.assertNotIn("Content-Length", same.headers)  # it would be that of the content
        self.assertNotIn("Transfer-Encoding", same.headers)
        self.ask(uid, etag, wait=1).expect(304)
        self.ask(uid, '"v0"').expect(200)
        self.ask(uid, '"v0"', wait=60).expect(200)
        seen = [etag]
        self.open_gate()
        while True:
            # each answer is another version, until the last one
            reply = self.ask(uid, seen[-1], wait=60).expect(200)
            self.assertNotIn(reply.headers["ETag"], seen)
            seen.append(reply.headers["ETag"])
            if reply.json()["state"] in FINAL:
                break
        self.ask(uid, seen[-1], wait=60).expect(304)  # at once: nothing will change any more

    def test_many_wait_and_all_are_told(self):
        uid = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        states = []
        waiters = [threading.Thread(target=lambda: states.append(
            self.ask(uid, wait=60).expect(200).json()["state"])) for _ in range(40)]
        for waiter in waiters:
            waiter.start()
        self.open_gate()
        for waiter in waiters:
            waiter.join()
        self.assertEqual(states, ["succeeded"] * 40)

    def test_whoever_waits_for_a_deleted_job_is_told(self):
        self.open_gate()
        uid = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        etag = self.sewad.wait_job(uid) and self.ask(uid).headers["ETag"]
        self.sewad.request("DELETE", JOBS + "/" + uid).expect(204)
        self.ask(uid, etag, wait=60).problem(404, "not_found", uid)

    def test_waiting_ends_when_the_service_stops(self):
        uid = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        replies = []
        waiter = threading.Thread(target=lambda: replies.append(self.ask(uid, wait=60)))
        waiter.start()
        self.sewad.wait_state(uid, "running")
        self.open_gate()
        self.sewad.stop()
        waiter.join()
        self.assertIn(replies[0].status, (200, 503), replies[0])


class Cancelling(LifeTest):
    def cancel(self, sewad, uid):
        sewad.request("POST", JOBS + "/" + uid + "/cancel", {}).expect(202)

    def check_cancelled(self, sewad, uid):
        """Accepted, then cancelled, and nothing is left of it."""
        self.cancel(sewad, uid)
        self.check_is_cancelled(sewad, uid)

    def check_is_cancelled(self, sewad, uid):
        done = sewad.wait_job(uid, "cancelled")
        self.assertIsNone(done["result"])
        self.assertEqual(done["artifacts"], [])
        self.assertIsNotNone(done["finished_at"])
        sewad.request("POST", JOBS + "/" + uid + "/cancel", {}).problem(409, "conflict",
                                                                        "cancelled")
        artifacts = os.path.join(sewad.state, "artifacts")
        wait_until(lambda: not [n for n in os.listdir(artifacts) if uid in n],
                   "no files of the job are left")
        wait_until(lambda: not self.scratch.processes("sewa-worker"), "its worker has ended")

    def test_queued(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)})
        first = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        sewad.wait_state(first, "running")
        second = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        self.assertEqual(sewad.job(second)["state"], "queued")
        sewad.request("POST", JOBS + "/" + second + "/cancel", {}).expect(202)
        self.assertEqual(sewad.wait_job(second, "cancelled")["started_at"], None)
        self.open_gate()
        sewad.wait_job(first)

    def test_starting(self):
        sewad = toy_service(self, {"toy": toy_evaluator({
            "setup_gate": self.scratch.join("never")})})
        uid = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        sewad.wait_state(uid, "starting")
        wait_until(lambda: sewad.workers(), "a worker is started")
        self.check_cancelled(sewad, uid)

    def test_running(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)})
        uid = sewad.submit(run="toy", evaluator="toy")["id"]
        sewad.wait_state(uid, "running")
        self.check_cancelled(sewad, uid)
        # the slot is free again
        self.open_gate()
        sewad.run_job(run="toy", evaluator="toy", method="best")

    def test_running_while_the_evaluator_hangs(self):
        sewad = toy_service(self, {"toy": toy_evaluator({"fault": "hang", "at": 2})})
        uid = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        sewad.wait_state(uid, "running")
        self.check_cancelled(sewad, uid)

    @needs_failpoints
    def test_publishing_while_the_worker_writes(self):
        sewad = toy_service(self, SEWA_FAILPOINT="worker_average=sleep:3000")
        uid = sewad.submit(run="toy", method="uniform")["id"]
        sewad.wait_state(uid, "publishing")
        self.check_cancelled(sewad, uid)

    @needs_failpoints
    def test_publishing_while_it_is_put_in_place(self):
        jobs = []
        for place in ("publish_before_rename", "publish_after_rename"):
            sewad = toy_service(self, SEWA_FAILPOINT=place + "=sleep:3000")
            uid = sewad.submit(run="toy", method="uniform")["id"]
            sewad.wait_state(uid, "publishing")
            wait_until(lambda: not self.scratch.processes("sewa-worker"), "the worker is done")
            self.cancel(sewad, uid)
            jobs.append((place, sewad, uid))
        for place, sewad, uid in jobs:
            with self.subTest(place=place):
                self.check_is_cancelled(sewad, uid)

    def test_again_and_again(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)})
        uid = sewad.submit(run="toy", evaluator="toy")["id"]
        sewad.wait_state(uid, "running")
        path = JOBS + "/" + uid + "/cancel"
        statuses = [sewad.request("POST", path, {}).status for _ in range(5)]
        self.assertEqual(statuses[0], 202)
        self.assertLessEqual(set(statuses), {202, 409})
        sewad.wait_job(uid, "cancelled")

    def test_survives_a_kill(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)})
        uid = sewad.submit(run="toy", evaluator="toy")["id"]
        sewad.wait_state(uid, "running")
        sewad.request("POST", JOBS + "/" + uid + "/cancel", {}).expect(202)
        sewad.kill()
        sewad.start()
        sewad.wait_job(uid, "cancelled")

    def test_a_finished_job_and_none_at_all(self):
        sewad = toy_service(self)
        done = sewad.run_job(run="toy", method="last")
        sewad.request("POST", "%s/%s/cancel" % (JOBS, done["id"]), {}).problem(
            409, "conflict", "succeeded")
        self.assertEqual(sewad.job(done["id"]), done)
        sewad.request("POST", JOBS + "/job_nobody/cancel", {}).problem(404, "not_found")


class QueueAndSlots(LifeTest):
    def test_first_come_first_served(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)})
        uids = [sewad.submit(run="toy", evaluator="toy", method="best")["id"] for _ in range(4)]
        sewad.wait_state(uids[0], "running")
        self.assertEqual([sewad.job(u)["state"] for u in uids[1:]], ["queued"] * 3)
        self.open_gate()
        started = [sewad.wait_job(u)["started_at"] for u in uids]
        self.assertEqual(started, sorted(started))

    def test_two_slots(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)}, {"local_workers": 2})
        uids = [sewad.submit(run="toy", evaluator="toy", method="best")["id"] for _ in range(3)]
        for uid in uids[:2]:
            sewad.wait_state(uid, "running")
        self.assertEqual(sewad.job(uids[2])["state"], "queued")
        self.assertEqual(len(sewad.workers()), 2)
        self.open_gate()
        for uid in uids:
            sewad.wait_job(uid)

    def test_more_workers_than_slots(self):
        sewad = toy_service(self, {"toy": toy_evaluator()}, {"local_workers": 2})
        job = {"run": "toy", "evaluator": "toy", "method": "best", "workers": 5}
        plan = sewad.post(JOBS, job, 200, dry_run="true")["plan"]
        note = "5 workers are asked for, and this service has slots for 2"
        self.assertIn(note, " ".join(plan["warnings"]))
        done = sewad.run_job(**job)
        self.assertIn(note, " ".join(done["result"]["notes"]))
        # it is not compared with itself, nor with the last one twice ("lawa" of one)
        self.assertEqual([b["method"] for b in done["result"]["baselines"]], ["last", "uniform"])
        self.assertEqual(done["progress"]["evaluations"], done["progress"]["evaluations_total"])
        one = sewad.run_job(run="toy", evaluator="toy", select=1,
                            params={"iterations": 2, "polish": 2})
        self.assertEqual([b["method"] for b in one["result"]["baselines"]],
                         ["last", "best", "uniform"])
        self.assertEqual(one["progress"]["evaluations"], one["progress"]["evaluations_total"])

    def test_device_slots(self):
        about = self.scratch.join("about")
        sewad = toy_service(self, {"toy": toy_evaluator({"about": about})},
                                  {"device_slots": ["3"]}, CUDA_VISIBLE_DEVICES="0,1")
        sewad.run_job(run="toy", evaluator="toy", method="best")
        with open(about, encoding="utf-8") as file:
            self.assertIn('"CUDA_VISIBLE_DEVICES": "3"', file.read())


class RetryAndDelete(LifeTest):
    def test_retry(self):
        once = self.scratch.join("once")
        sewad = toy_service(self, {"toy": toy_evaluator({"fault": "mismatch", "once": once})})
        failed = sewad.fail_job("evaluator_mismatch", run="toy", evaluator="toy", method="best",
                                window=4, seed=9, labels={"a": "b"})
        reply = sewad.request("POST", "%s/%s/retry" % (JOBS, failed["id"]), {}).expect(201)
        again = reply.json()
        self.assertEqual(reply.headers["Location"], JOBS + "/" + again["id"])
        self.assertNotEqual(again["id"], failed["id"])
        self.assertEqual(again["retry_of"], failed["id"])
        for field in ("run", "method", "window", "seed", "labels", "evaluator"):
            self.assertEqual(again[field], failed[field], field)
        self.assertEqual(sewad.wait_job(again["id"])["retry_of"], failed["id"])
        self.assertEqual(sewad.job(failed["id"]), failed)

    def test_only_what_is_finished(self):
        sewad = toy_service(self, {"toy": gated(self.scratch)})
        uid = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        sewad.request("POST", "%s/%s/retry" % (JOBS, uid), {}).problem(409, "conflict", uid)
        sewad.request("DELETE", "%s/%s" % (JOBS, uid)).problem(409, "conflict", "cancel")
        self.open_gate()
        sewad.wait_job(uid)
        sewad.request("POST", "%s/%s/retry" % (JOBS, uid), {}).expect(201)
        for method, path in (("POST", "/retry"), ("DELETE", "")):
            sewad.request(method, JOBS + "/job_nobody" + path,
                          {} if path else None).problem(404, "not_found", "job_nobody")

    def test_delete_takes_everything_along(self):
        sewad = toy_service(self, {"toy": toy_evaluator({"say": ["hello"]})})
        done = sewad.run_job(run="toy", evaluator="toy", select=2)
        path = JOBS + "/" + done["id"]
        sewad.request("DELETE", path).expect(204)
        for suffix in ("", "/trace", "/logs", "/artifacts", "/artifacts/model.safetensors"):
            sewad.request("GET", path + suffix).problem(404, "not_found", done["id"])
        sewad.request("DELETE", path).problem(404, "not_found")
        for place in ("artifacts", "jobs"):
            directory = os.path.join(sewad.state, place)
            wait_until(lambda d=directory: not os.listdir(d), "nothing is left in " + place)
        self.assertEqual(sewad.pages(JOBS), [])
        self.assertEqual(len(sewad.complete("toy")), 6)


class Logs(LifeTest):
    def test_what_the_evaluator_prints(self):
        said = ["first line", "ein Wort: größer", "last words"]
        sewad = toy_service(self, {"toy": toy_evaluator({"say": said})})
        done = sewad.run_job(run="toy", evaluator="toy", method="best")
        text = sewad.job_log(done["id"])
        for line in said:
            self.assertIn(line + "\n", text)
        reply = sewad.request("GET", "%s/%s/logs" % (JOBS, done["id"])).expect(200)
        self.assertEqual(reply.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(reply.body.decode(), text)
        quiet = sewad.run_job(run="toy", method="last")
        self.assertEqual(sewad.request("GET", "%s/%s/logs" % (JOBS, quiet["id"])).expect(200).body,
                         b"")
        sewad.request("GET", "%s/%s/logs" % (JOBS, done["id"]), follow="perhaps").problem(
            422, "invalid", "follow")

    def log_now(self, sewad, uid):
        """What is there at once, without following."""
        return sewad.request("GET", "%s/%s/logs" % (JOBS, uid)).expect(200).body.decode()

    def test_the_log_is_complete_when_the_job_has_ended(self):
        said = ["no data here", "and none there"]
        sewad = toy_service(self, {
            "bad": toy_evaluator({"say": said, "fault": "exit_at_start"}),
            "worse": toy_evaluator({"say": said, "fault": "exit", "at": 2}),
            "good": toy_evaluator({"say": said, "chatter": "done with"})})
        for i in range(3):
            with self.subTest(i=i):
                failed = sewad.fail_job("evaluator_start", run="toy", evaluator="bad",
                                        method="best")
                self.assertEqual(self.log_now(sewad, failed["id"]).splitlines(),
                                 (said + ["the evaluator gives up"]) * 3)
                failed = sewad.fail_job("evaluator_died", run="toy", evaluator="worse",
                                        method="best")
                self.assertEqual(self.log_now(sewad, failed["id"]).splitlines(),
                                 (said + ["the evaluator gives up"]) * 3)
                done = sewad.run_job(run="toy", evaluator="good", method="best")
                lines = self.log_now(sewad, done["id"]).splitlines()
                self.assertEqual(lines[:2], said)
                self.assertEqual(lines[2:], ["done with %d" % (n + 1)
                                             for n in range(len(lines) - 2)])
                # a point is evaluated on one split or on two
                self.assertGreaterEqual(len(lines) - 2, done["result"]["cost"]["evaluations"])

    @needs_failpoints
    def test_the_end_waits_for_the_log(self):
        said = ["slowly written"]
        sewad = toy_service(self, {"bad": toy_evaluator({"say": said, "fault": "exit_at_start"}),
                                   "good": toy_evaluator({"say": said})},
                            SEWA_FAILPOINT="joblog_write=sleep:700@1+")
        failed = sewad.fail_job("evaluator_start", run="toy", evaluator="bad", method="best")
        self.assertEqual(self.log_now(sewad, failed["id"]).splitlines(),
                         (said + ["the evaluator gives up"]) * 3)
        uid = sewad.submit(run="toy", evaluator="good", method="best", window=2)["id"]
        sewad.wait_job(uid)
        self.assertEqual(self.log_now(sewad, uid).splitlines(), said)

    @needs_failpoints
    def test_a_backlog_is_no_end_of_the_log(self):
        """While the disk is busy output is dropped, and how much is said; then the log goes on."""
        evaluator = gated(self.scratch, flood=950000, delay=0.15, gate_at=9,
                          chatter="done with")
        sewad = toy_service(self, {"toy": evaluator}, SEWA_FAILPOINT="joblog_write=sleep:3000")
        uid = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        wait_until(lambda: len(self.log_now(sewad, uid)) > 1 << 20, "the disk has taken the backlog")
        self.open_gate()
        done = sewad.wait_job(uid)
        text = self.log_now(sewad, uid)
        said = [line for line in text.splitlines() if not line.startswith("xxx")]
        self.assertNotIn("has reached its limit", text)
        # a slow machine is not faster than its disk: then nothing is dropped
        if "done with 8" not in said:
            self.assertIn("bytes of output came faster than they could be written and are not kept]",
                          text)
        last = done["result"]["cost"]["evaluations"]
        self.assertEqual(said[-1], "done with %d" % last)
        self.assertIn("done with 9", said)

    def test_a_log_is_followed_from_its_beginning_to_the_end_of_the_job(self):
        sewad = toy_service(self, {"toy": gated(self.scratch, say=["early", "too"])})
        uid = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        connection = http.client.HTTPConnection(sewad.address, timeout=60)
        connection.request("GET", "%s/%s/logs?follow=true" % (JOBS, uid))
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        text = b""
        while b"early" not in text or b"too" not in text:
            text += answer.read1(4096)  # arrives while the job still runs
        self.assertNotIn(sewad.job(uid)["state"], FINAL)
        self.open_gate()
        text += answer.read()
        connection.close()
        self.assertEqual(sewad.wait_job(uid)["state"], "succeeded")
        self.assertEqual(text.decode(), sewad.job_log(uid))

    def test_followers_that_leave_and_a_service_that_stops(self):
        sewad = toy_service(self, {"toy": gated(self.scratch, say=["hello"])})
        uid = sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        connections = []
        for _ in range(5):
            connection = http.client.HTTPConnection(sewad.address, timeout=60)
            connection.request("GET", "%s/%s/logs?follow=true" % (JOBS, uid))
            answer = connection.getresponse()
            self.assertIn(b"hello", answer.read1(4096))
            connections.append((connection, answer))
        for connection, _ in connections[:3]:
            connection.close()
        self.open_gate()
        sewad.stop()
        for connection, answer in connections[3:]:
            answer.read()  # it ends
            connection.close()


class Shared(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.sewad = toy_service(cls)

    def test_jobs_that_are_not_there(self):
        for method, path, body in [
            ("GET", "", None), ("GET", "/trace", None), ("GET", "/logs", None),
            ("GET", "/artifacts", None), ("GET", "/artifacts/model.safetensors", None),
            ("DELETE", "", None), ("POST", "/cancel", {}), ("POST", "/retry", {}),
        ]:
            with self.subTest(method=method, path=path):
                self.sewad.request(method, JOBS + "/job_01M80RZV076AQ7VDGFJNS8N6Y0" + path, body
                                   ).problem(404, "not_found", "job_01M80RZV076AQ7VDGFJNS8N6Y0")

    def test_a_hundred_jobs(self):
        uids = [self.sewad.submit(run="toy", method="last", labels={"n": str(i)})["id"]
                for i in range(100)]
        for uid in uids:
            self.sewad.wait_job(uid)
        self.assertEqual([j["id"] for j in self.sewad.pages(JOBS, limit=7, label="n")], uids[::-1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
