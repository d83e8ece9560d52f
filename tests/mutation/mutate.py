#!/usr/bin/env python3
"""mutate - do the tests notice when the code is wrong?

    tests/mutation/mutate.py [--count N] [--seed N] [--rooms a,b] [--files a.c,b.c] [--parallel N]
                             [--stage unit|all] [--directory DIR] [--report FILE] [--again FILE]
    tests/mutation/mutate.py --list [--rooms a,b]      only count the places

Takes a sample of places (sites.py), the same number of each kind in each room as far as there are some, and for
each one: puts the fault into a copy of the tree, builds the unit tests of that room, runs them, and if
none fails, builds everything and runs the rest, the quickest tests first, until one fails. A fault that
does not compile is replaced by another one. What no test notices is a survivor. Survivors that were
looked at and found to change nothing that anybody may rely on stand in survivors.txt with a reason: they are
shown, and not counted. The last lines are a table by room.

--stage unit stops behind the room's own tests; --again FILE tries the survivors of a --report once more.

The checkout is never touched. By hand, and in tests/run.sh --long. Needs what the tests need.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import sites  # noqa: E402

KINDS = ["relation", "condition", "call", "arithmetic", "logic", "constant"]
# Tests outside tests/unit that belong to a room: they run with its unit tests.
OWN = {"numerics": r"^kernels/variants$", "host": r"^evaluator/", "evaluator": r"^evaluator/", "mlp": r"^evaluator/",
       "proto": r"^unit/base/", "libsewa": r"^client/library/", "cli": r"^client/cli/"}
# A fault may signal anybody, and leave processes behind that moved to groups of their own. Root puts each test into
# a name space of processes, which ends with its first one.
CAGE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh"] \
    if os.geteuid() == 0 and subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"]).returncode == 0 else []
LEFT_OUT = r"^(lint|bench|fuzz-corpus)$"  # labels: what they say of a fault is not that the code is wrong


def room_of(path):
    parts = path.split("/")
    if parts[0] == "daemon":
        return parts[1] if len(parts) > 2 else "app"
    if parts[0] == "client":
        return {"cli": "cli", "evaluator": "mlp" if parts[2:3] == ["mlp"] else "evaluator"}.get(parts[1], "libsewa")
    return parts[0]


def sources():
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "daemon/*.[ch]", "client/*.c", "proto/*.c"],
                            check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return [f for f in listed if not f.startswith("daemon/tools/") and not f.endswith(("_neon.c", "_avx512.c"))]


class Judged:
    """survivors.txt: a key (sites.key), then an indented reason."""

    def __init__(self, path):
        self.reasons = {}
        key = None
        for line in open(path) if os.path.exists(path) else []:
            if line.startswith("    ") and key:
                self.reasons[key] = (self.reasons.get(key, "") + " " + line.strip()).strip()
            elif line.strip() and not line.startswith("#"):
                key = line.strip()


class Tree:
    """A copy of the working tree with a build of its own."""

    def __init__(self, directory):
        self.source = os.path.join(directory, "tree")
        self.build = os.path.join(directory, "build")
        self.scratch = os.path.join(directory, "tmp")
        self.log = os.path.join(directory, "log")
        os.makedirs(self.scratch, exist_ok=True)
        self._copy()
        self.environment = dict(os.environ, TMPDIR=self.scratch)
        arguments = ["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                     "-DCMAKE_C_FLAGS_DEBUG=-O1", "-DSEWA_WERROR=OFF", "-DSEWA_TESTS=ON", "-DSEWA_FAILPOINTS=ON"]
        if shutil.which("ccache"):
            arguments.append("-DCMAKE_C_COMPILER_LAUNCHER=ccache")
        if not self._run(arguments, 300) or not self.make([]):
            sys.exit("mutate: the tree does not build without a fault; see %s" % self.log)

    def _copy(self):
        listed = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
        shutil.rmtree(self.source, ignore_errors=True)
        for name in filter(None, listed):
            here, there = os.path.join(TOP, name), os.path.join(self.source, name)
            if os.path.exists(here):
                os.makedirs(os.path.dirname(there), exist_ok=True)
                shutil.copy2(here, there)

    def _run(self, arguments, timeout, cwd=None, environment=None):
        """Whether it ended with 0 in time. Its whole process group is gone afterwards."""
        with open(self.log, "ab") as log:
            child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                                     env=environment or self.environment, start_new_session=True)
            try:
                return child.wait(timeout) == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                child.wait()

    def make(self, targets):
        return self._run(["ninja", "-C", self.build, "-j2"] + targets, 900)

    def tests(self):
        shown = subprocess.run(["ctest", "--show-only=json-v1"], cwd=self.build, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        out = []
        for t in json.loads(shown)["tests"]:
            properties = {p["name"]: p["value"] for p in t.get("properties", [])}
            if "command" in t and not any(re.match(LEFT_OUT, x) for x in properties.get("LABELS", [])):
                out.append(Test(t, properties))
        return out

    def passes(self, test, limit):
        environment = dict(self.environment, **test.environment)
        good = self._run(CAGE + test.command, limit, test.directory or self.build, environment)
        for name in os.listdir(self.scratch):
            path = os.path.join(self.scratch, name)
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.unlink(path)
        return good

    def write(self, path, text):
        with open(os.path.join(self.source, path), "w") as f:
            f.write(text)

    def read(self, path):
        with open(os.path.join(self.source, path)) as f:
            return f.read()


class Test:
    def __init__(self, shown, properties):
        self.name = shown["name"]
        self.command = shown["command"]
        self.directory = properties.get("WORKING_DIRECTORY")
        self.environment = dict(x.split("=", 1) for x in properties.get("ENVIRONMENT", []))
        program = shown["command"][0]
        self.target = os.path.basename(program) if "/bin/" in program and "python" not in program else None
        self.seconds = 0.0


def measure(tree, stage, remembered):
    """Every test once without a fault: its time, and what fails anyway or is left out here is not used.

    The times stay in @remembered: a second run in the same directory begins with its faults at once.
    """
    known = {}
    if os.path.exists(remembered):
        with open(remembered) as f:
            known = json.load(f)
    used = []
    for test in tree.tests():
        if stage == "unit" and not test.name.startswith(("unit/", "client/library", "client/cli", "evaluator/", "kernels/variants")):
            continue
        if test.name in known:
            test.seconds = known[test.name]
            used.append(test)
            continue
        begin = time.monotonic()
        if tree.passes(test, 900):
            test.seconds = known[test.name] = time.monotonic() - begin
            used.append(test)
        else:
            print("mutate: %s does not pass without a fault, and is not used" % test.name, flush=True)
        with open(remembered, "w") as f:
            json.dump(known, f, indent=1)
    return sorted(used, key=lambda t: t.seconds)


def is_own(test, room):
    return test.name.startswith("unit/%s/" % room) or (room in OWN and re.match(OWN[room], test.name))


def try_site(tree, site, tests, stage):
    """"broken" where it does not compile, the name of the test that noticed, or None."""
    room = room_of(site.path)
    original = tree.read(site.path)
    own = [t for t in tests if is_own(t, room)]
    tree.write(site.path, sites.apply(original, site))
    try:
        if not tree.make([t.target for t in own if t.target] or ["sewad"]):
            return "broken"
        for test in own:
            if not tree.passes(test, 20 + 10 * test.seconds):
                return test.name
        if stage == "unit":
            return None
        if not tree.make([]):
            return "broken"
        for test in tests:
            if test not in own and not tree.passes(test, 30 + 8 * test.seconds):
                return test.name
        return None
    finally:
        tree.write(site.path, original)


class Sample:
    """Sites in an order that is fixed by the seed: rooms in turn, kinds in turn within a room."""

    def __init__(self, options):
        self.texts, self.queues = {}, collections.OrderedDict()
        self.lock = threading.Lock()
        chance = random.Random(options.seed)
        for path in sources():
            room = room_of(path)
            if options.rooms and room not in options.rooms or options.files and path not in options.files:
                continue
            with open(os.path.join(TOP, path)) as f:
                self.texts[path] = f.read()
            for site in sites.find(path, self.texts[path]):
                self.queues.setdefault(room, {k: [] for k in KINDS})[site.kind].append(site)
        self.sizes = {room: sum(map(len, kinds.values())) for room, kinds in self.queues.items()}
        for kinds in self.queues.values():
            for queue in kinds.values():
                chance.shuffle(queue)
        if options.again:
            self._keep(options.again)
        self.turn = {room: 0 for room in self.queues}
        self.given = {room: 0 for room in self.queues}
        self.left = options.count

    def _keep(self, report):
        with open(report) as f:
            wanted = {line.rstrip("\n").split("\t")[2] for line in f if line.startswith("SURVIVED\t")}
        for kinds in self.queues.values():
            for kind, queue in kinds.items():
                kinds[kind] = [s for s in queue if sites.key(s, self.texts[s.path]) in wanted]

    def _share(self, room):  # rooms by the root of their size: small ones are looked at, large ones more
        return self.given[room] / (self.sizes[room] ** 0.5)

    def next(self):
        with self.lock:
            rooms = [r for r in self.queues if any(self.queues[r].values())]
            if self.left <= 0 or not rooms:
                return None
            room = min(rooms, key=self._share)
            while True:
                kind = KINDS[self.turn[room] % len(KINDS)]
                self.turn[room] += 1
                if self.queues[room][kind]:
                    break
            self.left -= 1
            self.given[room] += 1
            return self.queues[room][kind].pop()

    def put_back(self, site):
        with self.lock:
            self.left += 1
            self.given[room_of(site.path)] -= 1


class Results:
    def __init__(self, judged, report):
        self.judged, self.rows, self.lock = judged, collections.OrderedDict(), threading.Lock()
        self.report = open(report, "a") if report else None

    def add(self, site, key, noticed):
        with self.lock:
            row = self.rows.setdefault(room_of(site.path), collections.Counter())
            reason = self.judged.reasons.get(key)
            what = "own" if noticed and noticed.split("/")[1:2] == [room_of(site.path)] else "others" if noticed \
                else "judged" if reason else "survived"
            row[what] += 1
            line = "%s: %s" % ("judged (%s)" % reason if what == "judged" else noticed or "SURVIVED", key)
            print("%s:%d: %s" % (site.path, site.line, line), flush=True)
            if self.report:
                self.report.write("%s\t%s:%d\t%s\n" % (noticed or what.upper(), site.path, site.line, key))
                self.report.flush()

    def table(self):
        print("\n%-12s %7s %9s %8s %9s %7s %7s" % ("room", "faults", "own tests", "others", "survived", "judged", "noticed"))
        total = collections.Counter()
        for room in sorted(self.rows):
            total.update(self.rows[room])
            self._line(room, self.rows[room])
        self._line("all", total)
        return total

    @staticmethod
    def _line(room, row):
        counted = row["own"] + row["others"] + row["survived"]
        print("%-12s %7d %9d %8d %9d %7d %6.1f%%" % (room, counted + row["judged"], row["own"], row["others"],
              row["survived"], row["judged"], 100.0 * (row["own"] + row["others"]) / max(counted, 1)))


def work(directory, sample, results, stage, shared):
    tree = Tree(directory)
    with shared["lock"]:
        if shared["tests"] is None:
            shared["tests"] = measure(tree, stage, os.path.join(os.path.dirname(directory), "seconds.json"))
    names = {t.name: t.seconds for t in shared["tests"]}
    tests = sorted((t for t in tree.tests() if t.name in names), key=lambda t: names[t.name])
    for test in tests:
        test.seconds = names[test.name]
    while True:
        site = sample.next()
        if site is None:
            return
        noticed = try_site(tree, site, tests, stage)
        if noticed == "broken":
            sample.put_back(site)
        else:
            results.add(site, sites.key(site, sample.texts[site.path]), noticed)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rooms", type=lambda t: t.split(","), default=[])
    parser.add_argument("--files", type=lambda t: t.split(","), default=[])
    parser.add_argument("--parallel", type=int, default=os.cpu_count())
    parser.add_argument("--stage", choices=("unit", "all"), default="all")
    parser.add_argument("--directory", default=os.path.join(TOP, "build", "mutation"))
    parser.add_argument("--report")
    parser.add_argument("--again")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()

    sample = Sample(options)
    if options.list:
        for room, size in sorted(sample.sizes.items()):
            print("%-12s %6d" % (room, size))
        return 0
    results = Results(Judged(os.path.join(HERE, "survivors.txt")), options.report)
    shared = {"lock": threading.Lock(), "tests": None}
    threads = [threading.Thread(target=work, args=(os.path.join(options.directory, str(i)), sample, results,
                                                   options.stage, shared)) for i in range(options.parallel)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    total = results.table()
    counted = total["own"] + total["others"] + total["survived"]
    return 0 if counted and (total["own"] + total["others"]) / counted >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
