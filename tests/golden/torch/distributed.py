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


def directory(name, tensors, others=(), parts=1, routes=None, says=None, change=None):
    """tensors: name, file, type, shape, data; routes: planner_data, False for none; says: what the
    metadata say of a tensor, where it is not so: {name: (type, shape)}; change: what is done to
    storage_data and state_dict_metadata at the end"""
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    files, places, entries = {}, {}, {}
    for fqn, file, dtype, shape, data in tensors:
        b = blob(dtype, shape, data)
        at = len(files.get(file, b""))
        files[file] = files.get(file, b"") + b
        dtype, shape = (says or {}).get(fqn, (dtype, shape))
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
    if change:
        change(places, entries)
    if routes is None:
        routes = {k: (k,) for k in entries}
    with open(os.path.join(path, ".metadata"), "wb") as f:
        pickle.dump(Metadata(entries, routes or None, places, None), f)


f32 = lambda *v: struct.pack("<%df" % len(v), *v)
weight, bias, steps = f32(*range(6)), f32(1.5, -2), struct.pack("<q", 7)


def seen(**tensors):
    return {k: {"dtype": d, "shape": s, "sha256": hashlib.sha256(b).hexdigest()}
            for k, (d, s, b) in tensors.items()}


expected = seen(weight=("F32", [2, 3], weight), bias=("F32", [2], bias), steps=("I64", [], steps))
flat = [("weight", "__0_0.distcp", "F32", [2, 3], weight), ("bias", "__1_0.distcp", "F32", [2], bias),
        ("steps", "__0_0.distcp", "I64", [], steps)]
directory("flat.dcp", flat, others=["train_state"])
newer.write_json("flat.dcp", {"state_key": "", "notes": [], "left": ["train_state"],
                              "tensors": expected})
nested = [("model." + t[0],) + t[1:] for t in flat] + \
    [("optim.state.weight.exp_avg", "__0_0.distcp", "F32", [2, 3], weight)]
routes = {t[0]: tuple(t[0].split(".", 1)) for t in nested}
directory("nested.dcp", nested, others=["epoch"], routes=routes)
newer.write_json("nested.dcp", {"state_key": "model", "notes": ["left aside: the tensors in 'optim'"],
                                "left": ["optim", "epoch"], "tensors": expected})
directory("parts.dcp", flat, parts=2)
newer.write_json("parts.dcp", {"code": "unsupported", "word": "has tensor 'weight' in 2 parts: put it "
                               "together with 'python -m torch.distributed.checkpoint.format_utils"})

# What is no model: the state of optimizers, whatever says that it is one.
def below(way, tensors=flat):
    return [(way + t[0],) + t[1:] for t in tensors]


moments = [("weight.exp_avg", "__2_0.distcp", "F32", [2, 3], weight),
           ("weight.exp_avg_sq", "__0_0.distcp", "F32", [2, 3], weight)]


def keys(way, tensors):
    """The keys of a way, then the name: as flatten_state_dict() says it."""
    return {t[0]: tuple(way.split(".")) + (t[0][len(way) + 1:],) for t in tensors}


def both(name, model, optimizer, expectation, more=(), others={}):
    tensors = below(model + ".") + below(optimizer + ".state.", moments)
    routes = dict(keys(model, below(model + ".")),
                  **keys(optimizer + ".state", below(optimizer + ".state.", moments)), **others)
    for way in more:
        tensors += below(way + ".", flat[:1])
        routes.update(keys(way, below(way + ".", flat[:1])))
    directory(name, tensors, others=list(others), routes=routes)
    newer.write_json(name, expectation)


# dcp.save({"app": AppState(model, optimizer)}), as PyTorch's tutorial has it
both("app.dcp", "app.model", "app.optim",
     {"state_key": "app.model", "notes": ["left aside: the tensors in 'app.optim'"],
      "left": ["app.optim", "app.step", "foo"], "tensors": expected},
     others={"app.optim.param_groups.0.lr": ("app", "optim", "param_groups", 0, "lr"),
             "app.model._extra_state": ("app", "model", "_extra_state"),
             "app.step": ("app", "step"), "foo.x": ("foo", "x")})
# dcp.save({"model": AppState(model, optimizer)})
both("within.dcp", "model.model", "model.optimizer",
     {"state_key": "model.model", "notes": [], "left": ["model.optimizer"], "tensors": expected})
both("beside.dcp", "app.model", "app.optim",
     {"code": "unsupported", "word": "has tensors in 'app.model', 'app': state_key says which"},
     more=["app.head"])
both("app_ema.dcp", "app.model", "app.optim",
     {"state_key": "app.model", "notes": [], "left": ["app.optim", "app.ema"], "tensors": expected},
     more=["app.ema"])
# without planner_data: {"model": ..., "optimizer": ...}, and a model that has names like that itself
unplanned = below("model.") + below("optimizer.state.", moments)
directory("unplanned.dcp", unplanned, routes=False)
newer.write_json("unplanned.dcp", {"state_key": "model", "notes": [], "left": ["optimizer"],
                                   "tensors": expected})
own = below("model.") + below("optimizer.state.model.", moments)
directory("own_model.dcp", own, routes=False)
newer.write_json("own_model.dcp", {"state_key": "", "notes": [], "left": ["optimizer"],
                                   "tensors": {"model." + k: v for k, v in expected.items()}})
