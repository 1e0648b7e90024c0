"""Optical flow: RAFT, the large model (Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms", 2020).

Frames of a clip are encoded once each; one correlation volume serves both directions of a pair; both directions are one
batch; the mask of the convex upsampling is computed after the last iteration only.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from lib.propainter.layers import fast_layout
from lib.propainter.raft_update import UpdateBlock

CHANNELS = 128  # of the hidden state, and of the context
LEVELS = 4
RADIUS = 4
STRIDE = 8  # pixels of the frame a feature pixel
SMALLEST_SIDE = 2 ** (LEVELS - 1) * 2 * STRIDE  # below, the coarsest level is one pixel wide and flow becomes NaN


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the sum with the shortcut is rectified, and so is what is added."""

    def __init__(self, in_channels: int, channels: int, norm: type[nn.Module], stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1)
        self.norm1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = norm(channels)
        self.downsample = nn.Sequential()
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride), norm(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(self.conv1(x)).relu_()
        y = self.norm2(self.conv2(y)).relu_()
        return (self.downsample(x) + y).relu_()


class Encoder(nn.Module):
    """(n, 3, H, W) in -1..1 -> (n, 256, H/8, W/8)."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.norm1 = norm(64)
        self.layer1 = nn.Sequential(ResidualBlock(64, 64, norm, 1), ResidualBlock(64, 64, norm, 1))
        self.layer2 = nn.Sequential(ResidualBlock(64, 96, norm, 2), ResidualBlock(96, 96, norm, 1))
        self.layer3 = nn.Sequential(ResidualBlock(96, 128, norm, 2), ResidualBlock(128, 128, norm, 1))
        self.conv2 = nn.Conv2d(128, 2 * CHANNELS, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.conv1(frames)).relu_()
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


@dataclass
class FrameFeatures:
    """What RAFT knows of each frame by itself, at 1/8 of its size."""

    matching: torch.Tensor  # (n, 256, h, w), compared between frames
    context: torch.Tensor  # (n, 256, h, w), raw: the hidden state's start and the input of every iteration


class CorrelationPyramid:
    """All-pairs correlations of neighbouring frames in both directions, at four scales (section 3.2)."""

    def __init__(self, matching: torch.Tensor) -> None:
        """matching: (n+1, 256, h, w). The first n volumes compare frame k with k+1, the last n frame k+1 with k."""
        count, channels, height, width = matching.shape
        positions = matching.flatten(2).float()
        pairs, size = count - 1, height * width
        volume = positions.new_empty(2 * pairs, size, size)
        torch.matmul(positions[:-1].transpose(1, 2), positions[1:], out=volume[:pairs])
        volume[:pairs] /= channels**0.5
        volume[pairs:] = volume[:pairs].transpose(1, 2)
        level = volume.view(-1, 1, height, width)
        self._levels = [level]
        for _ in range(LEVELS - 1):
            level = F.avg_pool2d(level, 2, 2)
            self._levels.append(level)
        self._grids = [_window_grid(index, level) for index, level in enumerate(self._levels)]

    def lookup(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Correlations around each position: (2n, 2, h, w) pixels (x, y) -> (2n, 324, h, w) in channels-last memory."""
        batch, _, height, width = coordinates.shape
        centre = coordinates.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        found = []
        for level, (scale, window) in zip(self._levels, self._grids, strict=True):
            sampled = F.grid_sample(level, centre * scale + window, align_corners=True)
            found.append(sampled.view(batch, height, width, -1))
        return torch.cat(found, dim=-1).permute(0, 3, 1, 2)


def _window_grid(index: int, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale (2,) and shifts (9, 9, 2) that turn positions into what `grid_sample` wants around them on one level."""
    height, width = level.shape[2:]
    steps = torch.arange(-RADIUS, RADIUS + 1, device=level.device, dtype=torch.float32)
    # The x displacement is the slow index: the weights were trained on this order.
    x, y = torch.meshgrid(steps * (2 / (width - 1)) - 1, steps * (2 / (height - 1)) - 1, indexing="ij")
    scale = [level.new_full((), 2 / 2**index / (side - 1)) for side in (width, height)]
    return torch.stack(scale), torch.stack((x, y), dim=-1)


def pixel_grid(batch: int, height: int, width: int, device: torch.device) -> torch.Tensor:
    """(batch, 2, height, width): each pixel's own position (x, y)."""
    rows = torch.arange(height, device=device, dtype=torch.float32)[:, None].expand(height, width)
    columns = torch.arange(width, device=device, dtype=torch.float32).expand(height, width)
    return torch.stack((columns, rows)).expand(batch, -1, -1, -1)


def convex_upsample(flow: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Flow (n, 2, h, w) at 8 times the size: each pixel a convex combination of 9 neighbours (section 3.3).

    mask: (n, 576, h, w), viewed as (9 neighbours, 8 rows, 8 columns), not yet normalised.
    """
    batch, _, height, width = flow.shape
    weights = mask.reshape(batch, 1, 9, STRIDE, STRIDE, height, width).softmax(dim=2)
    neighbours = F.unfold(STRIDE * flow, 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
    fine = (weights * neighbours).sum(dim=2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, STRIDE * height, STRIDE * width)


class RAFT(nn.Module):
    """Flow between neighbouring frames, forwards and backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = Encoder(nn.InstanceNorm2d)
        self.cnet = Encoder(nn.BatchNorm2d)
        self.update_block = UpdateBlock(CHANNELS)

    def forward(self, frames: torch.Tensor, iterations: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow of all neighbouring pairs.

        Args:
            frames: (T, 3, H, W) in -1..1, T >= 2, sides multiples of 8 and at least 128.

        Returns:
            forward and backward flow, (T-1, 2, H, W) each, pixels: frame k -> k+1 on k's grid, k+1 -> k on k+1's.
        """
        features = self.encode(frames)
        flow = self.flow_between(features.matching, features.context, iterations)
        return flow[: len(frames) - 1], flow[len(frames) - 1 :]

    def encode(self, frames: torch.Tensor) -> FrameFeatures:
        """What is known of each frame by itself.

        Raises:
            ValueError: the sides are too small or no multiples of 8.
        """
        height, width = frames.shape[-2:]
        if height % STRIDE or width % STRIDE or min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"frames are {width}x{height}; RAFT needs sides that are multiples of {STRIDE} "
                f"and at least {SMALLEST_SIDE}"
            )
        return FrameFeatures(self.fnet(frames), self.cnet(frames))

    def flow_between(self, matching: torch.Tensor, context: torch.Tensor, iterations: int) -> torch.Tensor:
        """Flow of n neighbouring pairs from the features of n+1 frames: (2n, 2, H, W), n forwards, then n backwards."""
        low, hidden = self.low_flow_between(matching, context, iterations)
        return convex_upsample(low, self.update_block.upsampling_mask(hidden).float())

    def low_flow_between(
        self, matching: torch.Tensor, context: torch.Tensor, iterations: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `flow_between`, at 1/8 of the size: flow (2n, 2, h, w) in feature pixels, and the hidden state."""
        pyramid = CorrelationPyramid(matching)
        both = torch.cat((context[:-1], context[1:]))
        hidden, context = fast_layout(both[:, :CHANNELS].tanh()), fast_layout(both[:, CHANNELS:].relu())
        height, width = hidden.shape[-2:]
        start = fast_layout(pixel_grid(len(hidden), height, width, hidden.device))
        update = self.update_block.start(context)
        flow = torch.zeros_like(start)
        for _ in range(iterations):
            hidden, step = update(hidden, pyramid.lookup(start + flow), flow)
            flow = flow + step
        return flow, hidden
