#!/usr/bin/python3
"""newer.py - golden files as PyTorch 2.x writes them, made by hand: no PyTorch is needed.

    tests/golden/torch/newer.py tests/golden/torch

What is new since 1.13: the members byteorder, .format_version, .storage_alignment and
.data/serialization_id, storages that begin at a multiple of 64 or more, UntypedStorage with
_rebuild_tensor_v3 for types that have no storage class, conjugation as extra argument, zip64 sizes
in local headers. See make.py for the expectations.
"""
import hashlib
import json
import os
import pickle
import struct
import sys
import zlib
from collections import OrderedDict

OUT = sys.argv[1]


class Global:
    """Pickled as a name: what it would be in Python does not exist here."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args


class Storage:
    def __init__(self, kind, key, data, count):
        self.id = ("storage", kind, key, "cpu", count)
        self.key, self.data = key, data


class Pickler(pickle._Pickler):
    """Protocol 2 as torch.save uses it, for the three classes above."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(tuple(obj.args))
            self.write(b"R")
        elif isinstance(obj, Storage):
            self.save(obj.id)
            self.write(b"Q")
        else:
            super().save(obj, save_persistent_id)


def dumps(obj):
    import io
    f = io.BytesIO()
    Pickler(f, 2).dump(obj)
    return f.getvalue()


def tensor(storage, offset, shape, stride, *extra):
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, stride, False,
                Call(Global("collections", "OrderedDict")), *extra)


def tensor_v3(storage, offset, shape, stride, dtype):
    return Call(Global("torch._utils", "_rebuild_tensor_v3"), storage, offset, shape, stride, False,
                Call(Global("collections", "OrderedDict")), Global("torch", dtype))


def archive(path, members, alignment=64, zip64=False):
    """A zip as PyTorch's writer makes it: data aligned by an extra field, descriptors behind."""
    body, central = b"", b""
    for name, data in members:
        name, crc, at = name.encode(), zlib.crc32(data), len(body)
        wide = struct.pack("<HHQQ", 1, 16, 0, 0) if zip64 else b""
        fixed = 30 + len(name) + len(wide) + 4
        pad = -(at + fixed) % alignment
        size = 0xffffffff if zip64 else 0
        body += struct.pack("<IHHHHHIIIHH", 0x04034b50, 0, 0x808, 0, 0, 0, 0, size, size, len(name),
                            len(wide) + 4 + pad) + name + wide
        body += b"FB" + struct.pack("<H", pad) + b"Z" * pad + data
        body += struct.pack("<IIQQ" if zip64 else "<IIII", 0x08074b50, crc, len(data), len(data))
        extra = struct.pack("<HHQQQ", 1, 24, len(data), len(data), at) if zip64 else b""
        n, where = (0xffffffff, 0xffffffff) if zip64 else (len(data), at)
        central += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 0, 0, 0x808, 0, 0, 0, crc, n, n,
                               len(name), len(extra), 0, 0, 0, 0, where) + name + extra
    at, count = len(body), len(members)
    body += central
    body += struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 0x31e, 45, 0, 0, count, count, len(central), at)
    body += struct.pack("<IIQI", 0x07064b50, 0, at + len(central), 1)
    body += struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, len(central),
                        0xffffffff if zip64 else at, 0)
    with open(path, "wb") as f:
        f.write(body)


def write_json(name, what):
    with open(os.path.join(OUT, name + ".json"), "w") as f:
        json.dump(what, f, indent=1, sort_keys=True)
        f.write("\n")


def members_of(obj, storages, order=b"little"):
    a = "archive/"
    return [(a + "data.pkl", dumps(obj)), (a + ".format_version", b"1"),
            (a + ".storage_alignment", b"64"), (a + "byteorder", order)] + \
        [(a + "data/" + s.key, s.data) for s in storages] + \
        [(a + "version", b"3\n"), (a + ".data/serialization_id", b"0123456789" * 4)]


def golden(name, obj, storages, tensors, **options):
    archive(os.path.join(OUT, name), members_of(obj, storages), **options)
    write_json(name, {"state_key": "", "notes": [], "tensors": {
        k: {"dtype": dtype, "shape": shape, "sha256": hashlib.sha256(data).hexdigest()}
        for k, (dtype, shape, data) in tensors.items()}})


def refused(name, obj, storages, code, word, order=b"little"):
    archive(os.path.join(OUT, name), members_of(obj, storages, order))
    write_json(name, {"code": code, "word": word})


