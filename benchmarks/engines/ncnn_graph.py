"""Steps to ncnn's two files: a text that lists the layers, and their weights one after the other.

The text: a magic number; how many layers and blobs; a line per layer: type, name, how many bottoms and tops, their
names, and settings by number. A blob that several layers take goes through a Split first. The weights: little-endian
float32; a layer's first array is preceded by four zero bytes, which say that it is not compressed.

Source: Tencent/ncnn docs/developer-guide/param-and-model-file-structure.md, operation-param-weight-table.md.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.steps import Step

__all__ = ["write_ncnn"]

_MAGIC = 7767517
_PLAIN = b"\0\0\0\0"


def write_ncnn(param: Path, weights: Path, steps: Sequence[Step]) -> None:
    """Write both files; the input is ``data``, the output bears the last step's name. Batch 1 only."""
    uses = Counter(bottom for step in steps for bottom in step.bottoms)
    taken: Counter[str] = Counter()
    lines: list[str] = []
    blobs = 0

    def add(kind: str, name: str, bottoms: Sequence[str], tops: Sequence[str], settings: str = "") -> None:
        nonlocal blobs
        blobs += len(tops)
        lines.append(f"{kind} {name} {len(bottoms)} {len(tops)} {' '.join([*bottoms, *tops])} {settings}".rstrip())

    def bottom_of(name: str) -> str:
        if uses[name] < 2:
            return name
        taken[name] += 1
        return f"{name}_{taken[name]}"

    def make(kind: str, name: str, bottoms: Sequence[str], settings: str = "") -> None:
        add(kind, name, [bottom_of(bottom) for bottom in bottoms], [name], settings)
        if uses[name] > 1:
            add("Split", f"split_{name}", [name], [f"{name}_{number + 1}" for number in range(uses[name])])

    make("Input", "data", [])
    for step in steps:
        make(_KINDS[step.kind], step.name, step.bottoms, _settings(step))
    param.write_text(f"{_MAGIC}\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n", encoding="ascii")
    with weights.open("wb") as file:
        for step in steps:
            if step.weight is not None:
                weight = step.weight if step.kind == "convolution" else step.weight.swapaxes(0, 1)  # O x I x kh x kw
                file.write(_PLAIN + np.ascontiguousarray(weight, "<f4").tobytes())
            if step.bias is not None:
                file.write(np.ascontiguousarray(step.bias, "<f4").tobytes())


_KINDS = {
    "convolution": "Convolution",
    "deconvolution": "Deconvolution",
    "max_pool": "Pooling",
    "crop": "Crop",
    "add": "BinaryOp",
}


def _settings(step: Step) -> str:
    if step.weight is not None:
        settings = {0: step.top_shape[1], 1: step.kernel, 3: step.stride, 4: step.pad, 6: step.weight.size}
        settings |= {5: int(step.bias is not None), 9: int(step.relu)}
    elif step.kind == "max_pool":
        settings = {0: 0, 1: step.kernel, 2: step.stride, 5: 0}  # 5: sizes are rounded up
    elif step.kind == "crop":
        _, channels, height, width = step.top_shape
        settings = {0: step.offset[3], 1: step.offset[2], 2: 0, 3: width, 4: height, 5: channels}
    else:
        settings = {0: 0}  # of BinaryOp: add
    return " ".join(f"{number}={value}" for number, value in sorted(settings.items()))
