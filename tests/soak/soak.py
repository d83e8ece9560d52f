#!/usr/bin/env python3
"""soak - mixed load for a while: does the service end as small as it began?

    SEWA_BIN=build/release/bin tests/soak/soak.py [--minutes 25] [--clients 8] [--json FILE]

Clients read every list and page, wait for jobs, submit jobs (with and without keys, good and bad), cancel, retry,
delete and download them, change labels, hold silent connections, send rubbish; checkpoints appear and vanish
meanwhile, and the configuration is read again. What an answer promised is checked. Twelve times the service is
let come to rest and measured: resident memory, open descriptors, threads, children, bytes of the WAL.

The first two rests are warm-up. Ends with status 1 where the last rest has more than 5 % more memory than
the third, or more descriptors, threads or children; where a WAL was over 64 MiB; or where an answer was wrong: then
the log of the service is copied to soak-sewad.log.
"""
import argparse
import collections
import http.client
import json
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from sewa import FINAL, Sewad, Scratch, toy_evaluator, wait_until  # noqa: E402
from toys import toy_run, toy_tensors  # noqa: E402
from tensors import write  # noqa: E402

JOBS = "/api/v1/jobs"
RESTS = 12
JOBS_MAX = 5  # of one client: before each rest all of them have to end
WARM = 2
# SQLite keeps the descriptor of a closed connection while others of the process hold locks, and uses it again:
# at most one for each thread of the pool.
SPARE_DESCRIPTORS = 4
READS = ["/healthz", "/readyz", "/metrics", "/version", "/openapi.json", "/api/v1/runs", "/api/v1/runs/toy",
         "/api/v1/runs/toy/checkpoints?limit=3", "/api/v1/runs/toy/checkpoints?state=complete&min_step=300",
         JOBS + "?limit=20", JOBS + "?state=succeeded", "/api/v1/evaluators", "/api/v1/workers", "/api/v1/nothing"]
