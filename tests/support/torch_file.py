"""torch_file - write files as torch.save does, by hand: PyTorch is not needed for a test.

A file is a zip archive without compression: a pickle of protocol 2 that refers to storages, and
the bytes of each storage.
"""
import io
import pickle
import zipfile
from collections import OrderedDict

STORAGES = {"F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage",
            "BF16": "BFloat16Storage", "I64": "LongStorage", "I32": "IntStorage",
            "BOOL": "BoolStorage", "U8": "ByteStorage"}
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "BOOL": 1, "U8": 1}


class _Global:
    def __init__(self, module, name):
        self.module, self.name = module, name


class _Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args


class Storage:
    """Bytes that tensors share."""

    def __init__(self, dtype, data):
        self.dtype, self.data, self.key = dtype, data, None


class View:
    """A tensor: elements of a storage by offset and strides (in elements)."""

    def __init__(self, storage, shape, stride=None, offset=0):
        self.storage, self.shape, self.offset = storage, list(shape), offset
        if stride is None:
            stride, n = [], 1
            for length in reversed(self.shape):
                stride.insert(0, n)
                n *= length
        self.stride = stride


class _Pickler(pickle._Pickler):
    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Global):
            self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        elif isinstance(obj, _Call):
            self.save(obj.function)
            self.save(tuple(obj.args))
            self.write(b"R")
        elif isinstance(obj, Storage):
            self.save(("storage", _Global("torch", STORAGES[obj.dtype]), obj.key, "cpu",
                       len(obj.data) // SIZES[obj.dtype]))
            self.write(b"Q")
        elif isinstance(obj, View):
            self.save(_Call(_Global("torch._utils", "_rebuild_tensor_v2"), obj.storage, obj.offset,
                            tuple(obj.shape), tuple(obj.stride), False,
                            _Call(_Global("collections", "OrderedDict"))))
        else:
            super().save(obj, save_persistent_id)


def _storages(obj, found):
    if isinstance(obj, View):
        if obj.storage.key is None or obj.storage not in found:
            obj.storage.key = str(len(found))
            found.append(obj.storage)
    elif isinstance(obj, dict):
        for value in obj.values():
            _storages(value, found)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            _storages(value, found)


def state_dict(named):
    """{name: Tensor of tensors.py} as a state dict, a storage for each."""
    return OrderedDict((name, View(Storage(t.dtype, t.data), t.shape)) for name, t in named.items())


def write(path, obj):
    """torch.save(obj, path)."""
    found = []
    _storages(obj, found)
    data = io.BytesIO()
    _Pickler(data, protocol=2).dump(obj)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data.getvalue())
        archive.writestr("archive/byteorder", b"little")
        for storage in found:
            archive.writestr("archive/data/" + storage.key, storage.data)
        archive.writestr("archive/version", b"3\n")
