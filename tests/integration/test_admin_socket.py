"""admin_socket - the routes of the REST API on a unix socket: open to who may open the file."""
import os
import stat
import unittest

from scratch import wait_until
from sewa import ServiceTest, request
from toys import toy_run

USUAL = "/run/sewad/admin.sock"


def get(path, target):
    reply = request(path, "GET", target)
    return reply.status, reply.json()


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

    @unittest.skipIf(os.access(os.path.dirname(USUAL), os.W_OK), "a service may own " + USUAL)
    def test_the_usual_place_by_hand_is_nothing_to_warn_of(self):
        sewad = self.service({"admin_socket": USUAL})
        self.assertIn("no socket for administration: '/run/sewad'", sewad.log_text())
        self.assertNotIn("warn", sewad.log_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
