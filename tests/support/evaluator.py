"""evaluator - an evaluator for tests, that can be slow, wrong or rude on demand.

It speaks the protocol of proto/evaluator.md with bare hands. The loss is a quadratic: the mean
squared distance of all float values from targets that are made from their places, so it knows no
model and fits every checkpoint. Options (all may be left out):

    splits      list of names                      ["selection", "report"]
    gradient    whether it differentiates          true
    paired      whether it gives losses of single examples   false
    spread      how far the targets of "report" lie from those of "selection"
    exact       targets are multiples of 1/64 and sums are rounded once: the same on any machine
    delay       seconds that each evaluation takes
    gate        path: every evaluation waits until this file exists
    setup_gate  path: the same for being ready
    count       path: a line with the pid for each evaluation that begins
    about       path: what this process was started with, as JSON
    family      path: it forks processes of every kind of OFFSPRING at the start, which sleep;
                a line with its pid, theirs and the kind for each
    say         lines that are printed at the start, half of them to stderr
    chatter     a word that is printed, with its number, before each evaluation is answered
    gate_at     the first evaluation of this process that waits for the gate      1
    flood       bytes that each evaluation before that one prints
    tensors     names that it insists on, else it reports a mismatch
    memory      bytes of memory to use up at the start
    recalibrate names of tensors that it recalibrates: to their targets, moved by ten times shift
                and a little by the first value of the weights
    shift       see above; 0 makes them good, 1 bad                     0
    recalibrations  path: a line with the pid for each recalibration that begins
    recalibrate_fault  what goes wrong there: a word of RECALIBRATE_FAULTS; `once` applies
    fault       what goes wrong: a word of FAULTS
    at          from which evaluation of this process on (1: the first)
    once        path: the fault happens only while this file does not exist, and makes it
"""
import json
import math
import os
import signal
import socket
import struct
import sys
import time


class Host:
    """The other end of descriptor 3."""

    def __init__(self):
        self.socket = socket.socket(fileno=3)
        self.bytes = b""
        self.descriptors = []

    def hear(self):
        while b"\n" not in self.bytes:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 4)
            self.descriptors += descriptors
            if not data:
                sys.exit(0)  # the worker is gone
            self.bytes += data
        line, self.bytes = self.bytes.split(b"\n", 1)
        return json.loads(line)

    def say(self, message):
        self.say_bytes(json.dumps(message).encode() + b"\n")

    def say_bytes(self, data):
        self.socket.sendall(data)


class Model:
    """The tensors that the host shares, and the quadratic over them."""

    def __init__(self, init, descriptors, options):
        self.weights, self.gradient, table = descriptors[:3]
        self.init = init
        self.tensors = json.loads(os.pread(table, init["table_bytes"], 0))["tensors"]
        self.floats = [t for t in self.tensors if t["kind"] == "float"]
        self.spread = options.get("spread", 0.1)
        self.exact = options.get("exact", False)
        self.examples = None

    def values(self, bank):
        for t in self.floats:
            code = "d" if t["dtype"] == "F64" else "f"
            n = math.prod(t["shape"])
            at = bank * self.init["bank_bytes"] + t["offset"]
            data = os.pread(self.weights, n * struct.calcsize(code), at)
            yield t, struct.unpack("<%d%s" % (n, code), data)

    def target(self, place, split):
        if self.exact:
            return (place * 37 % 64 - 32 + (split == "report") * (place % 5 - 2)) / 64
        shift = self.spread if split == "report" else 0.0
        return math.sin(0.7 * place) + shift * math.cos(1.3 * place)

    def recalibrate(self, bank, names, shift):
        values = list(self.values(bank))
        place, nudge = 0, 0.001 * values[0][1][0]
        for t, numbers in values:
            if t["name"] in names:
                fresh = [self.target(place + i, "selection") + 10.0 * shift + nudge
                         for i in range(len(numbers))]
                at = bank * self.init["gradient_bank_bytes"] + t["gradient_offset"]
                os.pwrite(self.gradient, struct.pack("<%df" % len(fresh), *fresh), at)
            place += len(numbers)

    def evaluate(self, bank, split, gradient):
        """The loss, and the losses of the single values as if these were examples."""
        values = list(self.values(bank))
        total = sum(len(v) for _, v in values)
        losses, place = [], 0
        for t, numbers in values:
            slopes = []
            for x in numbers:
                difference = x - self.target(place, split)
                losses.append(difference * difference)
                slopes.append(2.0 * difference / total)
                place += 1
            if gradient:
                at = bank * self.init["gradient_bank_bytes"] + t["gradient_offset"]
                os.pwrite(self.gradient, struct.pack("<%df" % len(slopes), *slopes), at)
        return (math.fsum if self.exact else sum)(losses) / max(total, 1), losses


