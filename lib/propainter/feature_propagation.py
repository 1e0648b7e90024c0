"""Features carried along completed flow, aligned by deformable convolution (Zhou et al., "ProPainter", section 3.2)."""

from dataclasses import dataclass

import torch
from torch import nn

from lib.compute.steps import Steps, run_directly
from lib.propainter.deformable import DeformableAlignment
from lib.propainter.layers import RoomyConv2d, concatenate, leaky_relu
from lib.propainter.warping import consistency, flow_warp

LARGEST_OFFSET = 3.0  # feature pixels, added to the flow
MASKS = 2  # what is hidden before and after the image propagation
FLOW_AND_TRUST = 3


@dataclass
class LocalFlows:
    """Flow between neighbouring frames at feature size, and where it can be trusted."""

    forward: torch.Tensor  # (n, 3, h, w): flow k -> k+1 in feature pixels (x, y), then 1 where it leads back
    backward: torch.Tensor  # (n, 3, h, w), k+1 -> k

    @classmethod
    def between(cls, forward: torch.Tensor, backward: torch.Tensor) -> "LocalFlows":
        """forward, backward: (n, 2, h, w), feature pixels."""
        return cls(
            torch.cat((forward, consistency(forward, backward)), dim=1),
            torch.cat((backward, consistency(backward, forward)), dim=1),
        )

    @classmethod
    def nothing(cls, features: torch.Tensor) -> "LocalFlows":
        """No pairs, for a window of one frame with these features (1, c, h, w)."""
        none = features.new_zeros(0, FLOW_AND_TRUST, *features.shape[2:])
        return cls(none, none)


class FeaturePropagation(nn.Module):
    """Local frames' features, filled from later and then from earlier frames. Keys: deform_align, backbone, fuse."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        condition = 2 * channels + FLOW_AND_TRUST + MASKS
        self.deform_align = nn.ModuleDict(
            {
                name: DeformableAlignment(channels, condition, channels, LARGEST_OFFSET)
                for name in ("backward_1", "forward_1")
            }
        )
        self.backbone = nn.ModuleDict({name: _two_convs(2 * channels + MASKS, channels) for name in self.deform_align})
        self.fuse = _two_convs(2 * channels + MASKS, channels)

    def forward(
        self, features: torch.Tensor, flows: LocalFlows, masks: torch.Tensor, steps: Steps = run_directly
    ) -> torch.Tensor:
        """Propagate both ways.

        Args:
            features: (l, 128, h, w). flows: of the l-1 pairs.
            masks: (l, 2, h, w), hidden before and after the image propagation.
            steps: runs what is repeated for every frame.

        Returns:
            (l, 128, h, w).
        """
        masks = masks.to(features.dtype)
        later_first = self._one_way("backward_1", features.flip(0), masks.flip(0), flows.forward.flip(0), steps)
        backward = later_first.flip(0)
        forward = self._one_way("forward_1", backward, masks, flows.backward, steps)
        return self.fuse(concatenate(backward, forward, masks)) + features

    def _one_way(
        self, name: str, features: torch.Tensor, masks: torch.Tensor, to_last: torch.Tensor, steps: Steps
    ) -> torch.Tensor:
        """One pass. to_last: (l-1, 3, h, w), flow and trust from each frame to the one visited before."""
        first, first_mask = features[:1], masks[:1]
        carried = [first + self.backbone[name](concatenate(first, first, first_mask))]
        for k in range(1, len(features)):
            current = torch.cat((features[k : k + 1], masks[k : k + 1]), dim=1)
            carried.append(steps(self, f"_{name}_step", current, carried[-1], to_last[k - 1 : k]))
        return torch.cat(carried)

    def _backward_1_step(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self._step("backward_1", *inputs)

    def _forward_1_step(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self._step("forward_1", *inputs)

    def _step(self, name: str, current: torch.Tensor, last: torch.Tensor, to_last: torch.Tensor) -> torch.Tensor:
        """current: (1, 128 + 2, h, w), features and masks. last: (1, 128, h, w). to_last: (1, 3, h, w)."""
        features, masks = current.split((current.shape[1] - MASKS, MASKS), dim=1)
        flow = to_last[:, :2]
        warped = flow_warp(last, flow).clamp(-1, 1)
        condition = concatenate(features, warped, to_last.to(features.dtype), masks)
        aligned = self.deform_align[name](last, condition, flow)
        return aligned + self.backbone[name](concatenate(features, aligned, masks))


def _two_convs(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        RoomyConv2d(in_channels, channels, 3, padding=1), leaky_relu(), nn.Conv2d(channels, channels, 3, padding=1)
    )
