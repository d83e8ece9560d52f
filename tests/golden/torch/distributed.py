#!/usr/bin/python3
"""distributed.py - golden directories as torch.distributed.checkpoint writes them (2.x), by hand.

    tests/golden/torch/distributed.py tests/golden/torch

The classes of .metadata are those of PyTorch by name and attributes; Python's own pickler does the
rest, as it does there. Each part of a *.distcp file is what torch.save makes of one tensor.
"""
import dataclasses
import hashlib
import os
import pickle
import struct
import sys
import tempfile
import types

import newer
from newer import OUT, Storage, Global, archive, dumps, tensor

PACKAGE = "torch.distributed.checkpoint."


def module(name):
    m = sys.modules[name] = types.ModuleType(name)
    return m


torch = module("torch")
for part in ("torch.distributed", "torch.distributed.checkpoint"):
    module(part)
metadata, filesystem = module(PACKAGE + "metadata"), module(PACKAGE + "filesystem")


class Size(tuple):
    def __reduce__(self):
        return Size, (tuple(self),)


class Dtype:
    def __init__(self, name):
        self.name = name
        setattr(torch, name, self)

    def __reduce__(self):
        return self.name


def own(cls, m):
    cls.__module__ = m.__name__
    cls.__qualname__ = cls.__name__
    setattr(m, cls.__name__, cls)
    return cls


def record(m, name, fields):
    return own(dataclasses.make_dataclass(name, fields, eq=False), m)


own(Size, torch)
Dtype.__module__ = "torch"
Metadata = record(metadata, "Metadata", ["state_dict_metadata", "planner_data", "storage_data",
                                         "storage_meta"])
TensorStorageMetadata = record(metadata, "TensorStorageMetadata", ["properties", "size", "chunks"])
BytesStorageMetadata = record(metadata, "BytesStorageMetadata", [])
ChunkStorageMetadata = record(metadata, "ChunkStorageMetadata", ["offsets", "sizes"])
MetadataIndex = record(metadata, "MetadataIndex", ["fqn", "offset", "index"])
StorageInfo = record(filesystem, "_StorageInfo", ["relative_path", "offset", "length"])


class TensorProperties:
    def __init__(self, dtype):
        self.dtype = dtype

    def __getstate__(self):
        return (self.dtype, None, False, 0, False)


own(TensorProperties, metadata)
DTYPES = {"F32": (Dtype("float32"), "f", "FloatStorage"), "I64": (Dtype("int64"), "q", "LongStorage")}


def blob(dtype, shape, data):
    """torch.save(tensor)"""
    _, letter, kind = DTYPES[dtype]
    count = len(data) // struct.calcsize(letter)
    stride, n = [], 1
    for size in reversed(shape):
        stride.insert(0, n)
        n *= size
    storage = Storage(Global("torch", kind), "0", data, count)
    with tempfile.NamedTemporaryFile() as f:
        archive(f.name, [("archive/data.pkl", dumps(tensor(storage, 0, tuple(shape), tuple(stride)))),
                         ("archive/byteorder", b"little"), ("archive/data/0", data),
                         ("archive/version", b"3\n")])
        return open(f.name, "rb").read()


def directory(name, tensors, others=(), parts=1, routes=None):
    """tensors: name, file, type, shape, data"""
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    files, places, entries = {}, {}, {}
    for fqn, file, dtype, shape, data in tensors:
        b = blob(dtype, shape, data)
        at = len(files.get(file, b""))
        files[file] = files.get(file, b"") + b
        zero = Size([0] * len(shape))
        places[MetadataIndex(fqn, zero, 0)] = StorageInfo(file, at, len(b))
        chunk = ChunkStorageMetadata(zero, Size(shape))
        entries[fqn] = TensorStorageMetadata(TensorProperties(DTYPES[dtype][0]), Size(shape),
                                             [chunk] * parts)
    for fqn in others:
        entries[fqn] = BytesStorageMetadata()
        places[MetadataIndex(fqn, None, None)] = StorageInfo("__0_0.distcp", 0, 10)
    for file, data in files.items():
        with open(os.path.join(path, file), "wb") as f:
            f.write(data)
    with open(os.path.join(path, ".metadata"), "wb") as f:
        pickle.dump(Metadata(entries, routes or {k: (k,) for k in entries}, places, None), f)


f32 = lambda *v: struct.pack("<%df" % len(v), *v)
weight, bias, steps = f32(*range(6)), f32(1.5, -2), struct.pack("<q", 7)


def seen(**tensors):
    return {k: {"dtype": d, "shape": s, "sha256": hashlib.sha256(b).hexdigest()}
            for k, (d, s, b) in tensors.items()}


expected = seen(weight=("F32", [2, 3], weight), bias=("F32", [2], bias), steps=("I64", [], steps))
flat = [("weight", "__0_0.distcp", "F32", [2, 3], weight), ("bias", "__1_0.distcp", "F32", [2], bias),
        ("steps", "__0_0.distcp", "I64", [], steps)]
directory("flat.dcp", flat, others=["train_state"])
newer.write_json("flat.dcp", {"state_key": "", "notes": [], "tensors": expected})
nested = [("model." + t[0],) + t[1:] for t in flat] + \
    [("optim.state.weight.exp_avg", "__0_0.distcp", "F32", [2, 3], weight)]
routes = {t[0]: tuple(t[0].split(".", 1)) for t in nested}
directory("nested.dcp", nested, others=["epoch"], routes=routes)
newer.write_json("nested.dcp", {"state_key": "model", "notes": ["left aside: the tensors in 'optim'"],
                                "tensors": expected})
directory("parts.dcp", flat, parts=2)
newer.write_json("parts.dcp", {"code": "unsupported", "word": "has tensor 'weight' in 2 parts: put it "
                               "together with 'python -m torch.distributed.checkpoint.format_utils"})
