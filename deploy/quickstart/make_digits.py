#!/usr/bin/python3
"""Make digits.safetensors from scikit-learn's copy of the UCI optical digits.

Needs python3-sklearn and python3-numpy. The result is committed, so nobody has to run this; it
shows where each byte comes from. Usage: make_digits.py [OUTPUT]
"""
import json
import struct
import sys

import numpy
from sklearn.datasets import load_digits

SPLIT = {"train": 400, "selection": 400, "report": 997}
SEED = 0  # of the split, chosen before any result was seen


def parts():
    digits = load_digits()
    order = numpy.random.RandomState(SEED).permutation(len(digits.target))
    start = 0
    for name, count in SPLIT.items():
        rows = order[start : start + count]
        start += count
        # grey values are whole numbers from 0 to 16: exact in float32
        yield name + ".x", (digits.data[rows] / 16).astype("<f4"), "F32"
        yield name + ".y", digits.target[rows].astype("<i8"), "I64"


def main(path):
    header = {
        "__metadata__": {
            "source": "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI",
            "licence": "CC BY 4.0",
        }
    }
    blocks = []
    offset = 0
    for name, values, dtype in parts():
        block = numpy.ascontiguousarray(values).tobytes()
        end = offset + len(block)
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, end]}
        blocks.append(block)
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits.safetensors")
