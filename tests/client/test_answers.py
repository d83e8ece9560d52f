"""answers - sewactl against answers that no sewad gives, and those it gives when something is wrong."""
import itertools
import json
import os
import re
import subprocess
import unittest

from ctl import CtlTest
from fake import API, RESET, Fake, job, problem, reply, routes, wait_for_request

VERSION = {"name": "sewad", "version": "0.1.0", "api": "v1"}


class Shown(CtlTest):
    def test_a_checkpoint_that_is_not_averaged(self):
        checkpoint = {"id": "ckpt_1", "state": "complete", "labels": {}, "metrics": {},
                      "averaging_refused": {"code": "unsupported", "detail": "it is an adapter"}}
        for refused in (True, False):
            if not refused:
                checkpoint["averaging_refused"] = None
            with Fake(lambda request: reply(200, checkpoint)) as fake:
                shown = self.ctl(fake.url)("checkpoint", "show", "ckpt_1").expect(0).out
            self.assertEqual(re.findall("averaging +refused: it is an adapter", shown) != [], refused)
            self.assertEqual("averaging" in shown, refused)


    def test_what_the_step_of_a_checkpoint_is(self):
        checkpoint = {"id": "ckpt_1", "state": "complete", "labels": {}, "metrics": {}, "step": 3,
                      "step_unit": "epoch", "step_reason": None}
        with Fake(lambda request: reply(200, checkpoint)) as fake:
            shown = self.ctl(fake.url)("checkpoint", "show", "ckpt_1").expect(0).out
        self.assertRegex(shown, r"(?m)^step +3 \(epoch\)$")
        checkpoint.update(step=None, step_unit=None, step_reason="it is named 'best'")
        with Fake(lambda request: reply(200, checkpoint)) as fake:
            shown = self.ctl(fake.url)("checkpoint", "show", "ckpt_1").expect(0).out
        self.assertRegex(shown, r"(?m)^step +- \(it is named 'best'\)$")
        with Fake(lambda request: reply(200, {"items": [checkpoint]})) as fake:
            listed = self.ctl(fake.url)("checkpoint", "list", "r").expect(0).out
        self.assertIn("it is named 'best'", listed)

    def test_steps_without_a_common_order(self):
        run = {"id": "run_1", "name": "r", "labels": {}, "steps": {"advice": "a pattern helps"}}
        for advice in (True, False):
            if not advice:
                run["steps"]["advice"] = None
            with Fake(lambda request: reply(200, run)) as fake:
                shown = self.ctl(fake.url)("run", "show", "r").expect(0).out
            self.assertEqual(re.findall("(?m)^steps +a pattern helps$", shown) != [], advice)
            self.assertEqual("steps" in shown, advice)


