"""tensors - read and write safetensors files by hand, and convert numbers exactly.

An implementation of its own, on purpose: nothing here comes from the C code that it judges.
"""
import json
import math
import os
import struct

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
         "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8}
CODES = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b",
         "U8": "B", "BOOL": "?", "U16": "H", "U32": "I", "U64": "Q"}


def round_to(value, mantissa, least_exponent, largest):
    """A float64 to a format with so many bits after the point, to nearest even, as a float64."""
    if value == 0 or math.isnan(value) or math.isinf(value):
        return value
    _, exponent = math.frexp(value)  # value = m * 2**exponent, 0.5 <= |m| < 1
    unit = max(exponent - 1, least_exponent) - mantissa
    scaled = math.ldexp(value, -unit)  # exact: a power of two, and float64 has room
    rounded = math.ldexp(float(round(scaled)), unit) if abs(scaled) < 2 ** 53 else value
    if abs(rounded) > largest:
        return math.copysign(math.inf, value)
    return math.copysign(rounded, value)


BF16_LARGEST = float.fromhex("0x1.fep127")


def encode_bf16(value):
    """One rounding from float64: through float32 would be two."""
    rounded = round_to(value, 7, -126, BF16_LARGEST)
    bits = struct.unpack("<I", struct.pack("<f", rounded))[0]
    return struct.pack("<H", bits >> 16)


def encode(dtype, values):
    """Bytes of a list of numbers; floats are rounded once, to nearest even, out of range is inf."""
    if dtype == "BF16":
        return b"".join(encode_bf16(float(v)) for v in values)
    try:
        return struct.pack("<%d%s" % (len(values), CODES[dtype]), *values)
    except OverflowError:
        return b"".join(_encode_large(dtype, v) for v in values)


def _encode_large(dtype, value):
    try:
        return struct.pack("<" + CODES[dtype], value)
    except OverflowError:
        return struct.pack("<" + CODES[dtype], math.copysign(math.inf, value))


def decode(dtype, data):
    """A list of numbers from bytes."""
    n = len(data) // SIZES[dtype]
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[2 * i:2 * i + 2])[0] for i in range(n)]
    return list(struct.unpack("<%d%s" % (n, CODES[dtype]), data))


def count_of(shape):
    return math.prod(shape)


class Tensor:
    """dtype, shape and bytes of one tensor; values() as numbers."""

    def __init__(self, dtype, shape, values):
        self.dtype = dtype
        self.shape = list(shape)
        self.data = values if isinstance(values, bytes) else encode(dtype, values)
        if len(self.data) != count_of(shape) * SIZES[dtype]:
            raise ValueError("%d bytes for %s %r" % (len(self.data), dtype, shape))

    def values(self):
        return decode(self.dtype, self.data)

    def __eq__(self, other):
        return (self.dtype, self.shape, self.data) == (other.dtype, other.shape, other.data)

    def __repr__(self):
        return "%s%r" % (self.dtype, self.shape)


def header_of(tensors, metadata=None):
    """The header as an object, and the data that follows it."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, tensor in tensors.items():
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape,
                        "data_offsets": [len(data), len(data) + len(tensor.data)]}
        data += tensor.data
    return header, data


def pack(header, data):
    """Bytes of a file. The header is an object, or the text itself for what no object can say."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def file_bytes(tensors, metadata=None):
    return pack(*header_of(tensors, metadata))


def write(path, tensors, metadata=None):
    """Write a checkpoint as a careful trainer does: under another name first."""
    place(path, file_bytes(tensors, metadata))


def place(path, content):
    """Put a whole file in place with one rename."""
    temporary = os.path.join(os.path.dirname(path), "." + os.path.basename(path) + ".writing")
    with open(temporary, "wb") as file:
        file.write(content)
    os.rename(temporary, path)


def parse(content):
    """Tensors by name and the metadata of a file."""
    n = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + n])
    metadata = header.pop("__metadata__", {})
    data = content[8 + n:]
    tensors = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        tensors[name] = Tensor(t["dtype"], t["shape"], data[begin:end])
    return tensors, metadata


def read(path):
    with open(path, "rb") as file:
        return parse(file.read())
