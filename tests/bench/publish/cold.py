#!/usr/bin/python3
"""cold - the average of K checkpoints that are not in the page cache, beside dd reading the same
files (iflag=direct bs=4M), in turn, as the ratio of the speeds of each pair.

    cold.py PROGRAM [--files K] [--megabytes N] [--rounds R] [--threads T] [--directory DIR]

PROGRAM is bench_publish. The files are below DIR, which must be on a disk; the result goes to
memory (/dev/shm) where there is one, so that the disk does nothing but read. Before each
run the files are dropped from the page cache. A virtual disk may have a cache of its own that
nobody here can empty: both sides gain from it, which is why they alternate and one warms up.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def write_file(path, megabytes, seed):
    """One F32 tensor of pseudo-random numbers around 1; a disk may compress what is simpler."""
    count = megabytes * 1000000 // 4
    header = json.dumps({"weight": {"dtype": "F32", "shape": [count],
                                    "data_offsets": [0, 4 * count]}}).encode()
    header += b" " * (-len(header) % 8)
    block = bytearray(os.urandom(1 << 20))
    block[3::4] = b"\x3f" * (1 << 18)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        left = 4 * count
        while left:
            block[0] = (block[0] + seed + 1) % 256
            left -= file.write(block[:min(left, len(block))])
        file.flush()
        os.fsync(file.fileno())


def drop(paths):
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_by_dd(paths):
    began = time.monotonic()
    for path in paths:
        subprocess.run(["dd", "if=" + path, "of=/dev/null", "iflag=direct", "bs=4M", "status=none"],
                       check=True)
    return time.monotonic() - began


def average(options, paths, output):
    run = subprocess.run([options.program, "--output", output, "--threads", str(options.threads)]
                         + paths, check=True, stdout=subprocess.PIPE, text=True)
    line = json.loads(run.stdout)
    if line["cold_reads"] == 0:
        print("skipped: every read found its bytes in memory; '%s' is not on a disk"
              % options.directory)
        sys.exit(77)
    return line["seconds"]


def measure(options, paths, output):
    ours, theirs = [], []
    for round_ in range(options.rounds + 1):
        drop(paths)
        dd = read_by_dd(paths)
        drop(paths)
        seconds = average(options, paths, output)
        if round_ > 0:
            theirs.append(dd)
            ours.append(seconds)
    return ours, theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=200, help="of a file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--directory", default=os.environ.get("TMPDIR", "/tmp"))
    options = parser.parse_args()
    in_memory = os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK)
    directory = tempfile.mkdtemp(prefix="sewa-cold-", dir=options.directory)
    output = tempfile.mkdtemp(prefix="sewa-cold-", dir="/dev/shm" if in_memory else directory)
    try:
        paths = [os.path.join(directory, "%03d.safetensors" % i) for i in range(options.files)]
        for i, path in enumerate(paths):
            write_file(path, options.megabytes, i)
        ours, theirs = measure(options, paths, output)
    finally:
        shutil.rmtree(output, ignore_errors=True)
        shutil.rmtree(directory)
    size = options.files * options.megabytes / 1000
    ratios = [theirs[i] / ours[i] for i in range(len(ours))]
    print("F32  %3d x %d MB from disk to a published average in %s: %.2f GB/s, dd %.2f GB/s, pairs "
          "%.0f to %.0f %%: median %.0f %% of dd" %
          (options.files, options.megabytes, "memory" if in_memory else "a file",
           size / statistics.median(ours), size / statistics.median(theirs),
           100 * min(ratios), 100 * max(ratios), 100 * statistics.median(ratios)))


if __name__ == "__main__":
    main()
