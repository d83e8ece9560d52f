#!/usr/bin/python3
"""large.py - a model that does not fit: how much memory a worker really takes, beside what its plan said.

    tests/bench/large/large.py BIN-DIRECTORY [--parameters N] [--checkpoints N] [--memory-mib N]

Ten checkpoints of 1.5 billion bf16 parameters (3 GB each, as sparse files: their numbers are zeros, which costs
the same arithmetic) are averaged by `uniform`, and SeWA does one iteration on them, with 8 GiB for a worker.
Prints one line per job: wall time, peak memory of the worker, and their ratio to the plan's estimate.
"""
import argparse
import http.client
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

TENSORS = 24


def make_checkpoint(path, parameters):
    """A safetensors file whose data is a hole."""
    each, at, header = parameters // TENSORS, 0, {}
    for i in range(TENSORS):
        header["layers.%d.weight" % i] = {"dtype": "BF16", "shape": [each],
                                          "data_offsets": [at, at + 2 * each]}
        at += 2 * each
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


def children(pid):
    """Processes below this one, by name."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as file:
                stat = file.read()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        if int(rest[1]) == pid:
            yield int(entry), name


def peak_bytes(pid):
    try:
        with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Service:
    def __init__(self, directory, binaries, memory_mib):
        self.directory = directory
        config = os.path.join(directory, "sewad.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("""listen = "127.0.0.1:0"
admin_socket = ""
state_directory = "%(d)s/state"
settle_seconds = 1
scan_interval_seconds = 1
worker_memory_mib = %(m)d
run "large" { path = "%(d)s/run"
}
evaluator "sleepy" {
    command = {"%(b)s/bench_sleepy"}
    options = '{"milliseconds": 1}'
    timeout_seconds = 600
}
""" % {"d": directory, "m": memory_mib, "b": binaries})
        self.log = open(os.path.join(directory, "log"), "wb")
        self.process = subprocess.Popen([os.path.join(binaries, "sewad"), "--config", config],
                                        stderr=self.log)
        listen = os.path.join(directory, "state", "listen")
        while not os.path.exists(listen):
            if self.process.poll() is not None:
                sys.exit("sewad ended: see its log\n" + open(self.log.name, encoding="utf-8").read())
            time.sleep(0.1)
        with open(listen, encoding="ascii") as file:
            self.address = file.read().strip()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=120)
        connection.request(method, path, json.dumps(body) if body else None,
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = json.loads(answer.read())
        connection.close()
        if answer.status >= 400:
            sys.exit("%s %s: %s" % (method, path, data))
        return data

    def run(self, job):
        """A job, and the largest worker that was seen meanwhile."""
        plan = self.ask("POST", "/api/v1/jobs?dry_run=true", job)["plan"]
        began, peak = time.monotonic(), 0
        uid = self.ask("POST", "/api/v1/jobs", job)["id"]
        while True:
            state = self.ask("GET", "/api/v1/jobs/" + uid)
            for pid, name in children(self.process.pid):
                if name == "sewa-worker":
                    peak = max(peak, peak_bytes(pid))
            if state["state"] in ("succeeded", "failed", "cancelled"):
                break
            time.sleep(0.2)
        if state["state"] != "succeeded":
            sys.exit("the job is %s: %s" % (state["state"], state["reason"]))
        return plan, time.monotonic() - began, peak

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("--parameters", type=int, default=1500000000)
    parser.add_argument("--checkpoints", type=int, default=10)
    parser.add_argument("--memory-mib", type=int, default=8192)
    o = parser.parse_args()
    directory, service = tempfile.mkdtemp(prefix="sewa-large-"), None
    try:
        os.mkdir(os.path.join(directory, "run"))
        for i in range(o.checkpoints):
            make_checkpoint(os.path.join(directory, "run", "step-%d.safetensors" % (i + 1)),
                            o.parameters)
        service = Service(directory, os.path.abspath(o.binaries), o.memory_mib)
        while service.ask("GET", "/api/v1/runs/large")["checkpoints"]["complete"] < o.checkpoints:
            time.sleep(0.2)
        for name, job in (
                ("uniform", {"run": "large", "method": "uniform"}),
                ("sewa, one iteration",
                 {"run": "large", "method": "sewa", "evaluator": "sleepy", "select": 3, "baselines": [],
                  "params": {"iterations": 1, "samples": 4, "polish": 0,
                             "estimator": "score_function"}})):
            plan, seconds, peak = service.run(job)
            print("large_%s %.2f of the planned memory (%d MiB at the peak, %d MiB planned, budget %d MiB; "
                  "%.1f s, %s)" % (name.split(",")[0], peak / plan["peak_memory_bytes"], peak >> 20,
                                   plan["peak_memory_bytes"] >> 20, o.memory_mib, seconds,
                                   "streamed" if plan["streams"] else "kept in memory"), flush=True)
    finally:
        if service:
            service.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