directory("only_optimizer.dcp", below("optimizer_0.state.", moments))
newer.write_json("only_optimizer.dcp", {"code": "unsupported", "word": "has no tensors of a model"})
directory("flat_optimizer.dcp", flat + below("optimizer_0.state.", moments),
          others=["optimizer_0.param_groups.weight.lr", "lr_scheduler"])
newer.write_json("flat_optimizer.dcp", {"state_key": "", "notes": [],
                                        "left": ["optimizer_0", "lr_scheduler"],
                                        "tensors": expected})

# Which group is the model's, by the keys on the way to each tensor.
def choose(name, paths, state_key, left, taken, planned=True):
    tensors = [(".".join(map(str, p)), "__0_0.distcp", "F32", [2], bias) for p in paths]
    directory(name, tensors,
              routes={t[0]: p for t, p in zip(tensors, paths)} if planned else False)
    newer.write_json(name, {"state_key": state_key, "notes": [], "left": left,
                            "tensors": {n: expected["bias"] for n in taken}})


def refuse(name, paths, word):
    choose(name, paths, "", [], [])
    newer.write_json(name, {"code": "unsupported", "word": word})


choose("choice_leaf.dcp", [("foo", "weights"), ("foo", "sampler"), ("foo", "bias")], "foo", [],
       ["weights", "sampler", "bias"])
choose("choice_deep.dcp", [("model", "loss_head", "weight"), ("model", 0, "w"), ("ema", "model", "w"),
                           ("optim", "sched", "model", "w")],
       "model", ["ema", "optim"], ["loss_head.weight", "0.w"])
choose("choice_beside_root.dcp", [("w",), ("model", "w")], "model", ["."], ["w"])
choose("choice_root.dcp", [("w",), ("foo", "v"), ("loss", "v")], "", ["foo", "loss"], ["w"])
choose("choice_ema.dcp", [("ema", "w")], "ema", [], ["w"])
choose("choice_own_key.dcp", [("model.w",), ("model.v",)], "", [], ["model.w", "model.v"],
       planned=False)
choose("choice_not_all.dcp", [("model.w",), ("head.v",), ("optimizer.state.w.exp_avg",)], "",
       ["optimizer"], ["model.w", "head.v"], planned=False)
refuse("choice_of_raw.dcp", [("model", "w"), ("module", "w"), ("foo", "w")],
       "has tensors in 'model', 'module', 'foo': state_key")
refuse("choice_of_others.dcp", [("foo", "w"), ("bar", "w"), ("ema", "w")],
       "has tensors in 'foo', 'bar', 'ema': state_key")

# What the metadata say of a part, and what it is.
for name, says in [("other_type.dcp", ("I64", [2, 3])), ("other_shape.dcp", ("F32", [3, 2])),
                   ("other_rank.dcp", ("F32", [2]))]:
    directory(name, flat, says={"weight": says})
    newer.write_json(name, {"code": "corrupt",
                            "word": "has tensor 'weight' with another type or shape than .metadata"})


# Metadata that nobody would write.
def hostile(name, code, word, change):
    directory(name, flat, change=change)
    newer.write_json(name, {"code": code, "word": word})


def set_weight(**fields):
    """Change where the metadata say that the tensor 'weight' is."""
    def change(places, entries):
        info = next(info for index, info in places.items() if index.fqn == "weight")
        for field, value in fields.items():
            setattr(info, field, value)
    return change


def cut_chunk(places, entries):
    entries["weight"].chunks[0].sizes = Size([2, 2])


def place_twice(places, entries):
    places[MetadataIndex("weight", Size([0, 0]), 1)] = StorageInfo("__1_0.distcp", 0, 938)


NOWHERE = "an entry of storage_data does not say where it is"
hostile("bad_path.dcp", "corrupt", NOWHERE, set_weight(relative_path="../bad_path.dcp/__0_0.distcp"))
hostile("bad_folder.dcp", "corrupt", NOWHERE, set_weight(relative_path="folder/__0_0.distcp"))
hostile("bad_hidden.dcp", "corrupt", NOWHERE, set_weight(relative_path=".metadata"))
hostile("bad_offset.dcp", "corrupt", NOWHERE, set_weight(offset=-1))
hostile("bad_length.dcp", "corrupt", NOWHERE, set_weight(length=-1))
hostile("bad_chunk.dcp", "corrupt", "a tensor's only chunk is not all of it", cut_chunk)
hostile("bad_twice.dcp", "corrupt", "tensor 'weight' is at no place, or at several", place_twice)
hostile("compressed.dcp", "unsupported", "the parts are transformed (compressed)",
        set_weight(transform_descriptors=["zstd"]))

# As large as flat.dcp to the byte, and others: other elements; other metadata.
directory("twin_elements.dcp", [flat[0], flat[1][:4] + (f32(1.5, -3),), flat[2]], others=["train_state"])
newer.write_json("twin_elements.dcp", {"state_key": "", "notes": [], "tensors": dict(
    expected, **seen(bias=("F32", [2], f32(1.5, -3))))})
directory("twin_metadata.dcp", flat, others=["train_stats"])
newer.write_json("twin_metadata.dcp", {"state_key": "", "notes": [], "tensors": expected})
