"""pull - sewactl job pull: whole files or none, taken up where they broke, whatever the other end does."""
import os
import signal
import unittest

from ctl import CtlTest
from fake import API, RESET, Content, Fake, part_of, problem, reply, routes, wait_for_request

LIST = "GET %s/jobs/job_1/artifacts" % API
FILE = LIST + "/model.safetensors"
BIG = bytes(range(251)) * 8000  # two megabytes, not one byte like its neighbour


class PullTest(CtlTest):
    def setUp(self):
        super().setUp()
        self.folder = self.scratch.directory("to")
        self.target = os.path.join(self.folder, "m")
        self.content = Content(BIG)

    def pull(self, answers, *words, listing=None):
        with Fake(routes({LIST: listing or self.content.listing(), FILE: answers})) as fake:
            outcome = self.ctl(fake.url)("job", "pull", "job_1", "-O", self.target, *words)
            self.requests = [r for r in fake.requests if r.path.endswith("model.safetensors")]
            return outcome

    def check_there(self, outcome):
        outcome.expect(0)
        self.assertEqual(self.read(self.target), self.content.data)
        self.assertEqual(part_of(self.folder), [])
        self.assertEqual(outcome.out, self.target + "\n")

    def check_not_there(self, outcome, status, *words):
        outcome.expect(status, *words)
        self.assertFalse(os.path.exists(self.target))
        self.assertEqual(outcome.out, "")


class Whole(PullTest):
    def test_a_file(self):
        self.check_there(self.pull(self.content.answer))
        self.pull(self.content.answer).expect(0, "is there already")
        self.assertEqual(self.requests, [])

    def test_an_older_file_is_replaced(self):
        self.scratch.write("to/m", "old")
        self.check_there(self.pull(self.content.answer))

    def test_an_empty_file(self):
        self.content = Content(b"")
        self.check_there(self.pull(self.content.answer))

    def test_a_folder(self):
        manifest = Content(b"{}", "manifest.json")
        table = {LIST: reply(200, {"items": [self.content.item(), manifest.item()]}),
                 FILE: self.content.answer, LIST + "/manifest.json": manifest.answer}
        with Fake(routes(table)) as fake:
            ctl = self.ctl(fake.url)
            outcome = ctl("job", "pull", "job_1").expect(0)
            self.assertEqual(outcome.out, "job_1/model.safetensors\njob_1/manifest.json\n")
            self.assertEqual(self.read(ctl.path("job_1", "manifest.json")), b"{}")
            new = os.path.join(self.folder, "new") + "/"
            ctl("job", "pull", "job_1", "-O", new, "-q").expect(0)
            self.assertEqual(sorted(os.listdir(new)), ["manifest.json", "model.safetensors"])
            ctl("job", "pull", "job_1", "-O", self.target).expect(0)  # the average alone
            self.assertEqual(self.read(self.target), BIG)
            other = os.path.join(self.folder, "other.json")
            ctl("job", "pull", "job_1", "--artifact", "manifest.json", "-O", other).expect(0)
            self.assertEqual(self.read(other), b"{}")
            ctl("job", "pull", "job_1", "--artifact", "nope").expect(3, "no file 'nope'")

    def test_the_output_option_is_a_format(self):
        """For a version it is a place too, unless it is the name of a format."""
        manifest = Content(b"{}", "manifest.json")
        listing = reply(200, {"items": [self.content.item(), manifest.item()]})
        table = {LIST: listing, FILE: self.content.answer, LIST + "/manifest.json": manifest.answer}
        with Fake(routes(table)) as fake:
            ctl = self.ctl(fake.url)
            outcome = ctl("job", "pull", "job_1", "-o", self.folder).expect(0, "is no format", "write -O")
            self.assertEqual(sorted(os.listdir(self.folder)), ["manifest.json", "model.safetensors"])
            self.assertEqual(outcome.out.split(), [os.path.join(self.folder, f) for f in
                                                   ("model.safetensors", "manifest.json")])
            ctl("job", "pull", "job_1", "--output=" + self.target).expect(0, "is no format")
            self.assertEqual(self.read(self.target), BIG)
            os.mkdir(ctl.path("json"))  # not meant
            outcome = ctl("job", "pull", "job_1", "-o", "json", "-O", self.folder)
            self.assertNotIn("is no format", outcome.expect(0).err)
            self.assertEqual([a["name"] for a in outcome.json()["items"]],
                             ["model.safetensors", "manifest.json"])
            self.assertEqual(os.listdir(ctl.path("json")), [])
            outcome = ctl("job", "pull", "job_1", "-o", "name").expect(0)
            self.assertEqual(outcome.out, "job_1/model.safetensors\njob_1/manifest.json\n")
            count = len(fake.requests)
            ctl("job", "pull", "job_1", "-o", "here", "-O", "there").expect(2, "wanted is one of table")
            ctl("job", "pull", "job_1", "-o", "jsonl").expect(2, "has no meaning here")
            ctl("job", "pull", "job_1", "-o", "json", "-O", "-").expect(2, "exclude each other")
            for words in (["cancel"], ["delete"], ["logs"]):
                ctl("job", *words, "job_1", "-o", "json").expect(2, "has no meaning here")
            self.assertEqual(len(fake.requests), count)

    def test_shards_need_a_folder(self):
        shards = [Content(b"1", "model-1.safetensors"), Content(b"2", "model-2.safetensors")]
        table = {LIST: reply(200, {"items": [s.item() for s in shards]})}
        with Fake(routes(table)) as fake:
            self.ctl(fake.url)("job", "pull", "job_1", "-O", self.target).expect(2, "2 files")

    def test_a_job_without_files(self):
        with Fake(lambda request: reply(200, {"items": []})) as fake:
            self.ctl(fake.url)("job", "pull", "job_1").expect(3, "it has not succeeded")
        with Fake(lambda request: problem(404, "not_found", "no such job")) as fake:
            self.ctl(fake.url)("job", "pull", "job_1").expect(3, "no such job")

    def test_a_place_that_cannot_be_written(self):
        self.target = os.path.join(self.folder, "none", "m")
        self.check_not_there(self.pull(self.content.answer), 1, "cannot write")
        self.assertEqual(self.requests, [])


