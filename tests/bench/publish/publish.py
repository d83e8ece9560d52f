#!/usr/bin/python3
"""publish - the average of K checkpoints, from the page cache to a file: our engine and a plain
PyTorch loop (load, add, divide, save) over the same numbers, in turn, as the ratio of each pair.

    publish.py PROGRAM [--files K] [--megabytes N] [--rounds R] [--threads T] [--dtype f32|bf16]
               [--directory DIR] [--quick]

PROGRAM is bench_publish. Two rows for each type: the output synced to disk by both, and the output
in a file system in memory (/dev/shm), where a sync costs neither anything. Our result is compared
with the definition (sums in float64, divided, rounded once) byte by byte, PyTorch's with ours to
what its own arithmetic allows. Nobody computes digests of the ingredients; ours has the digest of
the result. Needs torch and numpy; without them it says so and exits with 77.
"""
import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

try:
    import numpy
    import torch
except ImportError as error:
    print("skipped: %s (Debian: python3-torch, libopenblas0-pthread)" % error)
    sys.exit(77)

TYPES = {"f32": (torch.float32, "F32", 4), "bf16": (torch.bfloat16, "BF16", 2)}


def as_bytes(tensor):
    """The values of a tensor as they stand in a file."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().tobytes()
    return tensor.numpy().tobytes()


def write_safetensors(path, state, name):
    header, at = {}, 0
    for key, tensor in state.items():
        size = tensor.nelement() * tensor.element_size()
        header[key] = {"dtype": name, "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in state.values():
            file.write(as_bytes(tensor))
        os.fsync(file.fileno())


def read_safetensors(path):
    """Name to bytes."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    body = memoryview(data)[8 + size:]
    return {key: body[slice(*entry["data_offsets"])]
            for key, entry in json.loads(data[8:8 + size]).items() if key != "__metadata__"}


def make_state(elements, dtype, seed):
    """Eight tensors, as layers that differ in size; the same start, another drift each."""
    state, left = {}, elements
    for layer in range(8):
        rows = max(1, (left if layer == 7 else left // 3) // 64)
        start = torch.Generator().manual_seed(layer)
        drift = torch.Generator().manual_seed(1000 * seed + layer)
        values = torch.randn(rows, 64, generator=start)
        values += 0.01 * torch.randn(rows, 64, generator=drift)
        state["layers.%d.weight" % layer] = values.to(dtype)
        left -= rows * 64
    return state


def make_files(directory, options, dtype, name, size):
    pairs = []
    for i in range(options.files):
        state = make_state(options.megabytes * 1000000 // size, dtype, i)
        pair = [os.path.join(directory, "%03d.%s" % (i, end)) for end in ("pt", "safetensors")]
        torch.save(state, pair[0])
        write_safetensors(pair[1], state, name)
        pairs.append(pair)
    os.sync()
    return pairs


def average_by_torch(paths, output):
    """The loop that everybody writes, and the sync that makes the file durable."""
    began = time.monotonic()
    total = None
    for path in paths:
        state = torch.load(path, map_location="cpu")
        if total is None:
            total = state
            continue
        for key in total:
            total[key] += state[key]
    for key in total:
        total[key] /= len(paths)
    with open(output, "wb") as file:
        torch.save(total, file)
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


def average_by_engine(options, paths, output):
    run = subprocess.run([options.program, "--output", output, "--threads", str(options.threads)]
                         + paths, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)


def as_float64(raw, name):
    if name == "F32":
        return numpy.frombuffer(raw, "<f4").astype(numpy.float64)
    wide = numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16
    return wide.view(numpy.float32).astype(numpy.float64)


def rounded(values, name):
    """float64 to the bytes of the type, to nearest even, in one step."""
    if name == "F32":
        return values.astype(numpy.float32).tobytes()
    # values of this benchmark are normal numbers: cut the fraction from 52 bits to 7
    bits = values.view(numpy.uint64)
    bits = bits + ((1 << 44) - 1) + ((bits >> numpy.uint64(45)) & numpy.uint64(1))
    bits &= numpy.uint64(~((1 << 45) - 1) & (2 ** 64 - 1))
    high = bits.view(numpy.float64).astype(numpy.float32).view(numpy.uint32) >> 16
    return high.astype(numpy.uint16).tobytes()


def compare(paths, ours, theirs, name):
    files = [read_safetensors(path) for path in paths]
    result, other = read_safetensors(ours), torch.load(theirs, map_location="cpu")
    for key, got in result.items():
        total = as_float64(files[0][key], name)
        for file in files[1:]:
            total += as_float64(file[key], name)
        total /= len(files)
        if rounded(total, name) != bytes(got):
            sys.exit("publish: '%s' is not the average that is defined" % key)
        error = numpy.abs(as_float64(as_bytes(other[key]), name) - total).max()
        # sums of bf16 are rounded ten times, to eight bits
        if error > (1e-5 if name == "F32" else 0.2):
            sys.exit("publish: '%s' is off by %g in PyTorch's average" % (key, error))


def measure(options, directory, output, pairs, name):
    ours, theirs = [], []
    files = [pair[1] for pair in pairs]
    for _ in range(options.rounds):
        theirs.append(average_by_torch([pair[0] for pair in pairs], os.path.join(output, "a.pt")))
        line = average_by_engine(options, files, output)
        ours.append(line["seconds"])
    compare(files, os.path.join(output, "model.safetensors"), os.path.join(output, "a.pt"), name)
    return ours, theirs, line["peak_kib"]


def report(options, name, where, ours, theirs, peak_kib):
    ratios = [theirs[i] / ours[i] for i in range(len(ours))]
    print("%-4s %3d x %d MB, %-14s  PyTorch %.3f s, ours %.3f s, pairs %.1f to %.1f: median %.1f "
          "times faster; ours peaks at %d MiB" %
          (name, options.files, options.megabytes, where, statistics.median(theirs),
           statistics.median(ours), min(ratios), max(ratios), statistics.median(ratios),
           peak_kib >> 10), flush=True)


def run_type(options, key):
    dtype, name, size = TYPES[key]
    directory = tempfile.mkdtemp(prefix="sewa-publish-", dir=options.directory)
    outputs = [("synced to disk", directory)]
    try:
        if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK):
            outputs.append(("in memory", tempfile.mkdtemp(prefix="sewa-publish-", dir="/dev/shm")))
        pairs = make_files(directory, options, dtype, name, size)
        for where, output in outputs:
            report(options, name, where, *measure(options, directory, output, pairs, name))
    finally:
        for _, output in outputs:
            shutil.rmtree(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--megabytes", type=int, help="of a file; default: 200 f32, 100 bf16")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=sorted(TYPES), help="default: all")
    parser.add_argument("--directory", default=os.environ.get("TMPDIR", "/tmp"))
    parser.add_argument("--quick", action="store_true", help="3 files of 1 MB, once")
    options = parser.parse_args()
    if options.quick:
        options.files, options.megabytes, options.rounds = 3, 1, 1
    torch.set_num_threads(options.threads)
    fixed = options.megabytes
    for key in [options.dtype] if options.dtype else ["f32", "bf16"]:
        options.megabytes = fixed or (200 if key == "f32" else 100)
        run_type(options, key)


if __name__ == "__main__":
    main()
