"""The sparse video transformer ("ProPainter", section 3.3); its tokens are overlapping patches of 7x7 features."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from lib.propainter.attention import CHANNELS, SparseWindowAttention, WindowGrid
from lib.propainter.layers import fast_layout

PATCH, PATCH_STRIDE, PATCH_PADDING = 7, 3, 3  # feature pixels
TAPS = PATCH * PATCH
HIDDEN = 40  # channels of the feed-forward layer's picture
TEMPORAL_STRIDE = 2  # each block's keys come from every second frame, odd and even ones in turn
DEPTH = 8
WIDE_CHANNELS = 64


def token_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the tokens of an (h, w) feature map."""
    rows, columns = ((side + 2 * PATCH_PADDING - PATCH) // PATCH_STRIDE + 1 for side in (height, width))
    return rows, columns


def cut_patches(features: torch.Tensor, embedding: nn.Linear) -> torch.Tensor:
    """(t, c, h, w) -> (t, rows, columns, d): every patch through a linear layer.

    As a convolution no patch is copied. With few channels CUDA has only slow kernels for it, and copies win.
    """
    channels = features.shape[1]
    if features.is_cuda and channels % WIDE_CHANNELS:
        patches = F.unfold(features, PATCH, padding=PATCH_PADDING, stride=PATCH_STRIDE).transpose(1, 2)
        weight = embedding.weight.t().expand(len(features), -1, -1)
        return torch.baddbmm(embedding.bias, patches, weight).unflatten(1, token_grid(*features.shape[2:]))
    weight = fast_layout(embedding.weight.view(embedding.out_features, channels, PATCH, PATCH))
    return F.conv2d(fast_layout(features), weight, embedding.bias, PATCH_STRIDE, PATCH_PADDING).permute(0, 2, 3, 1)


def lay_patches(tokens: torch.Tensor, embedding: nn.Linear, size: tuple[int, int]) -> torch.Tensor:
    """(t, rows, columns, d) -> (t, c, h, w): every token through a linear layer into a patch; overlaps are summed.

    On CUDA as a transposed convolution, which copies no patch; a CPU is faster with patches.
    """
    if not tokens.is_cuda:
        weight = embedding.weight.expand(len(tokens), -1, -1)
        return _fold(torch.baddbmm(embedding.bias[:, None], weight, tokens.flatten(1, 2).transpose(1, 2)), size)
    weight = fast_layout(embedding.weight.t().reshape(tokens.shape[3], -1, PATCH, PATCH))
    beyond = [(side - 1) % PATCH_STRIDE for side in size]
    laid = F.conv_transpose2d(tokens.permute(0, 3, 1, 2), weight, None, PATCH_STRIDE, PATCH_PADDING, beyond)
    return laid + _fold(embedding.bias[:, None].expand(1, -1, tokens.shape[1] * tokens.shape[2]), size)


def _fold(patches: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(t, c*49, tokens) -> (t, c, h, w): the sum of overlapping patches."""
    return F.fold(patches, size, PATCH, padding=PATCH_PADDING, stride=PATCH_STRIDE)


class SoftSplit(nn.Module):
    """Features (t, 128, h, w) -> tokens (t, rows, columns, 512). Keys: embedding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(channels * TAPS, CHANNELS)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return cut_patches(features, self.embedding)


class SoftComposition(nn.Module):
    """Tokens (t, rows, columns, 512) -> features (t, 128, h, w); overlaps are summed, not averaged.

    Keys: embedding, bias_conv.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(CHANNELS, channels * TAPS)
        self.bias_conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return self.bias_conv(lay_patches(tokens, self.embedding, size))


class FusionFeedForward(nn.Module):
    """A feed-forward layer whose hidden values are averaged where patches overlap. Keys: fc1.0, fc2.1.

    The activation comes before the patches are cut out again: it is the same for all copies of a pixel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(CHANNELS, HIDDEN * TAPS))
        self.fc2 = nn.Sequential(nn.GELU(), nn.Linear(HIDDEN * TAPS, CHANNELS))
        self._overlaps: dict[tuple[object, ...], torch.Tensor] = {}

    def forward(self, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """tokens: (t, rows, columns, 512); size: (h, w) of the feature map they were cut from."""
        into, out_of = cast(nn.Linear, self.fc1[0]), cast(nn.Linear, self.fc2[1])
        return cut_patches(self.fc2[0](lay_patches(tokens, into, size) / self._overlap(tokens, size)), out_of)

    def _overlap(self, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(1, 1, h, w): how many patches cover each feature pixel."""
        key = (size, tokens.device, tokens.dtype)
        if key not in self._overlaps:
            count = tokens.shape[1] * tokens.shape[2]
            self._overlaps[key] = _fold(tokens.new_ones(1, TAPS, count), size)
        return self._overlaps[key]


class Block(nn.Module):
    """Attention and feed-forward layer, each behind a LayerNorm and around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = SparseWindowAttention()
        self.norm1 = nn.LayerNorm(CHANNELS)
        self.norm2 = nn.LayerNorm(CHANNELS)
        self.mlp = FusionFeedForward()

    def forward(
        self,
        tokens: torch.Tensor,
        touched: torch.Tensor,
        size: tuple[int, int],
        key_frames: slice,
        asking: int | None = None,
    ) -> torch.Tensor:
        """As `SparseWindowAttention.forward`; `size` is that of the feature map."""
        x = tokens[:asking] + self.attention(self.norm1(tokens), touched, key_frames, asking)
        return x + self.mlp(self.norm2(x), size)


class SparseTransformer(nn.Module):
    """Eight blocks. Keys: transformer.{0..7}."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.ModuleList(Block() for _ in range(DEPTH))

    def forward(
        self, tokens: torch.Tensor, touched: torch.Tensor, size: tuple[int, int], asking: int | None = None
    ) -> torch.Tensor:
        """(t, rows, columns, 512) -> (asking, rows, columns, 512): the last block answers only for the frames asked."""
        for index, block in enumerate(self.transformer):
            key_frames = slice(index % TEMPORAL_STRIDE, None, TEMPORAL_STRIDE)
            last = index == len(self.transformer) - 1
            tokens = block(tokens, touched, size, key_frames, asking if last else None)
        return tokens


def windows_of_frames(holes: torch.Tensor) -> torch.Tensor:
    """Which attention windows the hole of each frame touches.

    Args:
        holes: (t, 1, h, w), 1 = hole, at feature size.

    Returns:
        (t, windows) bool.
    """
    covered = F.max_pool2d(holes.float(), PATCH, PATCH_STRIDE, PATCH_PADDING)[:, 0]
    return WindowGrid(*covered.shape[1:]).touched(covered)