class Refusals(CtlTest):
    def ask(self, answer, *words, **environment):
        with Fake(lambda request: answer) as fake:
            outcome = self.ctl(fake.url, **environment)(*(words or ("version",)))
            self.requests = fake.requests
            return outcome

    def test_no_json(self):
        for body in ("", "<html>", "[]", '{"name":', "\0\1\2"):
            self.ask(reply(200, body)).expect(1, "is no JSON object: is this address a sewad?")

    def test_json_of_somebody_else(self):
        self.ask(reply(200, {"hello": 1})).expect(1, "the answer has no 'name'")
        self.ask(reply(200, {"items": [7]}), "run", "list").expect(1, "the answer has no 'id'")
        self.ask(reply(200, {"jobs": []}), "job", "list").expect(1, "the answer has no 'items'")
        self.ask(reply(200, {}), "evaluator", "list").expect(1, "the answer has no 'items'")

    def test_no_http(self):
        for greeting in (b"SSH-2.0-OpenSSH_9.2\r\n", b"<html>old</html>", b"\x15\x03\x01\x00\x02\x02\x28"):
            self.ask(greeting).expect(1, "does not speak HTTP")

    def test_connections_that_break(self):
        half = reply(200, VERSION)[:-20]
        self.ask(half).expect(6, "cannot reach")
        outcome = self.ask(iter([half, RESET])).expect(6, "cannot reach")
        self.assertNotIn("is sewad running", outcome.err)  # something is there
        self.ask(iter([RESET])).expect(6, "cannot reach")
        self.ask(b"").expect(6, "cannot reach")

    def test_nobody_is_there(self):
        with Fake(lambda request: b"") as fake:
            url = fake.url
        hint = "is sewad running, and is this the address and port that it listens on?"
        refused = "cannot reach %s: Connection refused\n" % url
        self.ctl(url)("status").expect(6, refused, hint, "The address comes from SEWA_URL")
        self.ctl()("status", "--url", url).expect(6, refused, hint, "comes from --url")
        ctl = self.ctl()
        self.scratch.write(ctl.path("sewa", "config"), "url = %s\n" % url)
        ctl("status").expect(6, refused, hint, "comes from " + ctl.path("sewa", "config"))
        self.assertEqual(ctl("status", "-q").err, "sewactl: " + refused)
        path = self.scratch.join("none")
        self.ctl()("status", "--socket", path).expect(
            6, "unix:%s: No such file or directory" % path, 'is this its "admin_socket"?', "from --socket")
        self.scratch.write("none", "no socket")
        self.ctl()("status", "--socket", path).expect(6, "unix:%s: Connection refused" % path)

    def test_too_late(self):
        self.ask(iter([60]), "version", "--request-timeout", "1").expect(6, "no answer from")
        trickle = itertools.chain([reply(200, VERSION)[:-20]], itertools.cycle([b" ", 0.1]))
        self.ask(trickle, "version", "--request-timeout", "1").expect(6, "no answer from")

    def test_redirects_are_not_followed(self):
        with Fake(lambda request: reply(200, VERSION)) as elsewhere:
            for status in (301, 302, 307, 308):
                outcome = self.ask(reply(status, Location=elsewhere.url + "/version"))
                outcome.expect(1, "status %d to '%s/version', which is not followed" % (
                    status, elsewhere.url))
            self.assertEqual(elsewhere.requests, [])

    def test_answers_without_end(self):
        piece = b" " * (1 << 20)
        head = reply(200, Content_Length=None)
        self.ask(itertools.chain([head], itertools.repeat(piece))).expect(
            1, "has more than 67108864 bytes")
        head = reply(500, Content_Length=None)
        self.ask(itertools.chain([head], itertools.repeat(piece))).expect(
            1, "has more than 1048576 bytes")

    def test_header_fields_without_end(self):
        field = b"X-A: " + b"a" * 8000 + b"\r\n"
        self.ask(itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(field))).expect(1)

    def test_statuses(self):
        for status, code, exit_status in (
                (400, "bad_request", 1), (401, "unauthorized", 5), (403, "forbidden", 5),
                (404, "not_found", 3), (409, "conflict", 4), (422, "invalid", 1),
                (429, "too_many_requests", 6), (500, "internal", 1), (503, "unavailable", 6)):
            outcome = self.ask(problem(status, code, "it is so"))
            outcome.expect(exit_status, "sewactl: ", "it is so")
            self.assertEqual(outcome.out, "sewactl 0.1.0\n")
        for status, exit_status in ((404, 3), (407, 5), (418, 1), (500, 1), (502, 6), (504, 6)):
            self.ask(reply(status, "<html>a proxy")).expect(exit_status, "status %d" % status)

    def test_the_number_of_an_internal_failure_is_told(self):
        self.ask(problem(500, "internal", "oops", request_id="req-7")).expect(1, "request req-7: oops")

    def test_the_option_to_blame_is_named(self):
        answer = problem(422, "invalid", "too many", errors=[{"pointer": "/select"}])
        self.ask(answer, "job", "submit", "-r", "d", "-k", "9").expect(1, "--select: too many")
        answer = problem(422, "invalid", "no such type", errors=[{"pointer": "/output/dtype"}])
        self.ask(answer, "job", "submit", "-r", "d", "--output-dtype", "F16").expect(
            1, "--output-dtype: no such type")

    def test_control_characters_are_shown(self):
        outcome = self.ask(problem(409, "conflict", "a\033]0;title\a\nb\u202e"))
        outcome.expect(4, "]0;title", "b\\u202e")
        for character in "\033\a\u202e":
            self.assertNotIn(character, outcome.err)
        self.assertEqual(outcome.err.count("\n"), 1)

    def test_a_service_that_is_not_ready(self):
        table = {"GET /readyz": problem(503, "unavailable", "migrating"),
                 "GET /version": reply(200, VERSION),
                 "GET %s/runs" % API: reply(200, {"items": [], "next_page_token": None}),
                 "GET %s/jobs" % API: reply(200, {"items": [], "next_page_token": None})}
        with Fake(routes(table)) as fake:
            outcome = self.ctl(fake.url)("status").expect(6)
            self.assertIn("no: migrating", outcome.out)
            outcome = self.ctl(fake.url)("status", "-o", "json").expect(6)
            self.assertEqual((outcome.json()["ready"], outcome.json()["reason"]), (False, "migrating"))