RUBBISH = [b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"x" * 40000,
           b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"]


class Client(threading.Thread):
    """One client with a connection that it keeps, and a list of jobs that were promised to it."""

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.random = soak, random.Random(number)
        self.connection, self.jobs, self.keys = None, [], 0
        self.number = number

    def ask(self, method, path, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.soak.sewad.address, timeout=120)
        headers = dict(headers or {})
        if body is not None:
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        for again in (False, True):
            try:
                self.connection.request(method, path, body=body, headers=headers)
                answer = self.connection.getresponse()
                data = answer.read()
                break
            except (http.client.HTTPException, OSError):  # a kept connection may have been closed meanwhile
                self.connection.close()
                if again:
                    raise
        self.soak.counts["%s %d" % (method, answer.status)] += 1
        if answer.status >= 500 and answer.status not in (503, 507):
            self.soak.complain("%s %s: %d %r" % (method, path, answer.status, data[:300]))
        return answer, data

    def run(self):
        while True:
            self.soak.rest.wait()  # open while there is load
            if self.soak.over:
                return
            self.soak.enter(1)
            try:
                self.one()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.soak.complain("client %d: %r" % (self.number, error))
            finally:
                self.soak.enter(-1)

    def one(self):
        chance = self.random.random()
        if chance < 0.85:
            self.ask("GET", self.random.choice(READS))
        elif chance < 0.92:
            self.look_at_a_job()
        elif chance < 0.94 and len(self.jobs) < JOBS_MAX:
            self.submit()
        elif chance < 0.97:
            self.end_a_job()
        elif chance < 0.985:
            self.ask("PATCH", "/api/v1/runs/toy", {"labels": {"soak": str(self.random.random())}})
        else:
            self.rubbish()

    def submit(self):
        self.keys += 1
        method = self.random.choice(["uniform", "lawa", "last", "best", "sewa", "none"])
        body = {"run": "toy", "method": method, "labels": {"client": str(self.number)}}
        if method in ("best", "sewa"):
            body.update(evaluator="toy")
        if method == "sewa":
            body.update(select=2, params={"iterations": 2, "polish": 2})
        headers = {"Idempotency-Key": "soak %d %d" % (self.number, self.keys)}
        answer, data = self.ask("POST", JOBS, body, headers)
        if answer.status == 201:
            uid = json.loads(data)["id"]
            again, replayed = self.ask("POST", JOBS, body, headers)
            if again.status != 201 or json.loads(replayed)["id"] != uid:
                self.soak.complain("the same key gave %d %r, not job %s" % (again.status, replayed[:200], uid))
            self.jobs.append(uid)
        elif method != "none" and answer.status not in (422, 429, 503):
            self.soak.complain("a job of method %s was answered with %d %r" % (method, answer.status, data[:300]))

    def look_at_a_job(self):
        if not self.jobs:
            return
        uid = self.random.choice(self.jobs)
        answer, data = self.ask("GET", "%s/%s?wait=%d" % (JOBS, uid, self.random.choice([0, 0, 1])))
        if answer.status != 200:
            self.soak.complain("job %s was promised and is %d" % (uid, answer.status))
            return
        job = json.loads(data)
        self.ask("GET", "%s/%s/%s" % (JOBS, uid, self.random.choice(["trace", "logs", "artifacts"])))
        for artifact in job.get("artifacts") or []:
            answer, data = self.ask("GET", artifact["href"])
            if answer.status == 200 and len(data) != artifact["size"]:
                self.soak.complain("%s has %d bytes, said %d" % (artifact["href"], len(data), artifact["size"]))

    def end_a_job(self):
        if not self.jobs:
            return
        uid = self.jobs[0]
        if self.random.random() < 0.2:
            self.ask("POST", "%s/%s/cancel" % (JOBS, uid))
            return
        answer, data = self.ask("GET", "%s/%s" % (JOBS, uid))
        if answer.status == 200 and json.loads(data)["state"] in FINAL:
            answer, data = self.ask("DELETE", "%s/%s" % (JOBS, uid))
            if answer.status == 204:
                self.jobs.remove(uid)

    def rubbish(self):
        host, port = self.soak.sewad.address.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as s:
            if self.random.random() < 0.7:
                s.sendall(self.random.choice(RUBBISH))
                s.settimeout(0.2)
                try:
                    s.recv(4096)
                except OSError:
                    pass
        self.soak.counts["rubbish"] += 1

    def clean(self):
        """Everything of this client goes away, so that rests are alike."""
        for uid in list(self.jobs):
            for _ in range(60):
                answer, data = self.ask("GET", "%s/%s?wait=10" % (JOBS, uid))
                if json.loads(data)["state"] in FINAL:
                    break
            self.ask("DELETE", "%s/%s" % (JOBS, uid))
            self.jobs.remove(uid)
        if self.connection:
            self.connection.close()
            self.connection = None


class Soak:
    def __init__(self, options):
        self.options = options
        self.scratch = Scratch()
        toy_run(self.scratch.join("toy"))
        self.sewad = Sewad(self.scratch, {"run": {"toy": {"path": self.scratch.join("toy")}}, "local_workers": 2,
                                          "evaluator": {"toy": toy_evaluator()}}).start()
        self.sewad.wait_complete("toy", 6)
        self.counts, self.complaints, self.rows = collections.Counter(), [], []
        self.rest, self.over, self.inside, self.lock = threading.Event(), False, 0, threading.Lock()
        self.wal_max = 0

    def complain(self, text):
        print("soak: " + text, file=sys.stderr, flush=True)
        self.complaints.append(text)

    def enter(self, by):
        with self.lock:
            self.inside += by

    def wal(self):
        try:
            size = os.path.getsize(os.path.join(self.sewad.state, "sewad.db-wal"))
        except OSError:
            size = 0
        self.wal_max = max(self.wal_max, size)
        return size

    def disturb(self, turn):
        """What happens beside the requests."""
        path = self.scratch.join("toy", "step-%d.safetensors" % (1000 + turn % 50))
        if os.path.exists(path):
            os.unlink(path)
        else:
            write(path, toy_tensors(1000 + turn % 50))
        if turn % 20 == 0:
            self.sewad.process.send_signal(signal.SIGHUP)

    def load(self, seconds):
        end, turn = time.monotonic() + seconds, 0
        self.rest.set()
        while time.monotonic() < end and self.sewad.is_alive():
            time.sleep(0.5)
            turn += 1
            self.disturb(turn)
            self.wal()
        self.rest.clear()
        wait_until(lambda: self.inside == 0, "the clients have their answers")

    def measure(self):
        pid = self.sewad.process.pid
        status = dict(line.split(":", 1) for line in open("/proc/%d/status" % pid))
        children = open("/proc/%d/task/%d/children" % (pid, pid)).read().split()
        return {"requests": sum(self.counts.values()), "rss_kib": int(status["VmRSS"].split()[0]),
                "descriptors": len(os.listdir("/proc/%d/fd" % pid)), "threads": int(status["Threads"]),
                "children": len(children), "wal_kib": self.wal() // 1024}

    def settle(self):
        """At rest: no job, no connection of ours, the same numbers in two looks a second apart."""
        for client in self.clients:
            for uid in client.jobs:
                client.ask("POST", "%s/%s/cancel" % (JOBS, uid))
        for client in self.clients:
            client.clean()

        def quiet():
            first = self.measure()
            time.sleep(1)
            return first["children"] == 0 and first["descriptors"] == self.measure()["descriptors"]
        wait_until(quiet, "the service is at rest")
        return self.measure()

    def run(self):
        self.clients = [Client(self, n) for n in range(self.options.clients)]
        for client in self.clients:
            client.start()
        for i in range(RESTS):
            self.load(60.0 * self.options.minutes / RESTS)
            if not self.sewad.is_alive():
                self.complain("sewad ended:\n" + self.sewad.log_text()[-3000:])
                break
            self.rows.append(self.settle())
            print("soak: rest %2d: %s" % (i + 1, json.dumps(self.rows[-1])), flush=True)
        self.over = True
        self.rest.set()

    def judge(self):
        if len(self.rows) > WARM:
            begin, end = self.rows[WARM], self.rows[-1]
            if end["rss_kib"] > 1.05 * begin["rss_kib"]:
                self.complain("resident memory grew from %d to %d KiB" % (begin["rss_kib"], end["rss_kib"]))
            for what in ("descriptors", "threads", "children"):
                if end[what] > begin[what] + (SPARE_DESCRIPTORS if what == "descriptors" else 0):
                    self.complain("%s: %d at first, %d at the end" % (what, begin[what], end[what]))
        if self.wal_max > 64 << 20:
            self.complain("the WAL had %d bytes" % self.wal_max)
        return not self.complaints


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--json")
    soak = Soak(parser.parse_args())
    try:
        soak.run()
        good = soak.judge()
        print("soak: %d requests in %g minutes: %s" % (sum(soak.counts.values()), soak.options.minutes,
                                                       json.dumps(dict(sorted(soak.counts.items())))))
        if soak.options.json:
            with open(soak.options.json, "w", encoding="utf-8") as file:
                json.dump({"rests": soak.rows, "answers": soak.counts, "wal_max": soak.wal_max,
                           "complaints": soak.complaints}, file, indent=1)
        if soak.sewad.is_alive():
            soak.sewad.stop()
    finally:
        if soak.sewad.is_alive():
            soak.sewad.kill()
        shutil.copy(soak.sewad.log, "soak-sewad.log") if not good else None
        soak.scratch.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