values = struct.pack("<6f", *range(6))
floats = Storage(Global("torch", "FloatStorage"), "0", values, 6)
raw = bytes(range(48))
untyped = Storage(Global("torch.storage", "UntypedStorage"), "1", raw, 48)
transposed = struct.pack("<6f", 0, 3, 1, 4, 2, 5)
state = OrderedDict()
state["w"] = tensor(floats, 0, (2, 3), (3, 1))
state["w.t"] = tensor(floats, 0, (3, 2), (1, 3), {})
state["size"] = tensor(floats, 1, Call(Global("torch", "Size"), (5,)), (1,))
state["f8"] = tensor_v3(untyped, 4, (2, 4), (4, 1), "float8_e4m3fn")
state["u16"] = tensor_v3(untyped, 2, (2, 2), (2, 1), "uint16")
state["u64"] = tensor_v3(untyped, 1, (3,), (1,), "uint64")
seen = {"w": ("F32", [2, 3], values), "w.t": ("F32", [3, 2], transposed),
        "size": ("F32", [5], values[4:]), "f8": ("F8_E4M3", [2, 4], raw[4:12]),
        "u16": ("U16", [2, 2], raw[4:12]), "u64": ("U64", [3], raw[8:32])}
golden("newer.pt", state, [floats, untyped], seen)
golden("newer_page_aligned.pt", state, [floats, untyped], seen, alignment=4096)
golden("newer_zip64.pt", state, [floats, untyped], seen, zip64=True)
buffer = Call(Global("torch._tensor", "_rebuild_from_type_v2"),
              Global("torch._utils", "_rebuild_tensor_v2"), Global("torch.nn.parameter", "Buffer"),
              (floats, 0, (6,), (1,), False, OrderedDict()), {})
golden("newer_buffer.pt", {"b": buffer}, [floats], {"b": ("F32", [6], values)})

refused("newer_big_endian.pt", state, [floats, untyped], "unsupported", "big-endian", order=b"big")
pairs = Storage(Global("torch", "ComplexFloatStorage"), "0", values, 3)
refused("newer_conjugated.pt", {"z": tensor(pairs, 0, (3,), (1,), {"conj": True})}, [pairs],
        "unsupported", "'z' is kept conjugated or negated")
half_bytes = Storage(Global("torch.storage", "UntypedStorage"), "0", raw, 48)
refused("newer_f4.pt", {"q": tensor_v3(half_bytes, 0, (4,), (1,), "float4_e2m1fn_x2")},
        [half_bytes], "unsupported", "'q' has elements of type torch.float4_e2m1fn_x2")
part = Call(Global("torch.distributed.tensor", "DTensor"), floats)
refused("newer_dtensor.pt", {"d": part}, [floats], "unsupported",
        "'d' is part of a distributed tensor: save the full state")

# What is beside the model, at any depth. "given" is the state_key.
one = tensor(floats, 0, (6,), (1,))
optimizer = {"state": {0: {"exp_avg": one}}, "param_groups": []}


def beside(name, obj, given, state_key, left, note, taken):
    archive(os.path.join(OUT, name), members_of(obj, [floats]))
    write_json(name, {"given": given, "state_key": state_key, "left": left, "notes": [note],
                      "tensors": {k: {"dtype": "F32", "shape": [6],
                                      "sha256": hashlib.sha256(values).hexdigest()} for k in taken}})


app = {"app": {"model": {"w": one}, "ema": {"w": one}, "optim": optimizer}, "epoch": 3}
beside("beside_app.pt", app, "app.model", "app.model", ["epoch", "app.ema", "app.optim"],
       "left aside: 'epoch', 'app.optim'", ["w"])
beside("beside_inside.pt", {"app": {"w": one, "optim": optimizer, "version": 3}}, "app", "app",
       ["app.optim"], "no tensors: 'optim', 'version'", ["w"])
beside("beside_flat.pt", {"w": one, "optimizer.state.w.exp_avg": one, "rng_state": one, "step": 3},
       None, "", ["step", "optimizer", "rng_state"], "left aside: 2 of 3 tensors", ["w"])
archive(os.path.join(OUT, "beside_asked.pt"), members_of(app, [floats]))
write_json("beside_asked.pt", {"given": "app.optim", "code": "unsupported",
                               "word": "'optim' in 'beside_asked.pt' is a trainer's state"})