class Stdout(PullTest):
    def setUp(self):
        super().setUp()
        self.target = "-"

    def raw(self, answers, *words):
        """The bytes that come, and the exit status."""
        with Fake(routes({LIST: self.content.listing(), FILE: answers})) as fake:
            process = self.ctl(fake.url).start("job", "pull", "job_1", "-O", "-", *words)
            out, err = process.communicate()
            self.requests = [r for r in fake.requests if r.path.endswith("model.safetensors")]
            return out, process.returncode, err.decode()

    def test_the_bytes_and_nothing_else(self):
        self.assertEqual(self.raw(self.content.answer), (BIG, 0, ""))

    def test_it_is_taken_up_where_it_broke(self):
        half = lambda request: self.content.answer(request)[:1000000]  # noqa: E731
        out, status, _ = self.raw([half, self.content.answer])
        self.assertEqual((out, status), (BIG, 0))
        self.assertIn("range", self.requests[1].headers)

    def test_what_cannot_be_taken_up_is_no_success(self):
        whole = self.content.answer
        half = lambda request: whole(request)[:1000000]  # noqa: E731

        def from_the_beginning(request):
            request.headers.pop("range")
            return whole(request)
        out, status, err = self.raw([half, from_the_beginning])
        self.assertEqual(status, 4)
        self.assertLess(len(out), len(BIG))
        self.assertIn("handed on already", err)

    def test_wrong_bytes_are_no_success(self):
        wrong = BIG[:-1] + b"x"
        _, status, err = self.raw(lambda request: reply(200, wrong, **self.content.headers()))
        self.assertEqual(status, 1)
        self.assertIn("arrived with SHA-256", err)

    def test_nobody_reads(self):
        with Fake(routes({LIST: self.content.listing(), FILE: self.content.answer})) as fake:
            with open("/dev/full", "wb") as full:
                self.ctl(fake.url)("job", "pull", "job_1", "-O", "-", stdout=full).expect(
                    1, "cannot write to standard output")

    def test_several_files(self):
        shards = [Content(b"1", "model-1.safetensors"), Content(b"2", "model-2.safetensors")]
        table = {LIST: reply(200, {"items": [s.item() for s in shards]}),
                 LIST + "/model-2.safetensors": shards[1].answer}
        with Fake(routes(table)) as fake:
            ctl = self.ctl(fake.url)
            ctl("job", "pull", "job_1", "-O", "-").expect(2, "2 files: name one with --artifact")
            outcome = ctl("job", "pull", "job_1", "-O", "-", "--artifact", "model-2.safetensors")
            self.assertEqual(outcome.expect(0).out, "2")


