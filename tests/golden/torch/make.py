#!/usr/bin/python3
"""make.py - write the golden files of PyTorch checkpoints, and what PyTorch sees in them.

    apt-get install --no-install-recommends python3-torch libopenblas0-pthread    (1.13.1)
    tests/golden/torch/make.py tests/golden/torch

For each <name> there is <name>.json with the tensors as PyTorch loads them: type, shape and the
SHA-256 of the elements in C order; or with "code" and "word" when the file is one to be refused.
"state_key" is the one that must be found, "given" one that is given; names of prefixed files are
without their prefixes. The test is tests/unit/formats/test_torch_golden.c. The files of newer
versions of PyTorch are made by newer.py, which needs no PyTorch.
"""
import argparse
import hashlib
import json
import os
import sys
from collections import OrderedDict

import torch

OUT = sys.argv[1]
NAMES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
         torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
         torch.uint8: "U8", torch.bool: "BOOL", torch.complex64: "C64"}


def elements(t):
    t = t.detach().contiguous().reshape(-1)
    if t.dtype == torch.bfloat16:
        t = t.view(torch.int16)
    return t.numpy().tobytes()


def describe(state, rename=lambda name: name):
    return {rename(k): {"dtype": NAMES[t.dtype], "shape": list(t.shape),
                        "sha256": hashlib.sha256(elements(t)).hexdigest()}
            for k, t in state.items() if isinstance(t, torch.Tensor)}


def write_json(name, what):
    with open(os.path.join(OUT, name + ".json"), "w") as f:
        json.dump(what, f, indent=1, sort_keys=True)
        f.write("\n")


def golden(name, what, state, key="", rename=lambda n: n, notes=(), aliases=None, given=None,
           **save):
    torch.save(what, os.path.join(OUT, name), **save)
    expected = {"tensors": describe(state, rename), "state_key": key, "notes": list(notes)}
    if aliases:
        expected["aliases"] = aliases
    if given:
        expected["given"] = given
    write_json(name, expected)


def refused(name, what, code, word, save=torch.save, **more):
    save(what, os.path.join(OUT, name), **more)
    write_json(name, {"code": code, "word": word})


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight  # tied


class Tagged(torch.Tensor):
    pass


torch.manual_seed(1)
model = Model()
state = model.state_dict()
tied = {"head.weight": "embedding.weight"}

# every type, and shapes that are easy to get wrong
x = torch.arange(24).reshape(2, 3, 4)
types = OrderedDict((str(d).split(".")[1], (x % 2 == 0) if d == torch.bool else (x - 5).to(d))
                    for d in NAMES)
types["scalar"] = torch.tensor(2.5)
types["empty"] = torch.zeros(0, 3)
types["empty_vector"] = torch.zeros(0, dtype=torch.int64)
types["rank5"] = torch.randn(1, 2, 1, 3, 1)
types["bf16_odd"] = torch.tensor([1e-40, float("inf"), -0.0], dtype=torch.bfloat16)
types["gew\u00f6hnlich.\u91cd\u307f"] = torch.ones(2)
golden("types.pt", types, types)

# views: one storage, many tensors
base = torch.arange(60.0).reshape(5, 12)
views = {"whole": base, "transposed": base.t(), "row": base[2], "column": base[:, 3],
         "block": base[1:4, 2:10:3], "expanded": base[0, :3].expand(4, 3),
         "scalar": base[4, 11], "reversed_rank": base.reshape(5, 3, 4).permute(2, 0, 1),
         "empty_view": base[5:], "again": base, "again_transposed": base.t(),
         "as_strided": base.as_strided((3, 2), (2, 7), 5), "same_shape": base.view(5, 12),
         "one_column": base[:, :1]}
golden("views.pt", views, views,
       aliases={"whole": "again", "same_shape": "again", "transposed": "again_transposed"})

golden("model.pt", state, state, aliases=tied)
parameters = dict(model.named_parameters())
parameters["head.weight"] = model.head.weight
golden("parameters.pt", parameters, parameters, aliases=tied)
golden("pytorch_model.bin", state, state, aliases=tied)
golden("ddp.pt", OrderedDict(("module._orig_mod." + k, v) for k, v in state.items()),
       OrderedDict(("module._orig_mod." + k, v) for k, v in state.items()),
       rename=lambda n: n[len("module._orig_mod."):], aliases=tied,
       notes=["taken off %d of %d names" % (len(state), len(state))])
golden("protocol4.pt", {"model": state, "step": 2 ** 40, "name": "x" * 300}, state, "model",
       aliases=tied, notes=["left aside: 'step', 'name'"], pickle_protocol=4)
golden("protocol5.pt", {"model": state, "raw": b"bytes", "set": {1, 2}}, state, "model",
       aliases=tied, notes=["left aside: 'raw', 'set'"], pickle_protocol=5)