def wait_for(path):
    while path and not os.path.exists(path):
        time.sleep(0.01)


def append(path, text):
    with open(path, "a", encoding="ascii") as file:
        file.write(text)


# ---- what can go wrong: a function of the host and the request, which may be None at the start ----


def exit_now(host, request):
    print("the evaluator gives up")
    sys.stdout.flush()
    os._exit(7)


def hang(host, request):
    time.sleep(3600)


def die(host, request):
    os.kill(os.getpid(), 9)


def answer(**fields):
    def fault(host, request):
        host.say(dict({"type": "result", "id": request["id"]}, **fields))
    return fault


def rubbish(host, request):
    host.say_bytes(b"this is no JSON\n")


def complain(host, request):
    host.say({"type": "error", "id": request["id"], "kind": "ValueError",
              "message": "the data is not what it was", "traceback": "line 1\nline 2"})


def give_up(host, request):
    host.say({"type": "error", "kind": "RuntimeError", "message": "no data at this place"})
    os._exit(1)


def endless_line(host, request):
    while True:
        host.say_bytes(b"x" * 65536)


def at_start(kind):
    """A fault that comes before 'ready'."""
    def fault(host, request):
        if request is None:
            kind(host, None)
    fault.at_start = True
    return fault


def ready(**fields):
    def fault(host, request):
        message = dict({"type": "ready", "protocol": 1, "gradient": True,
                        "splits": ["selection", "report"]}, **fields)
        host.say({k: v for k, v in message.items() if v is not None})
        hang(host, None)
    return at_start(fault)


def mismatch(host, request):
    host.say({"type": "error", "kind": "mismatch",
              "message": "tensor 'head' is [10, 48], the model has [12, 48]"})
    os._exit(1)


FAULTS = {
    "exit": exit_now, "hang": hang, "die": die, "rubbish": rubbish, "error": complain,
    "give_up": give_up, "endless_line": endless_line,
    "nan": answer(loss="nan"), "inf": answer(loss="inf"), "no_loss": answer(examples=1),
    "text_loss": answer(loss="very good"),
    "wrong_id": lambda host, request: host.say({"type": "result", "id": 999999, "loss": 1.0}),
    "unknown_type": lambda host, request: host.say({"type": "greeting"}),
    "exit_at_start": at_start(exit_now), "hang_at_start": at_start(hang),
    "rubbish_at_start": at_start(rubbish), "give_up_at_start": at_start(give_up),
    "mismatch": at_start(mismatch), "protocol_2": ready(protocol=2),
    "no_selection": ready(splits=["report"]), "no_splits": ready(splits=None),
    "bad_parameters": ready(parameters=["no.such.tensor"]),
    "bad_metric": ready(metrics=[{"name": "accuracy", "direction": "sideways"}]),
}


def recalibrated(*names):
    """Names tensors, and writes nothing."""
    return lambda host, request: host.say(
        {"type": "recalibrated", "id": request["id"], "tensors": list(names)})


RECALIBRATE_FAULTS = {
    "exit": exit_now, "hang": hang, "die": die, "rubbish": rubbish, "error": complain,
    "unknown": recalibrated("no.such.tensor"), "integers": recalibrated("steps"),
    "no_values": recalibrated("b"), "result": answer(loss=1.0),
    "no_names": lambda host, request: host.say({"type": "recalibrated", "id": request["id"]}),
}


def recalibrate(host, options, model, request):
    fault, once = RECALIBRATE_FAULTS.get(options.get("recalibrate_fault")), options.get("once")
    if options.get("recalibrations"):
        append(options["recalibrations"], "%d\n" % os.getpid())
    if fault and not (once and os.path.exists(once)):
        if once:
            append(once, "x")
        fault(host, request)
        return
    names = options["recalibrate"]
    model.recalibrate(request["bank"], names, options.get("shift", 0))
    host.say({"type": "recalibrated", "id": request["id"], "tensors": names})


def fault_for(options, number):
    """The fault that is due at evaluation @number (0: the start), or None."""
    fault = FAULTS.get(options.get("fault"))
    if fault is None or (number == 0) != hasattr(fault, "at_start"):
        return None
    if number and number < options.get("at", 1):
        return None
    once = options.get("once")
    if once and os.path.exists(once):
        return None
    if once:
        append(once, "x")
    return fault