class Questions(CtlTest):
    """What is sent."""

    def ask(self, answer, *words, **environment):
        with Fake(answer if callable(answer) else lambda request: answer) as fake:
            outcome = self.ctl(fake.url, **environment)(*words)
            return outcome, fake.requests

    def test_tokens(self):
        outcome, requests = self.ask(reply(200, VERSION), "version", SEWA_TOKEN="s3cret")
        outcome.expect(0)
        self.assertEqual(requests[0].headers["authorization"], "Bearer s3cret")
        self.assertTrue(requests[0].headers["user-agent"].startswith("sewactl/"))
        path = self.scratch.write("token", "from-file\n")
        os.chmod(path, 0o600)
        outcome, requests = self.ask(reply(401, "x"), "version", "--token-file", path)
        outcome.expect(5)
        self.assertEqual(requests[0].headers["authorization"], "Bearer from-file")
        self.assertNotIn("from-file", outcome.err + outcome.out)
        outcome, requests = self.ask(reply(200, VERSION), "version", SEWA_TOKEN="two\r\nX-Evil: 1")
        outcome.expect(2, "the token")
        self.assertEqual(requests, [])

    def test_a_token_that_others_may_read_is_warned_of(self):
        path = self.scratch.write("token", "t")
        os.chmod(path, 0o644)
        outcome, _ = self.ask(reply(200, VERSION), "version", SEWA_TOKEN_FILE=path)
        outcome.expect(0, "can be read by others")
        outcome, _ = self.ask(reply(200, VERSION), "version", "-q", SEWA_TOKEN_FILE=path)
        self.assertEqual(outcome.expect(0).err, "")

    def test_loopback_is_never_reached_through_a_proxy(self):
        with Fake(lambda request: reply(418, "proxy")) as proxy:
            proxies = {name: proxy.url for name in ("http_proxy", "ALL_PROXY", "all_proxy")}
            outcome, requests = self.ask(reply(200, VERSION), "version", **proxies)
            outcome.expect(0)
            self.assertEqual((len(requests), proxy.requests), (1, []))
            # everything else may be
            ctl = self.ctl("http://head.invalid:8787", **proxies)
            ctl("version").expect(1, "status 418")
            self.assertEqual(proxy.requests[0].path, "http://head.invalid:8787/version")

    def test_unix_socket(self):
        path = self.scratch.join("socket")
        with Fake(lambda request: reply(200, VERSION), path) as fake:
            self.assertIn("at unix:" + path, self.ctl()("version", "--socket", path).expect(0).out)
            self.ctl("unix:" + path)("version").expect(0)
            self.assertEqual([r.headers["host"] for r in fake.requests], ["localhost", "localhost"])

    def test_prefix_of_a_reverse_proxy(self):
        with Fake(lambda request: reply(200, VERSION)) as fake:
            self.ctl(fake.url + "/team/sewa/")("version").expect(0)
            self.assertEqual(fake.paths(), ["GET /team/sewa/version"])

    def test_names_are_escaped(self):
        outcome, requests = self.ask(problem(404, "not_found", "x"), "run", "show", "../jobs?a=b#c")
        outcome.expect(3)
        self.assertEqual(requests[0].path, API + "/runs/..%2Fjobs%3Fa%3Db%23c")
        _, requests = self.ask(problem(404, "not_found", "x"), "job", "show", "..")
        self.assertEqual(requests[0].path, API + "/jobs/%2E%2E")

    def test_filters(self):
        empty = reply(200, {"items": [], "next_page_token": None})
        outcome, requests = self.ask(empty, "checkpoint", "list", "d", "--state", "complete",
                                     "--min-step", "0", "--max-step", "9", "--label", "a=b c",
                                     "--order-by", "metric.loss desc", "--limit", "7")
        self.assertEqual(outcome.expect(0, "there are no checkpoints").out, "")
        self.assertEqual(requests[0].path, API + "/runs/d/checkpoints?state=complete&min_step=0&"
                         "max_step=9&label=a%3Db%20c&order_by=metric.loss%20desc&limit=7")
        _, requests = self.ask(empty, "job", "list", "--state", "failed", "-r", "d", "--label", "a",
                               "--created-after", "2026-01-31T00:00:00Z")
        self.assertEqual(requests[0].path, API + "/jobs?state=failed&run=d&label=a&"
                         "created_after=2026-01-31T00%3A00%3A00Z&limit=50")

    def test_a_request_from_a_file(self):
        path = self.scratch.write("request.json", '{"run": "a", "seed": 3, "labels": {"x": "1"}}')
        answer = reply(201, job("queued"))
        _, requests = self.ask(answer, "job", "submit", "--request", path, "-r", "b", "-l", "y=2")
        self.assertEqual(requests[0].json(), {"run": "b", "seed": 3, "labels": {"x": "1", "y": "2"}})
        with Fake(lambda request: answer) as fake:
            self.ctl(fake.url)("job", "submit", "--request", "-", stdin=b'{"run": "c"}').expect(0)
            self.assertEqual(fake.requests[0].json(), {"run": "c"})
            self.ctl(fake.url)("job", "submit", "--request", "-", stdin=b"{").expect(1, "no JSON")
            self.ctl(fake.url)("job", "submit", "--request", "/does/not/exist").expect(
                1, "cannot read '/does/not/exist'")
            self.ctl(fake.url)("job", "submit", "--request", "-", stdin=b" " * 1100000).expect(
                1, "more than 1048576 bytes")
            self.assertEqual(len(fake.requests), 1)

    def test_options_that_exclude_each_other(self):
        for words in (("job", "submit"), ("job", "plan", "-k", "3"),
                      ("job", "submit", "-r", "a", "--checkpoint", "b"),
                      ("job", "submit", "-r", "a", "--baseline", "last", "--no-baselines"),
                      ("job", "submit", "-r", "a", "--dry-run", "-o", "name"),
                      ("job", "plan", "-r", "a", "-o", "name"), ("status", "-o", "name"),
                      ("evaluator", "check", "e"), ("run", "create", "x"),
                      ("job", "submit", "-r", "a", "--timeout", "1"),
                      ("job", "retry", "a", "--progress", "plain"),
                      ("evaluator", "check", "e", "--run", "a", "--timeout", "1"),
                      ("evaluator", "check", "e", "--run", "a", "--checkpoint", "b")):
            outcome, requests = self.ask(b"", *words)
            outcome.expect(2, "--help` shows what there is")
            self.assertEqual(requests, [])


