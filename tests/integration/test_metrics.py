"""metrics - what is counted agrees with what was done."""
import re
import unittest

from sewa import ServiceTest, toy_evaluator
from toys import toy_service


class Metrics(ServiceTest):
    def requests(self, api, method):
        """How many of them were answered, with any status."""
        text = self.sewad.request("GET", "/metrics").expect(200).body.decode()
        found = re.findall(r'^sewa_http_requests_total{method="%s",status="...",api="%s"} (\d+)$'
                           % (method, api), text, re.MULTILINE)
        self.assertEqual(len(found), 5, text)
        return sum(map(int, found))

    def test_a_job(self):
        self.sewad = toy_service(self, {"toy": toy_evaluator()})
        before = self.requests("public", "PATCH"), self.requests("public", "POST")
        self.assertEqual(self.requests("worker", "POST"), 0)
        self.assertEqual(self.sewad.metric("sewa_worker_read_bytes_total"), 0)
        done = self.sewad.run_job(run="toy", evaluator="toy", method="best")
        for _ in range(3):
            self.sewad.request("PATCH", "/api/v1/runs/toy", {"labels": {}}).expect(200)
        # the candidates are read before anything is evaluated, and publishing reads again
        cost = done["result"]["cost"]["bytes_read"]
        self.assertGreater(cost, 0)
        self.assertGreaterEqual(self.sewad.metric("sewa_worker_read_bytes_total"), cost)
        # hello, lease and result of prepare, evaluate and average
        self.assertGreater(self.requests("worker", "POST"), 5)
        after = self.requests("public", "PATCH"), self.requests("public", "POST")
        self.assertEqual(after, (before[0] + 3, before[1] + 1))
        self.assertEqual(self.requests("worker", "GET"), 0)


if __name__ == "__main__":
    unittest.main()
