"""Pictures between bytes and the networks' range of values, and masks between pixels and latent cells."""

import torch
import torch.nn.functional as F

from lib.diffueraser.settings import LatentMask


def to_images(frames: torch.Tensor, holes: torch.Tensor | None = None) -> torch.Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, H, W) float32 in -1..1; `holes` (n, H, W) bool become black."""
    images = frames.permute(0, 3, 1, 2).float() / 255 * 2 - 1
    return images if holes is None else images.masked_fill(holes[:, None], -1.0)


def to_bytes(images: torch.Tensor) -> torch.Tensor:
    """(n, 3, H, W), about -1..1 -> (n, H, W, 3) uint8, rounded."""
    return (images / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def known_cells(holes: torch.Tensor, cell: int, rule: LatentMask) -> torch.Tensor:
    """(n, H, W) bool -> (n, 1, H / cell, W / cell), 1 = known.

    "nearest": a cell is as its first pixel; "any": it is hole if any of its pixels is.
    """
    if rule == "nearest":
        return 1 - holes[:, None, ::cell, ::cell].float()
    return 1 - F.max_pool2d(holes[:, None].float(), cell)