class Output(CtlTest):
    def test_json_is_handed_on_unchanged(self):
        body = '{ "id":"job_1",\n "state":"queued", "x":0.10000000000000000555, "u":"\\u00e4\u00e4" }'
        with Fake(lambda request: reply(200, body)) as fake:
            self.assertEqual(self.ctl(fake.url)("job", "show", "j", "-o", "json").out, body + "\n")

    def test_pages(self):
        first = '{"items":[{"id":"r1","name":"a","x":1.50},{"id":"r2","name":"b"}],"next_page_token":"t2"}'
        second = '{"items":[{"id":"r3","name":"c"}],"next_page_token":null}'
        with Fake(lambda r: reply(200, second if "page_token=t2" in r.path else first)) as fake:
            ctl = self.ctl(fake.url)
            self.assertEqual(ctl("run", "list", "--limit", "2", "-o", "json").out, first + "\n")
            joined = ctl("run", "list", "--all", "-o", "json").expect(0).out
            self.assertEqual(joined, '{"items":[{"id":"r1","name":"a","x":1.50},{"id":"r2","name":"b"},'
                             '{"id":"r3","name":"c"}],"next_page_token":null}\n')
            self.assertEqual(ctl("run", "list", "--all", "-o", "name").out, "a\nb\nc\n")
            lines = ctl("run", "list", "--all", "-o", "jsonl").out
            self.assertEqual(lines.split("\n")[0], '{"id":"r1","name":"a","x":1.50}')
            self.assertEqual(len(lines.split("\n")), 4)
            table = ctl("run", "list", "--limit", "2").expect(0, "--page-token t2 goes on")
            self.assertEqual(len(table.out.splitlines()), 3)
            self.assertEqual(ctl("run", "list", "--page-token", "t2", "-o", "name").out, "c\n")
            self.assertEqual([r.path.split("?")[1] for r in fake.requests[1:3]],
                             ["limit=500", "limit=500&page_token=t2"])

    def test_output_that_cannot_be_written(self):
        with Fake(lambda request: reply(200, VERSION)) as fake:
            with open("/dev/full", "wb") as full:
                self.ctl(fake.url)("version", stdout=full).expect(1, "cannot write the output")
                self.ctl(fake.url)("--help", stdout=full).expect(1)
            process = self.ctl(fake.url).start("version")
            process.stdout.close()  # a reader that has left is no news
            _, err = process.communicate()
            self.assertEqual((process.returncode, err), (1, b""))

    def test_quiet(self):
        with Fake(lambda request: reply(201, job("queued"))) as fake:
            outcome = self.ctl(fake.url)("job", "submit", "-r", "d", "-q").expect(0)
            self.assertEqual((outcome.out, outcome.err), ("job_1\n", ""))
            outcome = self.ctl(fake.url)("job", "submit", "-r", "d").expect(0, "job watch job_1")
            self.assertEqual(outcome.out, "job_1\n")


