"""LPIPS v0.1 with AlexNet (Zhang, Isola, Efros, Shechtman, Wang: CVPR 2018, section 3 and figure 3).

The backbone has the layout of torchvision's AlexNet (Krizhevsky 2014), of whose file the classifier is not needed; the
heads that of the published `weights/v0.1/alex.pth`. Facts, from the authors' program (richzhang/PerceptualSimilarity,
version 0.1): pictures in -1..1 are shifted and scaled; what is compared is what ReLU gives after each of the five
convolutions; vectors are divided by their length + 1e-10; the heads have no bias and, in training, a dropout before
them, hence their keys; layers are averaged over pixels and added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lib.metrics.moment import Moment
from lib.metrics.networks.files import fill, read_tensors
from lib.metrics.networks.pictures import measuring, to_tensor
from lib.metrics.networks.weights import BACKBONE_FILE, heads_file

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of the published ScalingLayer, for -1..1
_TINY = 1e-10
_BATCH_PIXELS = 8 * 1280 * 720  # frames that go through the network at a time have as many pixels, or are one
_SMALLEST = 31  # pixels: below, the second pooling has nothing to pool


@dataclass(frozen=True)
class LpipsParams:
    """Channels of the five layers."""

    channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256)


class AlexNetFeatures(nn.Module):
    """The five rectified layers of AlexNet's convolutions."""

    def __init__(self, params: LpipsParams) -> None:
        super().__init__()
        one, two, three, four, five = params.channels
        self.features = nn.ModuleDict(  # numbered as in torchvision, where activations and poolings count
            {
                "0": nn.Conv2d(3, one, 11, stride=4, padding=2),
                "3": nn.Conv2d(one, two, 5, padding=2),
                "6": nn.Conv2d(two, three, 3, padding=1),
                "8": nn.Conv2d(three, four, 3, padding=1),
                "10": nn.Conv2d(four, five, 3, padding=1),
            }
        )

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(n, 3, H, W) -> five tensors (n, c, h, w)."""
        found = []
        x = pictures
        for name, layer in self.features.items():
            if name in ("3", "6"):
                x = nn.functional.max_pool2d(x, 3, 2)
            x = layer(x).relu()
            found.append(x)
        return found


class Lpips(nn.Module):
    """The distance of pictures."""

    def __init__(self, params: LpipsParams | None = None) -> None:
        super().__init__()
        params = params or LpipsParams()
        self.backbone = AlexNetFeatures(params)
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels in params.channels)

    @classmethod
    def load(cls, folder: Path, params: LpipsParams | None = None) -> "Lpips":
        """With the weights of AlexNet and of the heads in a folder.

        Raises:
            InputError: a file is missing or does not fit.
        """
        net = cls(params)
        backbone = read_tensors(folder / BACKBONE_FILE)
        convolutions = {key: value for key, value in backbone.items() if not key.startswith("classifier.")}
        fill(net.backbone, convolutions, folder / BACKBONE_FILE)
        heads = heads_file(folder)
        fill(net.heads, _heads(read_tensors(heads)), heads)
        return net.eval()

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """(n,) distances of (n, 3, H, W) pictures in 0..1."""
        layers = zip(self.backbone(_scaled(one)), self.backbone(_scaled(other)), self.heads, strict=True)
        return sum((head((_unit(a) - _unit(b)) ** 2).mean(dim=(1, 2, 3)) for a, b, head in layers), torch.zeros(()))


def _heads(published: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`lin0.model.1.weight` is the first head's weight: a dropout stands before it."""
    return {key.replace("lin", "", 1).replace(".model.1.", "."): value for key, value in published.items()}


def _scaled(pictures: torch.Tensor) -> torch.Tensor:
    shift, scale = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
    return (2 * pictures - 1 - shift) / scale


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Each pixel's vector with length 1."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + _TINY)


class LpipsMetric:
    """The mean over the frames of a clip."""

    keys: Sequence[str] = ("lpips",)

    def __init__(self, net: Lpips, device: torch.device) -> None:
        self._net, self._device = net, device
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._total, self._count = 0.0, 0
        self._problem = ""

    def add(self, moment: Moment) -> None:
        if moment.truth is None:
            return
        if min(moment.hole.shape) < _SMALLEST:
            height, width = moment.hole.shape
            self._problem = f"frames of {width}x{height} are too small for AlexNet (at least {_SMALLEST} pixels)"
            return
        self._waiting.append((moment.result, moment.truth))
        if (len(self._waiting) + 1) * moment.hole.size > _BATCH_PIXELS:
            self._measure()

    def _measure(self) -> None:
        if not self._waiting:
            return
        results, truths = zip(*self._waiting, strict=True)
        with measuring():
            found = self._net(to_tensor(results, self._device), to_tensor(truths, self._device))
        self._total += float(found.double().sum())
        self._count += len(self._waiting)
        self._waiting.clear()

    def values(self) -> dict[str, float]:
        self._measure()
        return {self.keys[0]: self._total / self._count} if self._count else {}

    def unavailable(self) -> dict[str, str]:
        return {self.keys[0]: self._problem} if self._problem else {}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}
