"""attacks - the quick table of what a client can do to the server that answers it: more connections
than there are places for, none that it can open, and bodies that never go on. Others are answered
meanwhile, and it is over when the client stops.
"""
import os
import resource
import time
import unittest

from sewa import LONG, ServiceTest, request, wait_until
from wire import GET, HOST, Wire

PLACES = 2000  # of the public listener
BUFFER = 32 * 1024  # of one connection
CHUNKED = (b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n")
HALF_A_BODY = CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 2") + b"{"


def may_open(count):
    """Whether this process may open so many descriptors."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < count:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return True


class Attack(ServiceTest):
    descriptors = None

    def setUp(self):
        super().setUp()
        self.sewad = self.service({"admin_socket": self.scratch.join("admin"), "log_level": "debug"},
                                  start=False)
        self.sewad.descriptors = self.descriptors
        self.sewad.start()
        self.wires = []
        self.addCleanup(self.leave)

    def leave(self):
        for wire in self.wires:
            wire.socket.close()
        self.wires = []

    def connect(self, count=1, data=b""):
        for _ in range(count):
            self.wires.append(Wire(self.sewad.address).send(data))
        return self.wires[-1]

    def open_connections(self):
        """As the administration sees it: its own is one of them."""
        text = request(self.scratch.join("admin"), "GET", "/metrics").expect(200).body.decode()
        return [int(float(line.split()[1])) for line in text.splitlines()
                if line.startswith("sewa_http_connections ")][0]

    def assert_answers(self):
        with Wire(self.sewad.address) as wire:
            self.assertEqual(wire.send(GET).answer().status, 200)

    def is_at_rest(self):
        """Who computes without an end never sleeps, however little it gets of a busy machine."""
        for _ in range(20):
            if self.sewad.thread_state() != "S":
                return False
            time.sleep(0.01)
        return True

    def assert_still_works(self):
        """All that was done has ended."""
        self.leave()
        self.assert_answers()
        wait_until(lambda: self.open_connections() <= 1, "no connection is left")
        self.sewad.stop()
        self.assertNotIn("did not end within", self.sewad.log_text())


@unittest.skipUnless(may_open(PLACES + 500), "needs %d descriptors" % (PLACES + 500))
class ManyConnections(Attack):
    def test_more_silent_ones_than_there_are_places(self):
        self.connect(PLACES + 100)
        # one that says something is not kept out by those that do not, and only some of these go
        self.assert_answers()
        self.assertGreater(self.open_connections(), PLACES - 500)
        self.assert_still_works()

    def test_halves_of_requests(self):
        self.connect(PLACES + 100, GET[:-2])
        self.assert_answers()
        self.assertGreater(self.open_connections(), PLACES - 500)
        self.assert_still_works()

    def test_halves_of_bodies(self):
        for i in range(PLACES + 100):
            self.connect(1, HALF_A_BODY if i % 2 else CHUNKED + b"2\r\n{")
        self.assert_answers()
        self.assertGreater(self.open_connections(), PLACES - 500)
        self.assert_still_works()

    def test_oversized_chunk_headers(self):
        for i in range(PLACES + 100 if LONG else 500):
            self.connect(1, CHUNKED + (b"2;" + b"x" * 33000 if i % 2 else b"0" * 50000))
        self.assert_answers()
        self.assert_still_works()


class FewDescriptors(Attack):
    descriptors = 128

    def test_more_silent_ones_than_descriptors(self):
        self.assertIn("at most 48 connections", self.sewad.log_text())
        self.connect(100)
        self.assert_answers()
        self.assertGreater(self.open_connections(), 10)
        self.assert_still_works()

    def test_more_working_ones_than_places(self):
        """Nobody is thrown out who has asked for something: the others wait, and get their turn."""
        for _ in range(200):
            self.connect(1, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        for wire in self.wires:
            self.assertEqual(wire.answer().status, 200)
        self.assert_still_works()


class NoDescriptors(Attack):
    """As if files and workers had taken them all."""

    def limit(self, count):
        pid = self.sewad.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (count or most, most))

    def narrow(self):
        used = {int(name) for name in os.listdir("/proc/%d/fd" % self.sewad.process.pid)}
        self.limit(min(set(range(max(used) + 2)) - used))

    def test_with_connections_that_stay(self):
        for _ in range(3):
            self.connect(1, GET).answer()
        self.narrow()
        self.connect(3, GET)
        wait_until(lambda: "Too many open files" in self.sewad.log_text(), "it has none left")
        self.limit(None)
        self.assert_answers()
        for wire in self.wires[3:]:
            self.assertEqual(wire.answer().status, 200)
        self.assert_still_works()

    def test_without_any_connection(self):
        wait_until(lambda: self.open_connections() <= 1, "nobody is there")
        self.narrow()
        wire = self.connect(1, GET)
        wait_until(lambda: "Too many open files" in self.sewad.log_text(), "it has none left")
        wait_until(self.is_at_rest, "it rests although somebody waits")
        self.limit(None)
        self.assertEqual(wire.answer().status, 200)
        self.assert_still_works()


class Chunks(Attack):
    # Where the buffer is full depends on the header section before, and on the library.
    SIZES = range(1000, 2 * BUFFER)

    def answer(self, wire, end):
        """Its status, or None when it has ended without an answer."""
        answer = wire.send(end).last_answer()
        return answer and answer.status

    def largest_that_fits(self, begin, byte, end):
        low, high = self.SIZES[0], self.SIZES[-1]
        while high - low > 1:
            size = (low + high) // 2
            with Wire(self.sewad.address) as wire:
                fits = self.answer(wire.send(CHUNKED + begin + byte * size), end) == 422
            low, high = (size, high) if fits else (low, size)
        self.assertLess(high, self.SIZES[-1])
        # the library 1.0 takes no extensions, of any size
        return low if low > self.SIZES[0] else BUFFER - 1000

    def judge(self, begin, byte, end):
        """Everything around that size, begun at the same time and not gone on with."""
        largest = self.largest_that_fits(begin, byte, end)
        witness = self.connect(1, CHUNKED + b"0")
        wires = [self.connect(1, CHUNKED + begin + byte * size)
                 for size in range(largest - 48, largest + 48)]
        wait_until(self.is_at_rest, "it rests although not everything has come")
        statuses = [self.answer(wire, end) for wire in wires]
        self.assertLessEqual(set(statuses), {None, 400, 413, 422, 431})
        self.assertNotEqual(statuses[-1], 422)
        self.assertEqual(self.answer(witness, b"2\r\n{}\r\n0\r\n\r\n"), 422)  # it was only slow
        self.assert_answers()
        self.assert_still_works()

    def test_extensions_of_every_size_around_the_buffer(self):
        self.judge(b"2;", b"x", b"\r\n{}\r\n0\r\n\r\n")

    def test_zeros_of_every_size_around_the_buffer(self):
        self.judge(b"", b"0", b"2\r\n{}\r\n0\r\n\r\n")

    def test_headers_of_every_size_behind_a_chunk(self):
        self.judge(b"1\r\n{\r\n1;", b"x", b"\r\n}\r\n0\r\n\r\n")

    def test_trailers_of_every_size_around_the_buffer(self):
        self.judge(b"2\r\n{}\r\n0\r\nT: ", b"x", b"\r\n\r\n")

    def test_who_is_slow_is_left_alone(self):
        """However many requests the connection has had, and in whatever pieces a body comes."""
        other = GET.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 100 + b"\r\n\r\n")
        body = b" " * 400 + b"{}"
        busy, tiny = self.connect(), self.connect()
        for _ in range(300):
            self.assertEqual(busy.send(other).answer().status, 200)
        for wire in (busy, tiny):
            wire.send(CHUNKED + b"".join(b"001\r\n%c\r\n" % byte for byte in body[:300]) + b"0")
        time.sleep(2.5)  # the sweep has looked at them more than once
        for wire in (busy, tiny):
            wire.send(b"66\r\n" + body[300:] + b"\r\n0\r\n\r\n")
            self.assertEqual(wire.answer().status, 422)
            self.assertEqual(wire.send(GET).answer().status, 200)
        self.assert_still_works()

    def test_it_forgets_who_has_left(self):
        for _ in range(20):
            self.connect(1, CHUNKED + b"2;" + b"x" * 33000)
        self.assert_still_works()

    def test_it_stops_although_the_library_wants_to_run(self):
        largest = self.largest_that_fits(b"2;", b"x", b"\r\n{}\r\n0\r\n\r\n")
        for size in range(largest - 64, largest + 96):  # so much of a body may have such framing
            self.connect(1, CHUNKED + b"834\r\n" + b"x" * 0x834 + b"\r\n2;" + b"x" * size)
        self.assert_answers()
        self.sewad.stop(seconds=60)  # it took two minutes

    def test_the_socket_of_the_administration(self):
        """Where the kernel does not count what has come."""
        wires = [Wire(self.scratch.join("admin")).send(CHUNKED + b"2;" + b"x" * size)
                 for size in (33000, 40000, 50000)]
        for wire in wires:
            answer = wire.last_answer()
            self.assertIn(answer and answer.status, (None, 400, 413), answer)
        for wire in wires:
            wire.socket.close()
        wait_until(self.is_at_rest, "it rests")
        self.assert_still_works()


if __name__ == "__main__":
    unittest.main()