class Submitting(CtlTest):
    def test_nothing_to_do(self):
        answer = reply(200, {"submitted": False, "reason": "3 of 10 new checkpoints"})
        with Fake(lambda request: answer) as fake:
            words = ("job", "submit", "-r", "d", "--if-new-checkpoints", "10", "--wait")
            outcome = self.ctl(fake.url)(*words).expect(0, "nothing to do: 3 of 10 new checkpoints")
            self.assertEqual(outcome.out, "")
            outcome = self.ctl(fake.url)(*words, "-o", "json").expect(0)
            self.assertEqual(outcome.json()["submitted"], False)
            self.assertEqual(fake.requests[0].json(), {"run": "d", "if_new_checkpoints": 10})

    def test_keys(self):
        newest = {"id": "ckpt_1", "state": "complete"}
        table = {"POST %s/jobs" % API: reply(201, job("queued"), Idempotent_Replayed="true"),
                 "GET %s/jobs/job_1" % API: lambda r: now[0],
                 "GET %s/runs/d/checkpoints" % API:
                     lambda r: reply(200, {"items": [newest], "next_page_token": None})}
        now = [reply(200, job("queued"))]
        with Fake(routes(table)) as fake:
            submit = ("job", "submit", "-r", "d", "--idempotency-key")
            ctl = self.ctl(fake.url)
            ctl(*submit, "mine").expect(0, "this key was used before")
            for _ in range(2):
                ctl(*submit, "auto").expect(0)
            newest["id"] = "ckpt_2"
            ctl(*submit, "auto").expect(0)
            keys = [r.headers["idempotency-key"] for r in fake.requests if r.method == "POST"]
            self.assertEqual((keys[0], len(keys[1])), ("mine", 64))
            self.assertEqual(keys[1], keys[2])
            self.assertNotEqual(keys[2], keys[3])
            self.assertTrue(keys[1].startswith("auto-"), keys[1])
            # the answer is that of its time; what is said is true now
            failed = job("failed", reason={"code": "evaluator_died", "detail": "signal 9"})
            for state, status in ((failed, 7), (job("cancelled"), 8), (job("succeeded"), 0)):
                now[0] = reply(200, state)
                outcome = ctl(*submit, "mine").expect(status, "the job is " + state["state"])
                self.assertNotIn("queued", outcome.err + outcome.out)
                shown = ctl(*submit, "mine", "-o", "json").expect(status).json()
                self.assertEqual(shown["state"], state["state"])
            now[0] = reply(404, {"code": "not_found", "detail": "there is no job 'job_1'",
                                 "status": 404, "title": "x", "type": "y", "request_id": "z"})
            ctl(*submit, "mine").expect(3, "there is no job 'job_1'")

    def test_keys_of_what_is_no_submission(self):
        """Retries and checks: the answer is that of its time here, too, and no key can be made."""
        table = {"POST %s/jobs/job_0/retry" % API: reply(201, job("queued")),
                 "POST %s/evaluators/e/check" % API: reply(201, job("queued")),
                 "GET %s/jobs/job_1" % API: reply(200, job("cancelled"))}
        with Fake(routes(table)) as fake:
            for words in (("job", "retry", "job_0"), ("evaluator", "check", "e", "--run", "d")):
                ctl = self.ctl(fake.url)
                ctl(*words, "--idempotency-key", "mine").expect(8, "the job is cancelled")
                self.assertEqual(fake.requests[-2].headers["idempotency-key"], "mine")
                known = len(fake.requests)
                ctl(*words, "--idempotency-key", "auto").expect(2, "is for job submit")
                self.assertEqual(len(fake.requests), known)

    def test_a_wrong_gradient(self):
        report = {"check": {"loss": 1, "gradient_check": {"ok": False, "analytic": 1, "numeric": 2,
                                                          "relative_error": 0.5}, "traits": {}}}
        with Fake(lambda r: reply(202, job("succeeded", evaluator="e", result=report))) as fake:
            outcome = self.ctl(fake.url)("evaluator", "check", "e", "--run", "d", "--wait")
            outcome.expect(1, "the gradient of evaluator 'e' is wrong")
            self.assertIn("WRONG: slope 1.0000", outcome.out)