def tell_about(path):
    """What somebody could learn from this process by looking at it."""
    with open("/proc/self/cmdline", "rb") as file:
        command = file.read()
    about = {"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgrp(),
             "environment": dict(os.environ), "command": command.decode("utf-8", "replace"),
             "directory": os.getcwd(), "stdin": os.fstat(0).st_rdev == os.stat("/dev/null").st_rdev,
             "descriptors": sorted(int(d) for d in os.listdir("/proc/self/fd")),
             "umask": os.umask(0o077)}
    os.umask(about["umask"])
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(about, file)
    os.rename(path + ".part", path)


def sleep_on(path, parent, kind):
    """The life of a descendant; it hears of nobody's end but by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    append(path, "%d %d %s\n" % (parent, os.getpid(), kind))
    time.sleep(3600)
    os._exit(0)


def plain(path, parent):
    sleep_on(path, parent, "plain")


def session(path, parent):
    os.setsid()
    sleep_on(path, parent, "session")


def daemon(path, parent):
    """Twice forked: its own parent has ended, and it has a session without a leader."""
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        sleep_on(path, parent, "daemon")
    os._exit(0)


def deep(path, parent):
    """A grandchild in a group of its own below a child in another."""
    os.setpgid(0, 0)
    if os.fork() == 0:
        os.setpgid(0, 0)
        sleep_on(path, parent, "grandchild")
    sleep_on(path, parent, "deep")


OFFSPRING = ("plain", "session", "daemon", "deep", "grandchild")


def raise_family(path):
    parent = os.getpid()
    for kind in (plain, session, daemon, deep):
        if os.fork() == 0:
            kind(path, parent)


def begin(host, options, init):
    if options.get("family"):
        raise_family(options["family"])
    if options.get("about"):
        tell_about(options["about"])
    for i, line in enumerate(options.get("say", [])):
        print(line, file=sys.stderr if i % 2 else sys.stdout, flush=True)
    hoard = bytearray(options.get("memory", 0))
    wait_for(options.get("setup_gate"))
    model = Model(init, host.descriptors, options)
    fault = fault_for(options, 0)
    if fault:
        fault(host, None)
    missing = [n for n in options.get("tensors", []) if n not in [t["name"] for t in model.tensors]]
    if missing:
        host.say({"type": "error", "kind": "mismatch", "message": "no tensor '%s'" % missing[0]})
        sys.exit(1)
    splits = options.get("splits", ["selection", "report"])
    total = sum(math.prod(t["shape"]) for t in model.floats)
    message = {"type": "ready", "protocol": 1, "gradient": options.get("gradient", True),
               "splits": splits, "metrics": [{"name": "closeness", "direction": "max"}],
               "recalibrates": "recalibrate" in options}
    if options.get("paired"):
        message["examples"] = {s: total for s in splits}
    host.say(message)
    return model, hoard


def serve(host, options, model):
    number = 0
    while True:
        request = host.hear()
        if request["type"] == "stop":
            return
        if request["type"] == "examples":
            model.examples = host.descriptors[3]
            continue
        if request["type"] == "recalibrate":
            recalibrate(host, options, model, request)
            continue
        number += 1
        if options.get("count"):
            append(options["count"], "%d\n" % os.getpid())
        if number >= options.get("gate_at", 1):
            wait_for(options.get("gate"))
        time.sleep(options.get("delay", 0))
        fault = fault_for(options, number)
        if fault:
            fault(host, request)
            continue
        loss, losses = model.evaluate(request["bank"], request["split"], request["gradient"])
        result = {"type": "result", "id": request["id"], "loss": loss,
                  "metrics": {"closeness": 1.0 / (1.0 + loss)}, "examples": len(losses)}
        if model.examples is not None:
            os.pwrite(model.examples, struct.pack("<%df" % len(losses), *losses), 0)
            result["example_losses"] = True
        if number < options.get("gate_at", 1):
            sys.stdout.write(("x" * 99 + "\n") * (options.get("flood", 0) // 100))
        if options.get("chatter"):
            print(options["chatter"], number, flush=True)
        host.say(result)


def main():
    host = Host()
    init = host.hear()
    options = init["options"]
    model, _ = begin(host, options, init)
    serve(host, options, model)


if __name__ == "__main__":
    main()