optimizer = torch.optim.Adam(model.parameters())
sum(p.sum() for p in model.parameters()).backward()
optimizer.step()
state = model.state_dict()
golden("lightning.ckpt",
       {"epoch": 3, "global_step": 1000, "pytorch-lightning_version": "1.9.0", "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"ModelCheckpoint{'x': 1}": {}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [],
        "hparams_name": "kwargs", "hyper_parameters": {"lr": 0.1, "x": None, "big": 2 ** 70}},
       state, "state_dict", aliases=tied, notes=["'optimizer_states'", "'hyper_parameters'"])
golden("fairseq.pt",
       {"args": argparse.Namespace(arch="transformer", lr=[0.1]), "cfg": None, "model": state,
        "criterion": None, "optimizer_history": [{"num_updates": 10, "lr_scheduler_state": {}}],
        "last_optimizer_state": optimizer.state_dict(), "extra_state": {"epoch": 1}},
       state, "model", aliases=tied, notes=["'args'", "'last_optimizer_state'"])
ema = OrderedDict((k, v * 2 if v.is_floating_point() else v) for k, v in state.items())
golden("timm.pth", {"epoch": 7, "arch": "resnet", "state_dict": state, "state_dict_ema": ema,
                    "optimizer": optimizer.state_dict(), "metric": 0.7},
       state, "state_dict", aliases=tied,
       notes=["'state_dict_ema' found beside 'state_dict': 'state_dict' is used"])
golden("timm_ema.pth", {"state_dict": state, "state_dict_ema": ema}, ema, "state_dict_ema",
       given="state_dict_ema")
golden("only_ema.pth", {"model_ema": ema, "epoch": 1}, ema, "model_ema",
       notes=["only the averaged weights 'model_ema' are here"])
golden("nested.pt", {"a": {"generator": state, "discriminator": ema}}, ema, "a.discriminator",
       given="a.discriminator")
golden("unknown_key.pt", {"generator": state, "g_optim": optimizer.state_dict()}, state,
       "generator", aliases=tied, notes=["'g_optim'"])
golden("extra.pt", {"w": torch.ones(3), "count": 5, "names": ["a"], "l._extra_state": None},
       {"w": torch.ones(3)}, notes=["they are no tensors: 'count', 'names', 'l._extra_state'"])

# Python attributes on tensors and parameters
tagged = torch.arange(6.0)
tagged.note = "x"
parameter = torch.nn.Parameter(torch.arange(4.0))
parameter.note = "y"
golden("attributes.pt", {"t": tagged, "p": parameter}, {"t": tagged, "p": parameter})
many = {"layers.%d.%s" % (i, n): torch.full((2,), float(i)) for i in range(60)
        for n in ("weight", "bias")}
golden("many.pt", many, many)
big = torch.zeros(100)[10:12]
golden("slice_of_more.pt", {"w": big}, {"w": big})

# what is refused
refused("quantized.pt", {"q": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)},
        "unsupported", "'q' is a quantized tensor")
refused("sparse.pt", {"s": torch.eye(3).to_sparse()}, "unsupported", "'s' is a sparse tensor")
refused("complex128.pt", {"z": torch.ones(2, dtype=torch.complex128)}, "unsupported",
        "'z' has elements of type torch.ComplexDoubleStorage")
refused("legacy.pt", state, "unsupported", "before PyTorch 1.6",
        _use_new_zipfile_serialization=False)
refused("whole_module.pt", model, "unsupported", "save model.state_dict() and not the model")
refused("module_inside.pt", {"model": model, "epoch": 1}, "unsupported",
        "save model.state_dict() and not the model")
refused("subclass.pt", {"w": torch.ones(2).as_subclass(Tagged)}, "unsupported",
        "'w' is a tensor of class __main__.Tagged")
refused("one_tensor.pt", torch.ones(3), "unsupported", "one tensor without a name")
refused("list.pt", [torch.ones(3)], "unsupported", "is a list, not a dictionary of tensors")
refused("adam.pt", optimizer.state_dict(), "unsupported", "is the state of an optimizer")
refused("two_states.pt", {"model": state, "state_dict": state}, "unsupported",
        "has tensors in 'state_dict', 'model'")
refused("nested_inside.pt", {"w": torch.ones(2), "more": {"v": torch.ones(2)}}, "unsupported",
        "'more' is a dictionary with tensors inside")
refused("object_inside.pt", {"w": torch.ones(2), "v": argparse.Namespace(a=1)}, "unsupported",
        "'v' is an object made with argparse.Namespace")
refused("integer_names.pt", {0: torch.ones(2), 1: torch.ones(2)}, "unsupported",
        "has an integer as its name")
refused("megatron.pt", {"args": argparse.Namespace(), "checkpoint_version": 3.0, "iteration": 10,
                        "model": {"language_model": {"embedding": {"w": torch.ones(2)}}}},
        "unsupported", "Megatron-LM")
refused("script.pt", torch.jit.script(torch.nn.Linear(2, 2)), "unsupported", "TorchScript",
        save=torch.jit.save)