class Waiting(CtlTest):
    """Long polling, restarts, and how a job ends."""

    def wait(self, answers, *words, path=None):
        with Fake(routes({"GET %s/jobs/job_1" % API: answers})) as fake:
            outcome = self.ctl(fake.url)(*(words or ("job", "wait", "job_1")))
            self.requests = fake.requests
            return outcome

    def test_how_jobs_end(self):
        failed = job("failed", reason={"code": "evaluator_died", "detail": "signal 9"})
        for last, status in ((job("succeeded"), 0), (failed, 7), (job("cancelled"), 8)):
            answers = [reply(200, job("running"), ETag='"v1"'), reply(200, last, ETag='"v2"')]
            self.assertIn(last["state"], self.wait(answers).expect(status).out)
            outcome = self.wait(answers, "job", "watch", "job_1").expect(status)
            self.assertIn("state           " + last["state"], outcome.out)
            self.assertEqual(json.loads(self.wait(
                answers, "job", "wait", "job_1", "-o", "json").expect(status).out), last)

    def test_one_question_and_a_long_answer(self):
        self.wait([reply(200, job("running")), iter([0.3, reply(200, job("succeeded"))])]).expect(0)
        self.assertEqual([r.path for r in self.requests],
                         [API + "/jobs/job_1", API + "/jobs/job_1?wait=60"])

    def test_with_a_bar_only_changes_are_asked_for(self):
        answers = [reply(200, job("running"), ETag='"v1"'), reply(304, ETag='"v1"'),
                   reply(200, job("running"), ETag='"v2"'), reply(200, job("succeeded"), ETag='"v3"')]
        outcome = self.wait(answers, "job", "wait", "job_1", "--progress", "plain").expect(
            0, "job_1 running")
        self.assertIn("succeeded", outcome.out)
        asked = [r for r in self.requests if "/trace" not in r.path]
        self.assertEqual([r.headers.get("if-none-match") for r in asked],
                         [None, '"v1"', '"v1"', '"v2"'])

    def test_a_service_that_is_restarted(self):
        gone = iter([RESET])
        answers = [reply(200, job("running")), reply(200, job("running")), reply(503, "stopping"),
                   gone, problem(503, "unavailable", "starting"), reply(200, job("succeeded"))]
        self.wait(answers).expect(0)
        self.assertEqual(len(self.requests), 6)

    def test_what_does_not_pass_by_itself(self):
        self.wait([reply(200, job("running")), reply(200, job("running")),
                   problem(404, "not_found", "there is no job 'job_1'")]).expect(3, "no job 'job_1'")
        self.wait([reply(200, job("running")), problem(401, "unauthorized", "expired")]).expect(5)
        self.wait([reply(200, job("running")), reply(200, "garbage")]).expect(1, "a sewad?")

    def test_the_time_is_over(self):
        for progress in ("none", "plain"):
            outcome = self.wait([reply(200, job("running"), ETag='"v1"')], "job", "wait", "job_1",
                                "--timeout", "1", "--progress", progress)
            outcome.expect(6, "job watch job_1")
            self.assertEqual(outcome.out, "")
        self.wait([reply(200, job("running"))], "job", "wait", "job_1", "--timeout", "0").expect(6)
        self.wait([reply(200, job("succeeded"))], "job", "wait", "job_1", "--timeout", "0").expect(0)

    def test_an_answer_that_comes_too_early_is_no_reason_to_hurry(self):
        self.wait([reply(200, job("running"))], "job", "wait", "job_1", "--timeout", "1").expect(6)
        self.assertLess(len(self.requests), 12)  # one in 200 ms

    def test_several_jobs(self):
        table = {"GET %s/jobs/job_%d" % (API, n): reply(200, job(state, "job_%d" % n))
                 for n, state in ((1, "succeeded"), (2, "cancelled"), (3, "failed"), (4, "cancelled"))}
        with Fake(routes(table)) as fake:
            ctl = self.ctl(fake.url)
            outcome = ctl("job", "wait", "job_1", "job_2", "job_3", "job_4").expect(7)
            self.assertEqual(len(outcome.out.splitlines()), 5)
            ctl("job", "wait", "job_1", "job_2").expect(8)
            outcome = ctl("job", "wait", "job_1", "job_9", "job_3").expect(3)
            self.assertEqual(len(outcome.out.splitlines()), 2)  # what was learned is shown

    def test_a_state_of_a_newer_service(self):
        self.wait([reply(200, job("dreaming")), reply(200, job("succeeded"))]).expect(0)


