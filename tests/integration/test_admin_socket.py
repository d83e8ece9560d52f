"""admin_socket - the routes of the REST API on a unix socket: open to who may open the file."""
import http.client
import json
import os
import socket
import stat
import unittest

from scratch import wait_until
from sewa import ServiceTest
from toys import toy_run


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def get(path, target):
    connection = UnixConnection(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class AdminSocket(ServiceTest):
    def setUp(self):
        super().setUp()
        self.socket = self.scratch.join("admin.sock")

    def test_same_routes_and_nothing_else(self):
        toy_run(self.scratch.join("toy"), [1, 2])
        sewad = self.service({"run": {"toy": {"path": self.scratch.join("toy")}},
                              "admin_socket": self.socket})
        sewad.wait_complete("toy", 2)
        mode = os.stat(self.socket).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o660)
        status, run = get(self.socket, "/api/v1/runs/toy")
        self.assertEqual((status, run), (200, sewad.get("/api/v1/runs/toy")))
        self.assertEqual(get(self.socket, "/worker/v1/lease")[0], 404)
        sewad.stop()
        self.assertFalse(os.path.exists(self.socket))

    def test_a_leftover_is_replaced(self):
        sewad = self.service({"admin_socket": self.socket})
        sewad.kill()
        self.assertTrue(os.path.exists(self.socket))
        sewad.start()
        self.assertEqual(get(self.socket, "/healthz")[0], 200)

    def test_it_is_not_taken_from_another_one(self):
        first = self.service({"admin_socket": self.socket})
        second = self.service({"admin_socket": self.socket})
        wait_until(lambda: "another process listens on" in second.log_text(), "the log says so")
        second.stop()
        self.assertEqual(get(self.socket, "/api/v1/runs"), (200, first.get("/api/v1/runs")))

    def test_without_its_directory_there_is_none(self):
        sewad = self.service({"admin_socket": self.scratch.join("nowhere", "admin.sock")})
        self.assertIn("there is no socket for administration", sewad.log_text())
        sewad.get("/api/v1/runs")


if __name__ == "__main__":
    unittest.main(verbosity=2)
