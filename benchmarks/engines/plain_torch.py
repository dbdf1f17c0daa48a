"""FCN-8s as one would write it in plain PyTorch: the peer that benchmarks compare with."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from engines.images import CLASSES, labels
from engines.torch_device import begin, finish
from engines.weights import draw_bias, draw_weight, set_interpolation
from engines.work import Work

__all__ = ["PlainFCN8s", "channels_last_forward", "channels_last_step", "forward", "step"]

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class PlainFCN8s(nn.Module):
    """voc-fcn8s: VGG-16 with pad 100, skips at pool4 and pool3, frozen dense upsampling, 21 classes.

    Args:
        channels: fraction of the trunk's channels.
        weights: set those of all engines; without, they are PyTorch's.
    """

    def __init__(self, channels: float = 1.0, weights: bool = True) -> None:
        super().__init__()

        def thin(width: int) -> int:
            return max(1, round(width * channels))

        self.blocks = nn.ModuleList()
        before = 3
        for index, (width, count) in enumerate(_BLOCKS):
            layers: list[nn.Module] = []
            for position in range(count):
                pad = 100 if index == position == 0 else 1
                layers += [nn.Conv2d(before, thin(width), 3, padding=pad), nn.ReLU(inplace=True)]
                before = thin(width)
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2, 2, ceil_mode=True)))
        self.fc6 = nn.Conv2d(thin(512), thin(4096), 7)
        self.fc7 = nn.Conv2d(thin(4096), thin(4096), 1)
        self.score_fr = nn.Conv2d(thin(4096), CLASSES, 1)
        self.score_pool4 = nn.Conv2d(thin(512), CLASSES, 1)
        self.score_pool3 = nn.Conv2d(thin(256), CLASSES, 1)
        self.upscore2 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, bias=False)
        self.upscore_pool4 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, bias=False)
        self.upscore8 = nn.ConvTranspose2d(CLASSES, CLASSES, 16, 8, bias=False)
        for layer in (self.upscore2, self.upscore_pool4, self.upscore8):
            layer.weight.requires_grad_(False)
        if weights:
            self._set_weights()

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """The convolutions by their names in Caffe's net."""
        named = {name: layer for name, layer in self.named_children() if isinstance(layer, nn.Conv2d)}
        for index, block in enumerate(self.blocks, 1):
            within = [layer for layer in block.children() if isinstance(layer, nn.Conv2d)]
            named |= {f"conv{index}_{position}": layer for position, layer in enumerate(within, 1)}
        return named

    def _set_weights(self) -> None:
        for name, layer in self.convolutions().items():
            draw_weight(name, layer.weight.data.numpy())
            draw_bias(name, layer.bias.data.numpy())  # type: ignore[union-attr]
        for upsampling in (self.upscore2, self.upscore_pool4, self.upscore8):
            set_interpolation(upsampling.weight.data.numpy())

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        """N x 3 x H x W to scores N x 21 x H x W."""
        pools = []
        top = data
        for block in self.blocks:
            top = block(top)
            pools.append(top)
        top = F.dropout(F.relu(self.fc6(top), inplace=True), 0.5, self.training)
        top = F.dropout(F.relu(self.fc7(top), inplace=True), 0.5, self.training)
        top = self.upscore2(self.score_fr(top))
        top = self.upscore_pool4(top + _crop(self.score_pool4(pools[3]), 5, top))
        top = self.upscore8(top + _crop(self.score_pool3(pools[2]), 9, top))
        return _crop(top, 31, data)


def _crop(top: torch.Tensor, offset: int, like: torch.Tensor) -> torch.Tensor:
    return top[:, :, offset : offset + like.shape[2], offset : offset + like.shape[3]]


def forward(work: Work, layout: torch.memory_format = torch.contiguous_format) -> Callable[[np.ndarray], np.ndarray]:
    """The twin, no gradients; precision bf16 is autocast."""
    begin(work)
    net = PlainFCN8s(work.channels).eval().to(work.device, memory_format=layout)

    def run(image: np.ndarray) -> np.ndarray:
        with torch.no_grad(), _precision(work):
            return net(_laid_out(image, work, layout)).float().cpu().numpy()

    return run


def step(work: Work, layout: torch.memory_format = torch.contiguous_format) -> Callable[[np.ndarray], float]:
    """The twin under torch.optim.SGD, summed cross entropy; precision bf16 is autocast. A call gives the loss."""
    begin(work)
    net = PlainFCN8s(work.channels).train().to(work.device, memory_format=layout)
    learned = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=1e-14, momentum=0.99, weight_decay=5e-4)
    target = torch.from_numpy(labels(work.label_shape)).long()[:, 0].to(work.device)

    def run(image: np.ndarray) -> float:
        optimizer.zero_grad(set_to_none=True)
        with _precision(work):
            score = net(_laid_out(image, work, layout))
        loss = F.cross_entropy(score.float(), target, ignore_index=255, reduction="sum") / len(target)
        loss.backward()
        optimizer.step()
        finish(work)
        return loss.item()

    return run


def channels_last_forward(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """As ``forward``, with the channels last in memory."""
    return forward(work, torch.channels_last)


def channels_last_step(work: Work) -> Callable[[np.ndarray], float]:
    """As ``step``, with the channels last in memory."""
    return step(work, torch.channels_last)


def _laid_out(image: np.ndarray, work: Work, layout: torch.memory_format) -> torch.Tensor:
    return torch.from_numpy(image).to(work.device).contiguous(memory_format=layout)


def _precision(work: Work) -> AbstractContextManager[object]:
    return torch.autocast(torch.device(work.device).type, torch.bfloat16) if work.precision == "bf16" else nullcontext()