class Logs(CtlTest):
    PATH = "GET %s/jobs/job_1/logs" % API

    def logs(self, table, *words):
        with Fake(routes(table)) as fake:
            outcome = self.ctl(fake.url)("job", "logs", "job_1", *words)
            self.requests = fake.requests
            return outcome

    def test_a_file_gets_the_bytes(self):
        text = "a\033[31m\r\n\u00e4".encode() + b"\xff\0"
        outcome = self.logs({self.PATH: reply(200, text)}).expect(0)
        self.assertEqual(outcome.out.encode("utf-8", "surrogateescape"), text)

    def test_following_over_a_restart_tells_nothing_twice(self):
        first = reply(200, b"one\ntwo\n", Content_Length=None)
        table = {self.PATH: [first, iter([reply(200, b"one\ntw", Content_Length=100), RESET]),
                             reply(200, b"one\ntwo\nthree\n"), reply(200, b"one\ntwo\nthree\nfour\n")],
                 "GET %s/jobs/job_1" % API: [reply(200, job("running")), reply(200, job("succeeded"))]}
        self.assertEqual(self.logs(table, "-f").expect(0).out, "one\ntwo\nthree\nfour\n")

    def test_of_a_job_that_is_not_there(self):
        self.logs({}).expect(3)
        self.logs({}, "--follow").expect(3)

    def test_nobody_reads(self):
        endless = itertools.chain([reply(200, Content_Length=None)], itertools.repeat(b"x" * 65536))
        with Fake(lambda request: endless) as fake:
            process = self.ctl(fake.url).start("job", "logs", "job_1", stderr=subprocess.PIPE)
            wait_for_request(fake)
            process.stdout.read(10)
            process.stdout.close()
            process.stderr.read()
            self.assertEqual(process.wait(), 1)
            process.stderr.close()


if __name__ == "__main__":
    unittest.main()
