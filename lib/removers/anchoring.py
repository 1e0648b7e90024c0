"""The anchor picture of an engine that has a prior."""

import numpy as np
from PIL import Image

from lib.removers.base import RemovalRequest


def anchor_index(request: RemovalRequest) -> int:
    """The frame that the anchor fills: the one asked for, or the clip's last."""
    return min(max(request.anchor_frame_idx, 0), len(request.frames) - 1)


def anchor_picture(request: RemovalRequest, prior: np.ndarray) -> np.ndarray | None:
    """That frame (H, W, 3) uint8 with its hole filled by the request's anchor, an array of its own; None without one.

    prior: (T, H, W, 3) uint8.
    """
    if request.anchor is None:
        return None
    index = anchor_index(request)
    hole = Image.fromarray(np.where(request.masks[index], 255, 0).astype(np.uint8))
    frame = Image.fromarray(request.frames[index])
    anchor = request.anchor.with_prior(prior[index])
    return np.array(anchor.inpaint(frame, hole, request.anchor_prompt, request.anchor_n_prompt))
