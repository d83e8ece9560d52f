#!/usr/bin/python3
"""header - how long the reader of checkpoints takes for many tensors and how much memory, beside a
loop that looks up the class of each byte of the same text.

    header.py PROGRAM [--tensors N] [--torch-tensors N] [--rounds R] [--directory DIR]

PROGRAM is bench_header. One safetensors file with N tensors and one PyTorch file; all tensors are
tiny, so the files are nearly nothing but text. For PyTorch that is the pickle and two headers for
each member of the archive: all of the file but the numbers. It is written by PyTorch where that is
installed, and by hand where it is not.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    torch = None

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import torch_file  # noqa: E402

PARTS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
         "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm")


def names(count):
    return ["model.layers.%d.%s.weight" % (i // len(PARTS), PARTS[i % len(PARTS)])
            for i in range(count)]  # as they were made, which is the order in a PyTorch file


def write_safetensors(path, count):
    """Tensors of one type stand in the order of their names, as the usual writers have them."""
    header = {name: {"dtype": "F32", "shape": [1, 1], "data_offsets": [4 * i, 4 * i + 4]}
              for i, name in enumerate(sorted(names(count)))}
    text = json.dumps(header, separators=(",", ":")).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + bytes(4 * count))
    return 8 + len(text)


def write_torch(path, count):
    if torch:
        torch.save({name: torch.zeros(1, 1) for name in names(count)}, path)
    else:
        torch_file.write(path, {name: torch_file.View(torch_file.Storage("F32", bytes(4)), [1, 1])
                                for name in names(count)})
    return os.path.getsize(path) - 4 * count


def report(options, what, path, text_bytes):
    run = subprocess.run([options.program, "--rounds", str(options.rounds), path, str(text_bytes)],
                         check=True, stdout=subprocess.PIPE, text=True)
    line = json.loads(run.stdout)
    read, digest, scan = (line[key + "_seconds"] for key in ("read", "digest", "scan"))
    print("%-11s %6d tensors, %.1f MB of text: read in %.1f ms, %.1f times the scan of its bytes "
          "(%.1f without its SHA-256); memory %.1f times the text" %
          (what, line["tensors"], text_bytes / 1e6, 1e3 * read, read / scan,
           (read - digest) / scan, line["peak_bytes"] / text_bytes))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--tensors", type=int, default=100000)
    parser.add_argument("--torch-tensors", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--directory", default=os.environ.get("TMPDIR", "/tmp"))
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="sewa-header-", dir=options.directory)
    try:
        path = os.path.join(directory, "many.safetensors")
        report(options, "safetensors", path, write_safetensors(path, options.tensors))
        path = os.path.join(directory, "many.pt")
        report(options, "PyTorch", path, write_torch(path, options.torch_tensors))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
