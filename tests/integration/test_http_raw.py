"""http_raw - bytes on a socket: framing that means two things, requests that are cut, large or
many, and clients that leave. What a well-behaved library would never send.
"""
import socket
import unittest

from sewa import ServiceTest, SharedServiceTest, toy_evaluator, wait_until
from toys import toy_service
from wire import GET, HOST, Wire

JSON = b"Content-Type: application/json\r\n"


def post(path, body, *fields):
    head = b"POST %s HTTP/1.1\r\n" % path + HOST + JSON + b"".join(f + b"\r\n" for f in fields)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Framing(SharedServiceTest):
    @classmethod
    def prepare(cls):
        cls.sewad = cls.service({})

    def wire(self):
        wire = Wire(self.sewad.address)
        self.addCleanup(wire.socket.close)
        return wire

    def refused(self, data, *statuses):
        """It is answered with this, and the connection ends: nothing behind it is looked at."""
        wire = self.wire().send(data + b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = wire.answer()
        self.assertIn(answer.status, statuses, answer)
        self.assertEqual(answer.headers["connection"], "close", answer)
        self.assertTrue(wire.ended(), (answer, wire.bytes))

    def test_what_means_two_things_is_refused_and_ends_the_connection(self):
        start = b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON
        length, chunked = b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"
        for name, data in [
            ("two lengths", start + length + b"Content-Length: 30\r\n\r\n{}  "),
            ("equal lengths", start + length + length + b"\r\n{}  "),
            ("length and coding", start + length + chunked + b"\r\n0\r\n\r\n"),
            ("coding and length", start + chunked + length + b"\r\n0\r\n\r\n"),
            ("xchunked", start + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            ("gzip, chunked", start + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            ("chunked twice", start + chunked + chunked + b"\r\n0\r\n\r\n"),
            ("identity", start + b"Transfer-Encoding: identity\r\n\r\n"),
            ("a list of lengths", start + b"Content-Length: 4, 4\r\n\r\n{}  "),
            ("a negative length", start + b"Content-Length: -1\r\n\r\n"),
            ("a length with a sign", start + b"Content-Length: +4\r\n\r\n{}  "),
            ("a length in hexadecimal", start + b"Content-Length: 0x4\r\n\r\n{}  "),
            ("two numbers", start + b"Content-Length: 4 4\r\n\r\n{}  "),
            ("an empty length", start + b"Content-Length:\r\n\r\n{}  "),
            ("a huge length", start + b"Content-Length: 99999999999999999999999\r\n\r\n"),
            ("space before the colon", start + b"Content-Length : 4\r\n\r\n{}  "),
            ("a NUL in a value", b"GET /healthz HTTP/1.1\r\nHost: localhost\0.evil\r\n\r\n"),
            ("a NUL in the last", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\0z\r\n\r\n"),
            ("NULs as an end", b"GET /healthz HTTP/1.1\r\nHost: localhost\0\0X: y\r\n\r\n"),
            ("NULs as a field", b"GET /healthz HTTP/1.1\r\nHost: localhost\0\0X\0y\r\n\r\n"),
            ("a NUL in a name", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X\0Y: z\r\n\r\n"),
            ("a folded value", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n"),
            ("folded by a tab", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n\tz\r\n\r\n"),
            ("folded to nothing", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n \r\n\r\n"),
            ("a folded host", b"GET /healthz HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n"),
            ("a folded length", start + b"Content-Length: 1\r\n 0\r\n\r\n{}        "),
            ("a LF alone", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\nZ: z\r\n\r\n"),
            ("a LF alone in the end", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\n\r\n"),
            ("LFs alone", b"GET /healthz HTTP/1.1\nHost: localhost\n\n"),
            ("two hosts", b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
            ("no host", b"GET /healthz HTTP/1.1\r\n\r\n"),
            ("version 1.2", b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n"),
        ]:
            with self.subTest(name):
                # some of these the library refuses by itself, in its own words
                self.refused(data, 400, 413)

    def test_a_length_with_blanks(self):
        """They may stand around a value; who does not take them refuses them, and only once."""
        for blanks in (b" ", b"\t", b"    "):
            wire = self.wire().send(b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON +
                                    b"Content-Length: 2" + blanks + b"\r\n\r\n{}")
            answer = wire.answer()
            self.assertIn(answer.status, (400, 422))
            if answer.status == 422:
                self.assertEqual(wire.send(GET).answer().status, 200)
            else:
                self.assertTrue(wire.ended())

    def test_what_looks_like_it_and_is_not(self):
        for fields in (b"X:\r\n", b"X:   \r\n", b"X: y  \r\n", b"X:y\r\n", b"X: a: b\r\n",
                       b"Cookie: a=b; c=\"d\"; e\r\n", b"X: 1\r\nX: 2\r\nX:\r\n",
                       b"X: \xc3\xa4\r\n", b"Y: " + b"y" * 5000 + b"\r\n"):
            with self.subTest(fields[:30]):
                wire = self.wire()
                for data in (GET[:-2] + fields + b"\r\n",
                             GET.replace(HOST, fields + HOST)):
                    self.assertEqual(wire.send(data).answer().status, 200)
                for i in range(0, len(data), 7):
                    wire.send(data[i:i + 7])
                self.assertEqual(wire.answer().status, 200)

    def test_targets(self):
        for target, status, code in [
            (b"/%00", 400, "bad_request"), (b"/api/%2e%2e/healthz", 400, "bad_request"),
            (b"/../healthz", 400, "bad_request"), (b"/healthz%zz", 400, "bad_request"),
            (b"//healthz", 404, "not_found"), (b"/healthz/", 404, "not_found"),
            (b"/\xc3\xa4", 400, "bad_request"), (b"/healthz#x", 400, "bad_request"),
            (b"/nothing", 404, "not_found"), (b"/api/v1/worker/hello", 404, "not_found"),
            (b"/healthz?x=1", 422, "unknown_field"), (b"/healthz?", 200, None),
            (b"/he%61lthz", 200, None),
        ]:
            with self.subTest(target):
                wire = self.wire().send(b"GET %s HTTP/1.1\r\n" % target + HOST + b"\r\n")
                answer = wire.answer()
                self.assertEqual(answer.status, status, answer)
                if code:
                    self.assertIn(b'"code":"%s"' % code.encode(), answer.body)

    def test_only_this_machine_may_ask(self):
        port = self.sewad.address.rsplit(":", 1)[1].encode()
        for fields, status in [
            (b"Host: example.org\r\n", 403), (b"Host: localhost.example.org\r\n", 403),
            (b"Host: localhost:%s\r\nOrigin: http://example.org\r\n" % port, 403),
            (b"Host: localhost:%s\r\nOrigin: null\r\n" % port, 403),
            (b"Host: localhost:%s\r\nOrigin: http://localhost:%s\r\n" % (port, port), 200),
            (b"Host: 127.0.0.1:%s\r\n" % port, 200), (b"Host: [::1]\r\n", 200),
        ]:
            with self.subTest(fields):
                answer = self.wire().send(b"GET /version HTTP/1.1\r\n" + fields + b"\r\n").answer()
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(b'"forbidden"' in answer.body, status == 403)
                # whether it lives is no secret, and who asks for that knows no name
                answer = self.wire().send(b"GET /healthz HTTP/1.1\r\n" + fields + b"\r\n").answer()
                self.assertEqual(answer.status, 200, answer)
        for start in (b"POST /healthz", b"GET /nothing", b"OPTIONS /version"):
            answer = self.wire().send(start + b" HTTP/1.1\r\nHost: example.org\r\n\r\n").answer()
            self.assertEqual(answer.status, 403, answer)

    def test_old_versions(self):
        wire = self.wire().send(b"GET /healthz HTTP/1.0\r\n" + HOST + b"\r\n")
        self.assertEqual(wire.answer().status, 200)
        self.assertTrue(wire.ended())
        wire = self.wire().send(b"GET /healthz\r\n\r\n")  # 0.9 knows no header fields
        wire.ended()
        self.assertNotIn(b'"ok"', wire.bytes)

    def test_rubbish(self):
        for data in (b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
                     b"\0" * 5000, b"GET\r\n\r\n", b"GET / HTTP/1.1 HTTP/1.1\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\n folded: x\r\n" + HOST + b"\r\n", b":\r\n\r\n"):
            with self.subTest(data[:20]):
                wire = self.wire().send(data)
                wire.socket.shutdown(socket.SHUT_WR)
                wire.ended()
                self.assertNotIn(b'"ok"', wire.bytes)
        self.assertEqual(self.wire().send(GET).answer().status, 200)

    def test_large_headers(self):
        for data, status in [
            (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 8000 + b"\r\n\r\n", (200,)),
            (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 100000 + b"\r\n\r\n", (431,)),
            (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20000 + b"\r\n", (431,)),
            (b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (414,)),
        ]:
            with self.subTest(size=len(data), status=status):
                answer = self.wire().send(data).answer()
                self.assertIn(answer.status, status, answer)

    # ---- bodies ----

    def test_bodies_that_are_too_large(self):
        body = b" " * (10 << 20)
        wire = self.wire().send(post(b"/api/v1/runs", body))
        self.assertIn(b'"too_large"', wire.answer().body)
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        wire = self.wire().send(b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON +
                                b"Transfer-Encoding: chunked\r\n\r\n" + 3 * chunk + b"0\r\n\r\n")
        answer = wire.answer()
        self.assertEqual(answer.status, 413, answer)
        self.assertIn(b'"too_large"', answer.body)
        # a body that nobody would wait for is not read at all
        wire = self.wire().send(b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON +
                                b"Content-Length: 99999999999\r\n\r\n")
        self.assertEqual(wire.answer().status, 413)
        self.assertTrue(wire.ended())
        # where no body is expected there may be none
        wire = self.wire().send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx")
        self.assertEqual(wire.answer().status, 413)

    def test_a_body_in_chunks(self):
        wire = self.wire().send(b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + JSON +
                                b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (b"1\r\n{\r\n", b"02\r\n\"x\r\n", b"4\r\n\":1}\r\n", b"0\r\nT: x\r\n\r\n"):
            wire.send(piece)
        self.assertIn(b'"code":', wire.answer().body)
        self.assertEqual(wire.send(GET).answer().status, 200)

    def test_extensions_of_chunks(self):
        """The library 1.0 takes none; a body that is another one than was sent would be worse."""
        wire = self.wire().send(b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + JSON +
                                b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n")
        answer = wire.answer()
        self.assertIn(answer.status, (400, 422), answer)
        if answer.status == 400:
            self.assertTrue(wire.ended())

    def test_expect(self):
        def head(length):
            return (b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON + b"Expect: 100-continue\r\n"
                    b"Content-Length: %d\r\n\r\n" % length)
        wire = self.wire().send(head(2))
        self.assertEqual(wire.answer().status, 100)
        self.assertEqual(wire.send(b"{}").answer().status, 422)
        wire = self.wire().send(head(5000000))
        self.assertEqual(wire.answer().status, 413)  # and not "send it"
        self.assertTrue(wire.ended())

    def test_a_connection_that_ends_within_a_body(self):
        for cut in (b"", b"{", b"{\"name\": \"x\""):
            with self.wire() as wire:
                wire.send(b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON +
                          b"Content-Length: 500\r\n\r\n" + cut)
        with self.wire() as wire:
            wire.send(b"POST /api/v1/runs HTTP/1.1\r\n" + HOST + JSON +
                      b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"")
        self.assertEqual(self.wire().send(GET).answer().status, 200)
        self.assertEqual(self.sewad.get("/api/v1/runs")["items"], [])

    # ---- connections ----

    def test_one_connection_for_many_requests(self):
        wire = self.wire()
        for _ in range(50):
            self.assertEqual(wire.send(GET).answer().status, 200)
            self.assertEqual(wire.send(post(b"/api/v1/runs", b"{}")).answer().status, 422)
        wire.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.assertEqual(wire.answer().status, 200)
        self.assertTrue(wire.ended())

    def test_pipelined(self):
        version = GET.replace(b"healthz", b"version")
        wire = self.wire().send((GET + version + post(b"/api/v1/runs", b"{}")) * 20)
        for _ in range(20):
            self.assertIn(b'"ok"', wire.answer().body)
            self.assertIn(b'"sewad"', wire.answer().body)
            self.assertEqual(wire.answer().status, 422)

    def test_byte_by_byte(self):
        wire = self.wire()
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post(b"/api/v1/runs", b"{}"):
            wire.send(bytes([byte]))
        self.assertEqual(wire.answer().status, 422)

    def test_head_and_options(self):
        wire = self.wire()
        for path in (b"/healthz", b"/version", b"/metrics", b"/api/v1/runs", b"/openapi.json"):
            full = wire.send(b"GET %s HTTP/1.1\r\n" % path + HOST + b"\r\n").answer()
            bare = wire.send(b"HEAD %s HTTP/1.1\r\n" % path + HOST + b"\r\n").answer(head=True)
            self.assertEqual((bare.status, bare.headers["content-type"]),
                             (200, full.headers["content-type"]))
            if path not in (b"/metrics",):  # its numbers change
                self.assertEqual(bare.headers["content-length"], full.headers["content-length"])
        for path, allow in [(b"/healthz", "GET, HEAD, OPTIONS"),
                            (b"/api/v1/runs", "GET, HEAD, POST, OPTIONS"),
                            (b"/api/v1/runs/x", "GET, HEAD, PATCH, DELETE, OPTIONS")]:
            for method, status in ((b"OPTIONS", 204), (b"PUT", 405), (b"BREW", 405)):
                with self.subTest(path=path, method=method):
                    wire.send(b"%s %s HTTP/1.1\r\n" % (method, path) + HOST + b"\r\n")
                    answer = wire.answer()
                    self.assertEqual((answer.status, answer.headers["allow"]), (status, allow))

    def test_many_connections(self):
        wires = [self.wire() for _ in range(500)]
        for wire in wires:
            wire.send(GET[:-2])
        self.assertEqual(self.wire().send(GET).answer().status, 200)
        for wire in wires:
            wire.send(GET[-2:])
        for wire in wires:
            self.assertEqual(wire.answer().status, 200)
            wire.socket.close()


class Waiting(ServiceTest):
    """A job that stays where it is, for as long as somebody wants to wait."""

    def setUp(self):
        super().setUp()
        self.gate = self.scratch.join("gate")
        self.sewad = toy_service(self, {"toy": toy_evaluator({"setup_gate": self.gate,
                                                              "say": ["hello"]})})
        self.job = self.sewad.submit(run="toy", evaluator="toy", method="best")["id"]
        self.sewad.wait_state(self.job, "starting")

    def ask(self, path):
        wire = Wire(self.sewad.address)
        self.addCleanup(wire.socket.close)
        return wire.send(b"GET /api/v1/jobs/%s%s HTTP/1.1\r\n" % (self.job.encode(), path) + HOST +
                         b"\r\n")

    def test_clients_that_leave_are_noticed(self):
        wires = [self.ask(path) for path in (b"?wait=60", b"/logs?follow=true") for _ in range(20)]
        wait_until(lambda: self.sewad.metric("sewa_http_connections") >= 40, "all are connected")
        for i, wire in enumerate(wires):
            if i % 2:
                wire.socket.shutdown(socket.SHUT_WR)
            else:
                wire.socket.close()
        for wire in wires[1::2]:
            wire.ended()  # whether it is answered or not: it does not have to wait for a minute
        # what is left: this question itself, and a worker with its heartbeat
        wait_until(lambda: self.sewad.metric("sewa_http_connections") <= 3, "those that have left are forgotten")

    def test_the_end_of_the_job_is_told(self):
        poll, log = self.ask(b"?wait=60"), self.ask(b"/logs?follow=true")
        logs = "/api/v1/jobs/%s/logs" % self.job
        wait_until(lambda: b"hello" in self.sewad.request("GET", logs).body, "it says hello")
        self.sewad.post("/api/v1/jobs/%s/cancel" % self.job, {}, 202)
        self.assertIn(b'"state":"cancelled"', poll.answer().body)
        self.assertIn(b"hello", log.answer().body)

    def test_the_service_stops_although_clients_wait(self):
        polls = [self.ask(b"?wait=60") for _ in range(5)]
        logs = [self.ask(b"/logs?follow=true") for _ in range(5)]
        idle = [Wire(self.sewad.address) for _ in range(5)]
        half = [Wire(self.sewad.address).send(GET[:20]) for _ in range(5)]
        wait_until(lambda: self.sewad.metric("sewa_http_connections") >= 20, "all are connected")
        self.sewad.stop()
        for wire in polls:
            self.assertIn(b'"state":"starting"', wire.answer().body)
        for wire in logs:
            wire.answer()
        for wire in idle + half:
            wire.ended()
            wire.socket.close()
        self.assertNotIn("did not end within", self.sewad.log_text())  # nobody held it up


if __name__ == "__main__":
    unittest.main()
