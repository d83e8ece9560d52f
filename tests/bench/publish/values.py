#!/usr/bin/python3
"""values - the published average of every float type against an independent program: this one,
which knows only the definition. Equal weights: the sum of the values in float64, oldest first,
divided by their number, rounded once to the nearest number of the type, ties to the even code.

    values.py PROGRAM          (PROGRAM is bench_publish; needs the standard library only)

Small types are rounded by looking for the nearest of all their numbers, F32 by struct. The files
are read by both sources, all in memory and piece by piece.
"""
import bisect
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

COUNT, ELEMENTS = 7, 3001


class Small:
    """A type of 8 or 16 bits: all its numbers that are not negative, in the order of their codes."""

    def __init__(self, name, size, fraction, bias, end):
        self.name, self.size = name, size
        self.numbers = [self.number(code, fraction, bias) for code in range(end + 1)]
        self.end = end  # the first code that is no finite number
        self.sign = 1 << (8 * size - 1)

    @staticmethod
    def number(code, fraction, bias):
        exponent, low = code >> fraction, code & ((1 << fraction) - 1)
        if exponent == 0:
            return math.ldexp(low, 1 - bias - fraction)
        return math.ldexp((1 << fraction) + low, exponent - bias - fraction)

    def pack(self, values):
        return b"".join(self.code(x).to_bytes(self.size, "little") for x in values)

    def unpack(self, data):
        codes = [int.from_bytes(data[i:i + self.size], "little")
                 for i in range(0, len(data), self.size)]
        return [math.copysign(self.numbers[code & (self.sign - 1)],
                              -1 if code & self.sign else 1) for code in codes]

    def code(self, x):
        high = bisect.bisect_left(self.numbers, abs(x))
        low = high if self.numbers[high] == abs(x) else high - 1
        below, above = abs(x) - self.numbers[low], self.numbers[high] - abs(x)
        even = low if low % 2 == 0 else high
        code = even if below == above else low if below < above else high
        assert code < self.end, "numbers of this test fit"
        return code | (self.sign if math.copysign(1, x) < 0 else 0)


class Native:
    def __init__(self, name, size, letter):
        self.name, self.size, self.letter = name, size, letter

    def pack(self, values):
        return struct.pack("<%d%s" % (len(values), self.letter), *values)

    def unpack(self, data):
        return struct.unpack("<%d%s" % (len(data) // self.size, self.letter), data)


TYPES = [Small("F8_E4M3", 1, 3, 7, 0x7f), Small("F8_E5M2", 1, 2, 15, 0x7c),
         Small("F16", 2, 10, 15, 0x7c00), Small("BF16", 2, 7, 127, 0x7f80),
         Native("F32", 4, "f"), Native("F64", 8, "d")]


def write_file(path, tensors):
    header, at = {}, 0
    for kind, data in tensors:
        header[kind.name] = {"dtype": kind.name, "shape": [len(data) // kind.size],
                             "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors:
            file.write(data)


def read_file(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    return {key: data[8 + size:][slice(*entry["data_offsets"])]
            for key, entry in json.loads(data[8:8 + size]).items() if key != "__metadata__"}


def make_values(rng):
    """Numbers around 1, some very small: subnormals of the small types; zeros of both signs."""
    values = [rng.uniform(-2, 2) * 2.0 ** -rng.choice([0, 0, 0, 3, 7, 14, 20])
              for _ in range(ELEMENTS)]
    values[0:4] = [0.0, -0.0, 2.0 ** -17, -2.0 ** -24]
    return values


def average(kind, files):
    columns = [kind.unpack(data) for data in files]
    means = []
    for values in zip(*columns):
        total = -0.0  # what adding leaves as it is
        for x in values:
            total += x
        means.append(total / len(columns))
    return kind.pack(means)


def main():
    program = sys.argv[1]
    directory = tempfile.mkdtemp(prefix="sewa-values-")
    rng = random.Random(1)
    try:
        paths = []
        files = []
        for i in range(COUNT):
            files.append([(kind, kind.pack(make_values(rng))) for kind in TYPES])
            paths.append(os.path.join(directory, "step-%d.safetensors" % i))
            write_file(paths[-1], files[-1])
        for source in [[], ["--resident"]]:
            subprocess.run([program, "--output", directory, "--threads", "2"] + source + paths,
                           check=True, stdout=subprocess.DEVNULL)
            result = read_file(os.path.join(directory, "model.safetensors"))
            for t, kind in enumerate(TYPES):
                want = average(kind, [file[t][1] for file in files])
                if result[kind.name] != want:
                    at = next(i for i, pair in enumerate(zip(want, result[kind.name]))
                              if pair[0] != pair[1]) // kind.size
                    sys.exit("values: %s differs, first in element %d" % (kind.name, at))
        print("equal bytes: %s" % ", ".join(kind.name for kind in TYPES))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
