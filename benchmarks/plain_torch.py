"""FCN-8s as one would write it in plain PyTorch: the peer that benchmarks compare with."""

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["PlainFCN8s"]

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class PlainFCN8s(nn.Module):
    """voc-fcn8s: VGG-16 with pad 100, skips at pool4 and pool3, frozen dense upsampling, 21 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        channels = 3
        for index, (width, count) in enumerate(_BLOCKS):
            layers: list[nn.Module] = []
            for position in range(count):
                pad = 100 if index == position == 0 else 1
                layers += [nn.Conv2d(channels, width, 3, padding=pad), nn.ReLU(inplace=True)]
                channels = width
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2, 2, ceil_mode=True)))
        self.fc6 = nn.Conv2d(512, 4096, 7)
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.score_fr = nn.Conv2d(4096, 21, 1)
        self.score_pool4 = nn.Conv2d(512, 21, 1)
        self.score_pool3 = nn.Conv2d(256, 21, 1)
        self.upscore2 = nn.ConvTranspose2d(21, 21, 4, 2, bias=False)
        self.upscore_pool4 = nn.ConvTranspose2d(21, 21, 4, 2, bias=False)
        self.upscore8 = nn.ConvTranspose2d(21, 21, 16, 8, bias=False)
        for layer in (self.upscore2, self.upscore_pool4, self.upscore8):
            layer.weight.requires_grad_(False)

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