class Broken(PullTest):
    def half(self, request):
        """Ends too early, but without a reset: that would take back what has not been read yet."""
        return self.content.answer(request)[:1000000]

    def test_taken_up_in_the_same_call(self):
        outcome = self.pull([self.half, self.content.answer])
        self.check_there(outcome)
        self.assertNotIn("were there", outcome.err)
        second = self.requests[1].headers
        self.assertEqual(second["if-range"], self.content.etag)
        self.assertGreater(int(second["range"][len("bytes="):-1]), 900000)

    def test_taken_up_by_a_later_call(self):
        self.check_not_there(self.pull([self.half, iter([RESET])]), 6, "the same command goes on")
        self.assertEqual(len(part_of(self.folder)), 1)
        outcome = self.pull(self.content.answer)
        self.check_there(outcome)
        outcome.expect(0, "of it were there")
        self.assertIn("range", self.requests[0].headers)

    def test_many_small_steps(self):
        def step(request):
            answer = self.content.answer(request)
            return answer[:answer.index(b"\r\n\r\n") + 4 + 400000]
        self.check_there(self.pull([step]))
        self.assertEqual(len(self.requests), 6)

    def test_the_whole_comes_instead_of_the_rest(self):
        whole = reply(200, BIG, **self.content.headers())
        self.check_there(self.pull([self.half, whole]))

    def test_a_range_that_is_refused(self):
        self.check_there(self.pull([self.half, problem(416, "range_not_satisfiable", "no"),
                                    self.content.answer]))
        self.assertNotIn("range", self.requests[2].headers)

    def test_another_rest_than_asked_for(self):
        wrong = reply(206, BIG[7:], **self.content.headers(),
                      Content_Range="bytes 7-%d/%d" % (len(BIG) - 1, len(BIG)))
        self.check_not_there(self.pull([self.half, wrong]), 1, "got 'bytes 7-")

    def test_remains_that_were_spoiled(self):
        self.check_not_there(self.pull([self.half, iter([RESET])]), 6)
        path = os.path.join(self.folder, part_of(self.folder)[0])
        with open(path, "r+b") as file:
            file.write(b"spoiled")
        self.check_there(self.pull(self.content.answer))
        self.assertEqual(["range" in r.headers for r in self.requests], [True, False])

    def test_the_service_is_away_for_a_moment(self):
        self.check_there(self.pull([problem(503, "unavailable", "starting"), iter([RESET]),
                                    self.content.answer]))

    def test_silence(self):
        stalled = reply(200, BIG, **self.content.headers())[:5000]
        outcome = self.pull(lambda request: iter([stalled, 60]), "--request-timeout", "1")
        self.check_not_there(outcome, 6, "no answer from")

    def test_interrupted(self):
        table = {LIST: self.content.listing(),
                 FILE: lambda request: iter([self.content.answer(request)[:5000], 60])}
        with Fake(routes(table)) as fake:
            process = self.ctl(fake.url).start("job", "pull", "job_1", "-O", self.target)
            wait_for_request(fake, 2)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
            self.assertEqual((process.returncode, out), (130, b""))
            self.assertIn(b"the same command goes on", err)
            self.assertFalse(os.path.exists(self.target))


class Wrong(PullTest):
    def test_digest(self):
        self.scratch.write("to/m", "old")
        wrong = BIG[:-1] + b"?"
        outcome = self.pull(reply(200, wrong, ETag=self.content.etag))
        outcome.expect(1, "it must be " + self.content.sha256)
        self.assertEqual(self.read(self.target), b"old")
        self.assertEqual(part_of(self.folder), [])

    def test_another_file_than_the_job_says(self):
        other = Content(b"x" * len(BIG))
        self.check_not_there(self.pull(other.answer), 4, other.sha256, self.content.sha256)
        self.check_not_there(self.pull(reply(200, other.data, ETag=other.etag)), 4, other.sha256)
        self.check_not_there(self.pull(reply(200, b"short")), 4, "has 5 bytes")

    def test_more_than_was_said(self):
        endless = reply(200, BIG + b"more", Content_Length=None, ETag=self.content.etag)
        self.check_not_there(self.pull(endless), 1, "goes on after its 2008000 bytes")

    def test_less_than_was_said(self):
        short = reply(200, BIG[:10], Content_Length=None, ETag=self.content.etag)
        self.check_not_there(self.pull(short), 1)

    def test_digests_that_are_none(self):
        for item in ({"sha256": "abc"}, {"sha256": "Z" * 64}, {"size": -1}, {"size": "many"}):
            listing = self.content.listing(**item)
            self.check_not_there(self.pull(self.content.answer, listing=listing), 1, "a sewad?")

    def test_names_that_lead_elsewhere(self):
        for name in ("../evil", "/tmp/evil", "a/b", "..", ".hidden", "", "a\nb"):
            content = Content(b"x", name)
            with Fake(lambda request: content.listing() if request.path.endswith("artifacts")
                      else content.answer(request)) as fake:
                outcome = self.ctl(fake.url)("job", "pull", "job_1", "-O", self.folder + "/sub/")
                outcome.expect(1, "is no name for a file")
                self.assertNotIn("\nb", outcome.err)
                self.assertEqual(len(fake.requests), 1)
        self.assertEqual(os.listdir(self.folder), ["sub"])
        self.assertEqual(os.listdir(os.path.join(self.folder, "sub")), [])

    def test_two_at_once(self):
        table = {LIST: self.content.listing(),
                 FILE: lambda request: iter([self.content.answer(request)[:5000], 60])}
        with Fake(routes(table)) as fake:
            ctl = self.ctl(fake.url)
            first = ctl.start("job", "pull", "job_1", "-O", self.target)
            wait_for_request(fake, 2)
            ctl("job", "pull", "job_1", "-O", self.target).expect(4, "another process is fetching")
            first.send_signal(signal.SIGINT)
            first.communicate()
            self.assertEqual(first.returncode, 130)


if __name__ == "__main__":
    unittest.main()
