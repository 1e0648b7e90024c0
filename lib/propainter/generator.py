"""The inpainting generator: encoder, propagated features, transformer, decoder ("ProPainter", sections 3.2 and 3.3)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from lib.compute.steps import Steps, run_directly
from lib.propainter.feature_propagation import FeaturePropagation, LocalFlows
from lib.propainter.layers import RoomyConv2d, UpsampledConv, concatenate, in_batches, leaky_relu
from lib.propainter.transformer import SoftComposition, SoftSplit, SparseTransformer, windows_of_frames

CHANNELS = 128
SCALE = 4  # pixels of the frame a feature pixel
FRAMES_AT_ONCE = 8  # in the layers that need the most memory


class Encoder(nn.Module):
    """(n, 5, H, W), colours and both masks -> (n, 128, H/4, W/4). Keys: layers.{0,2,...,16}."""

    # Layers that see the 256-channel features again, interleaved with their input in so many groups.
    GROUPS: ClassVar[dict[int, int]] = {10: 2, 12: 4, 14: 8, 16: 1}

    def __init__(self) -> None:
        super().__init__()
        convolutions = [
            RoomyConv2d(5, 64, 3, 2, 1),
            nn.Conv2d(64, 64, 3, 1, 1),
            nn.Conv2d(64, 128, 3, 2, 1),
            nn.Conv2d(128, 256, 3, 1, 1),
            nn.Conv2d(256, 384, 3, 1, 1),
            nn.Conv2d(640, 512, 3, 1, 1, groups=2),
            nn.Conv2d(768, 384, 3, 1, 1, groups=4),
            nn.Conv2d(640, 256, 3, 1, 1, groups=8),
            nn.Conv2d(512, CHANNELS, 3, 1, 1),
        ]
        self.layers = nn.ModuleList(layer for conv in convolutions for layer in (conv, leaky_relu()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        early = self._run(x, range(8))
        x = self._run(early, range(8, 10))
        for index, groups in self.GROUPS.items():
            pairs = zip(early.chunk(groups, dim=1), x.chunk(groups, dim=1), strict=True)
            x = self._run(torch.cat([part for pair in pairs for part in pair], dim=1), range(index, index + 2))
        return x

    def _run(self, x: torch.Tensor, layers: range) -> torch.Tensor:
        for index in layers:
            x = self.layers[index](x)
        return x


@dataclass
class EncodedWindow:
    """The local frames of a window (see `plan.Window`), encoded."""

    features: torch.Tensor  # (l, 128, h, w)
    flows: LocalFlows  # between them
    masks: torch.Tensor  # (l, 2, h, w), what is hidden before and after the image propagation
    touched: torch.Tensor  # indices of the attention windows that touch the hole


class InpaintGenerator(nn.Module):
    """Paints what the image propagation left unknown."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = nn.Sequential(
            UpsampledConv(CHANNELS, 128),
            leaky_relu(),
            nn.Conv2d(128, 64, 3, padding=1),
            leaky_relu(),
            UpsampledConv(64, 64),
            leaky_relu(),
            nn.Conv2d(64, 3, 3, padding=1),
        )
        self.ss = SoftSplit(CHANNELS)
        self.sc = SoftComposition(CHANNELS)
        self.feat_prop_module = FeaturePropagation(CHANNELS)
        self.transformers = SparseTransformer()

    def forward(
        self,
        frames: torch.Tensor,
        forward_flow: torch.Tensor,
        backward_flow: torch.Tensor,
        masks: torch.Tensor,
        updated_masks: torch.Tensor,
        local: int,
    ) -> torch.Tensor:
        """Paint one window from scratch.

        Args:
            frames: (t, 3, H, W) in -1..1, propagated; the first `local` follow each other, the rest are references.
            forward_flow, backward_flow: (local-1, 2, H, W), completed, pixels.
            masks, updated_masks: (t, 1, H, W), hidden before, and still unknown after the image propagation.

        Returns:
            (local, 3, H, W) in -1..1.
        """
        small = torch.cat((shrink_masks(masks), shrink_masks(updated_masks)), dim=1)[:local]
        features = self.encode(frames, masks, updated_masks)
        flows = LocalFlows.nothing(features)
        if local > 1:
            flows = LocalFlows.between(shrink_flow(forward_flow), shrink_flow(backward_flow))
        touched = windows_of_frames(small[:, :1]).any(dim=0).nonzero().flatten()
        window = EncodedWindow(features[:local], flows, small, touched)
        references = self.ss(features[local:]) if local < len(frames) else None
        return self.render(self.propagate(window), references, touched)

    def encode(self, frames: torch.Tensor, masks: torch.Tensor, updated_masks: torch.Tensor) -> torch.Tensor:
        """(n, 3, H, W) and twice (n, 1, H, W) -> (n, 128, H/4, W/4); depends on each frame alone."""
        return in_batches(self.encoder, concatenate(frames, masks, updated_masks), FRAMES_AT_ONCE)

    def propagate(self, window: EncodedWindow, steps: Steps = run_directly) -> torch.Tensor:
        """The local features of a window, filled from each other: (l, 128, h, w)."""
        return self.feat_prop_module(window.features, window.flows, window.masks, steps)

    def render(self, local: torch.Tensor, references: torch.Tensor | None, touched: torch.Tensor) -> torch.Tensor:
        """Transformer and decoder.

        Args:
            local: (l, 128, h, w), propagated features.
            references: (r, rows, columns, 512), the references' tokens; None = no references.
            touched: indices of the attention windows that touch the hole of a local frame.

        Returns:
            (l, 3, H, W) in -1..1.
        """
        size = (local.shape[2], local.shape[3])
        tokens = self.ss(local)
        tokens = tokens if references is None else torch.cat((tokens, references))
        tokens = self.transformers(tokens, touched, size, asking=len(local))
        parts = zip(tokens.split(FRAMES_AT_ONCE), local.split(FRAMES_AT_ONCE), strict=True)
        return torch.cat([self.decoder(features + self.sc(part, size)).tanh_() for part, features in parts])


def shrink_masks(masks: torch.Tensor) -> torch.Tensor:
    """(n, 1, H, W) -> (n, 1, H/4, W/4), nearest: the pixel at the upper left of each 4x4 block."""
    return masks[..., ::SCALE, ::SCALE]


def shrink_flow(flow: torch.Tensor) -> torch.Tensor:
    """(n, 2, H, W) -> (n, 2, H/4, W/4), bilinear, in feature pixels."""
    small = F.interpolate(
        flow, scale_factor=1 / SCALE, mode="bilinear", align_corners=False, recompute_scale_factor=True
    )
    return small / SCALE
