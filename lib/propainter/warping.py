"""Moving pictures along optical flow, and telling where flow can be trusted (specification: ProPainter, section 3.2).

Positions are computed in the flow's own type: with float32 flow half-precision features are sampled exactly, with half
flow everything is rounded as the published half-precision run rounds it.
"""

from typing import Literal

import torch
import torch.nn.functional as F

Interpolation = Literal["nearest", "bilinear"]

KNOWN_BELOW = 0.1  # soft masks up to this are known
RELATIVE_TOLERANCE = 0.01  # of the squared flow lengths
ABSOLUTE_TOLERANCE = 0.5  # squared pixels


def flow_warp(x: torch.Tensor, flow: torch.Tensor, mode: Interpolation = "bilinear") -> torch.Tensor:
    """Read `x` where the flow points.

    Args:
        x: (n, c, h, w).
        flow: (n, 2, h, w), pixels; channel 0 is along the columns.
        mode: "nearest" rounds half to even.

    Returns:
        (n, c, h, w) of x's type; 0 where the flow points outside.
    """
    height, width = x.shape[-2:]
    columns = torch.arange(width, device=x.device, dtype=flow.dtype)
    rows = torch.arange(height, device=x.device, dtype=flow.dtype)[:, None]
    grid = torch.stack(
        (
            2 * (columns + flow[:, 0]) / max(width - 1, 1) - 1,
            2 * (rows + flow[:, 1]) / max(height - 1, 1) - 1,
        ),
        dim=-1,
    )
    warped = F.grid_sample(x.to(flow.dtype), grid, mode=mode, padding_mode="zeros", align_corners=True)
    return warped.to(x.dtype)


def consistency(flow: torch.Tensor, opposite: torch.Tensor) -> torch.Tensor:
    """Where following `flow` and then `opposite` leads back: 1, elsewhere 0.

    Args:
        flow, opposite: (n, 2, h, w), pixels.

    Returns:
        (n, 1, h, w) of the flow's type.
    """
    back = flow_warp(opposite, flow)
    distance = (flow + back).square().sum(dim=1, keepdim=True)
    lengths = flow.square().sum(dim=1, keepdim=True) + back.square().sum(dim=1, keepdim=True)
    return (distance < RELATIVE_TOLERANCE * lengths + ABSOLUTE_TOLERANCE).to(flow.dtype)


def binarise(mask: torch.Tensor) -> torch.Tensor:
    """1 where a soft mask is unknown, else 0, in the mask's type."""
    return (mask > KNOWN_BELOW).to(mask.dtype)
