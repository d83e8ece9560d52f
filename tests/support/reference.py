"""reference - what an average must be, and what a network must lose: said once more, in Python.

Independent of the C code: float64 sums in candidate order divided by their number, one rounding to
the type; and a fully connected network evaluated number by number.
"""
import math

from tensors import Tensor, decode, encode, read

FLOATS = ("F64", "F32", "F16", "BF16")


def average(files, dtype=None, integers_from=-1):
    """The mean of checkpoints, oldest first; integers come from one of them."""
    loaded = [read(f)[0] for f in files]
    result = {}
    for name, first in loaded[0].items():
        if first.dtype not in FLOATS:
            result[name] = loaded[integers_from][name]
            continue
        columns = [t[name].values() for t in loaded]
        result[name] = Tensor(dtype or first.dtype, first.shape,
                              encode(dtype or first.dtype, [mean(c) for c in zip(*columns)]))
    return result


def mean(values):
    total = -0.0  # the neutral element: one ingredient gives itself, signed zeros included
    for value in values:
        total += value
    return total / len(values)


def differences(ours, theirs):
    """Where two sets of tensors differ, in words; "" when they are equal to the bit."""
    if set(ours) != set(theirs):
        return "names differ: %r" % sorted(set(ours) ^ set(theirs))
    for name, a in ours.items():
        b = theirs[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return "'%s' is %r, not %r" % (name, a, b)
        size = len(a.data) // max(len(a.values()), 1)
        for i in range(len(a.values())):
            if a.data[i * size:(i + 1) * size] != b.data[i * size:(i + 1) * size]:
                return "'%s'[%d] is %r, not %r" % (name, i, a.values()[i], b.values()[i])
    return ""


# ---- a fully connected network ----


def layers_of(tensors):
    """[(weight rows, bias)] of layers.N.weight [out, in] and layers.N.bias."""
    numbers = sorted(int(n.split(".")[1]) for n in tensors if n.endswith(".weight"))
    layers = []
    for n in numbers:
        weight, bias = tensors["layers.%d.weight" % n], tensors["layers.%d.bias" % n]
        outputs, inputs = weight.shape
        flat = weight.values()
        rows = [flat[i * inputs:(i + 1) * inputs] for i in range(outputs)]
        layers.append((rows, bias.values()))
    return layers


def forward(layers, x):
    for i, (rows, bias) in enumerate(layers):
        x = [sum(map(float.__mul__, row, x)) + b for row, b in zip(rows, bias)]
        if i + 1 < len(layers):
            x = [max(v, 0.0) for v in x]
    return x


def cross_entropy(logits, label):
    largest = max(logits)
    return math.log(sum(math.exp(v - largest) for v in logits)) + largest - logits[label]


def classification_loss(tensors, data, split):
    """Mean cross entropy and accuracy of a network on one split of a data file."""
    x, y = data[split + ".x"], data[split + ".y"].values()
    features, flat = x.shape[1], x.values()
    layers = layers_of(tensors)
    loss, right = 0.0, 0
    for i, label in enumerate(y):
        logits = forward(layers, flat[i * features:(i + 1) * features])
        loss += cross_entropy(logits, label)
        right += max(range(len(logits)), key=logits.__getitem__) == label
    return loss / len(y), right / len(y)


__all__ = ["average", "classification_loss", "decode", "differences", "mean"]
